"""The classes of a project: other names, another order, fewer of them. Adding one is `Workspace.add_class`.

What goes with a class goes with it: images, takes, its place in the split and in train/, val/, test/ and labels.txt, frames
that wait for their class, images in the bin. Each change is carried out as a whole (changes.py).
"""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ai_nano.core import names
from ai_nano.core.errors import BadInput
from ai_nano.core.project import changes, image_bin, labels, split_memory, take_notes
from ai_nano.core.project.changes import Change
from ai_nano.core.project.image_bin import Removal
from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.project.workspace import PARTS, Workspace

FOLDERS = ("images", *PARTS)
# They go by the names of classes while they run.
STEPS = ("record", "import", "split", "correct", "upload", "test-nano")


def rename(workspace: Workspace, old: str, new: str) -> str:
    """Returns the kept name. BadInput for a name that cannot be one or is taken; MissingPrerequisite when open elsewhere."""
    with workspace.writing():
        workspace.refuse_beside(STEPS)
        before, after = known(workspace, old), names.class_name(new)
        if before == after:
            return after
        twin = next((one for one in workspace.classes if one != before and names.folded(one) == names.folded(after)), None)
        if twin is not None:
            raise BadInput("class_name.equal", name=after, other=twin)
        for part in FOLDERS:
            _refuse_folder(workspace.path / part / before, workspace.path / part / after)
        workspace.notes.drop_class(after)
        split_memory.drop_class(workspace, after)
        changes.carry_out(workspace, {"v": 1, "do": "rename", "old": before, "new": after, "in_step": in_step(workspace)})
    return after


def remove(workspace: Workspace, name: str) -> Removal:
    """The class and its images go to the bin, from where `image_bin.restore` brings them back."""
    with workspace.writing():
        workspace.refuse_beside(STEPS)
        return image_bin.remove_class(workspace, known(workspace, name))


def reorder(workspace: Workspace, order: Sequence[str]) -> None:
    """BadInput unless these are the classes of the project, each once."""
    with workspace.writing():
        workspace.refuse_beside(STEPS)
        wanted = [known(workspace, name) for name in order]
        if sorted(wanted) != sorted(workspace.classes):
            raise BadInput("class.order", named=order, classes=workspace.classes)
        if wanted != workspace.classes:
            changes.carry_out(workspace, {"v": 1, "do": "reorder", "before": list(workspace.classes), "after": wanted,
                                          "in_step": in_step(workspace)})


def known(workspace: Workspace, raw: str) -> str:
    """The class that is meant. BadInput when there is none; classes of the older program may have names of any form."""
    meant = unicodedata.normalize("NFC", raw).strip()
    for name in workspace.classes:
        if name == raw or unicodedata.normalize("NFC", name) == meant:
            return name
    raise BadInput("class.unknown", name=raw, classes=workspace.classes or "–")


def in_step(workspace: Workspace) -> bool:
    """Whether the split is of the images as they are now. Then it is so after a rename or in another order too."""
    receipt = workspace.done("split")
    return receipt is not None and receipt.inputs == workspace.images_fingerprint()


def _refuse_folder(before: Path, after: Path) -> None:
    """A folder of that name which is no class of the project; an empty one gives way."""
    if after.exists() and not (before.exists() and before.samefile(after)) and (not after.is_dir() or any(after.iterdir())):
        raise BadInput("class.folder_taken", folder=after)


# ---- how it is carried out ---------------------------------------------------------------------------------------------


def carry_out_rename(workspace: Workspace, change: Change) -> None:
    _rename(workspace, change["old"], change["new"], change["in_step"])


def take_back_rename(workspace: Workspace, change: Change) -> None:
    _rename(workspace, change["new"], change["old"], change["in_step"])


def _rename(workspace: Workspace, old: str, new: str, was_in_step: bool) -> None:
    for part in FOLDERS:
        _move(workspace.path / part / old, workspace.path / part / new, workspace.hidden / f"renaming-{part}")
    workspace.notes.rewrite(lambda note: take_notes.renamed(note, old, new))
    split_memory.rename_class(workspace, old, new)
    UncertainFrames(workspace).rename_class(old, new)
    image_bin.rename_class(workspace, old, new)
    workspace.classes[:] = [new if name == old else name for name in workspace.classes]
    labels.change(workspace, lambda there: [new if name == old else name for name in there])
    _keep_in_step(workspace, was_in_step)
    workspace.save()


def carry_out_reorder(workspace: Workspace, change: Change) -> None:
    _reorder(workspace, change["after"], change["in_step"])


def take_back_reorder(workspace: Workspace, change: Change) -> None:
    _reorder(workspace, change["before"], change["in_step"])


def _reorder(workspace: Workspace, order: list[str], was_in_step: bool) -> None:
    workspace.classes[:] = order
    labels.change(workspace, list)
    _keep_in_step(workspace, was_in_step)
    workspace.save()


def _keep_in_step(workspace: Workspace, was: bool) -> None:
    receipt = workspace.done("split")
    if was and receipt is not None:
        receipt.inputs = workspace.images_fingerprint()


def _move(source: Path, target: Path, aside: Path) -> None:
    """Rename a folder, by way of `aside`: where the file system knows no capitals, the two may be the same folder."""
    if source.exists() and not aside.exists():
        os.rename(source, aside)
    if aside.exists():
        if target.exists():
            target.rmdir()
        os.rename(aside, target)
