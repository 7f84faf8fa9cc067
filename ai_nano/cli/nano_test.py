"""What `test-nano` says at its end."""

from collections.abc import Sequence

from ai_nano.core import bundle
from ai_nano.core.nano import nano_test
from ai_nano.core.project.workspace import Receipt, Workspace


def tested(workspace: Workspace, receipt: Receipt) -> str:
    """The table of `test-nano`, what is to be said beside it, and the images that differ."""
    folder = workspace.model_folder(str(receipt.facts["model"]))
    test = nano_test.of_nano(folder, str(receipt.facts["nano"]))
    if test is None:
        return ""
    told, _ = nano_test.report_of(bundle.load(folder))
    parts = [_table(nano_test.headings(), nano_test.rows(told, [test])), "\n".join(nano_test.notes(test))]
    if test.different:
        parts.append(_table(nano_test.difference_headings(test), nano_test.differences(test)))
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich.cells import cell_len, set_cell_size

    lines = [headings, *rows]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join("  ".join(set_cell_size(text, width) for text, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)
