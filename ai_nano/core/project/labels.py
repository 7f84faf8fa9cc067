"""labels.txt, kept in step with the classes while the split stays as it is."""

from collections.abc import Callable

from ai_nano.core.files import write_atomically
from ai_nano.core.project.workspace import Workspace


def there(workspace: Workspace) -> list[str]:
    """The names in it; none where there is no such file."""
    file = workspace.labels_file
    text = file.read_bytes().decode("utf-8", "surrogateescape") if file.is_file() else ""
    return [line for line in text.splitlines() if line.strip()]


def change(workspace: Workspace, wanted: Callable[[list[str]], list[str]]) -> None:
    """Write what `wanted` makes of the names, in the order of the classes. Without a name the file goes: it is no split's."""
    file, labels = workspace.labels_file, there(workspace)
    order = {name: place for place, name in enumerate(workspace.classes)}
    names = sorted(wanted(labels), key=lambda name: order.get(name, len(order)))
    if not names:
        file.unlink(missing_ok=True)
    elif names != labels:
        write_atomically(file, "\n".join(names).encode("utf-8", "surrogateescape"))
