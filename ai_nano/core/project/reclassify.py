"""Images put under another class: what a person says they really show."""

from collections.abc import Sequence
from pathlib import Path

from ai_nano.core.errors import BadInput
from ai_nano.core.files import storage_errors
from ai_nano.core.project.workspace import Workspace


def move(workspace: Workspace, keys: Sequence[str], class_name: str) -> tuple[str, ...]:
    """The images (`<class>/<file>`) become images of that class and stay in their takes; returns the keys that they have there.

    One that is there already, or no longer where it was, is passed over. BadInput for an unknown class, MissingPrerequisite
    when the workspace is open elsewhere, WorkFailed when it cannot be written; then those before it stay moved.
    """
    if class_name not in workspace.classes:
        raise BadInput("record.unknown_class", name=class_name, classes=workspace.classes)
    moved = []
    with workspace.writing(), storage_errors(workspace.path):
        notes = workspace.takes()
        folder = workspace.image_folder(class_name)
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            before, _, name = key.partition("/")
            source = workspace.image_folder(before) / name
            if before == class_name or not source.is_file():
                continue
            target = _free_place(folder, name)
            note = notes.get(key)
            if note is not None:
                # Noted first: an image without its note would be of no take.
                workspace.note_image({**note, "file": target.name, "class": class_name})
            source.replace(target)
            moved.append(f"{class_name}/{target.name}")
    return tuple(moved)


def _free_place(folder: Path, name: str) -> Path:
    """Under its own name, which sorts by time; behind it where that is taken."""
    place, number = folder / name, 1
    while place.exists():
        number += 1
        place = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return place
