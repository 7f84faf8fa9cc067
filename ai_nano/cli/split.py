"""Step 3 on the terminal: what a split made and why so, and the lesson about shuffling."""

from rich.cells import cell_len, set_cell_size

from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.split import reasons as split_reasons
from ai_nano.core.split.lesson import LessonResult
from ai_nano.core.texts import t
from ai_nano.core.workflow import split_counts


def summary(workspace: Workspace, receipt: Receipt) -> str:
    """The counts, a line for each class, then why it split so."""
    counts, reasons = split_counts(workspace), split_reasons.of_receipt(receipt.facts)
    how = {reason.class_name: reason.text for reason in reasons}
    width = max(cell_len(name) for name in counts)
    lines = ["  ".join(["", set_cell_size(name, width), *(f"{part} {count:>4}" for part, count in parts.items()),
                        how.get(name, "")]).rstrip() for name, parts in counts.items()]
    told = [("! " if reason.warning else "") + reason.text for reason in reasons if reason.class_name is None]
    return "\n".join([t("summary.split", **receipt.facts), *lines, *told])


def lesson_table(result: LessonResult) -> str:
    """For each strategy what its test promised and what fresh takes gave; then what it teaches."""
    rows = [["", t("lesson.promised"), t("lesson.real")], *result.rows()]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(3)]
    table = ["  ".join(["", *(set_cell_size(text, width) for text, width in zip(row, widths, strict=True))]).rstrip()
             for row in rows]
    return "\n".join([result.sizes, *table, result.text])
