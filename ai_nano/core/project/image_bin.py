"""The workspace's bin: what was removed, each removal in a folder of its own with all that it takes to undo it.

.ai_nano/bin/<id>/ has the images as they lay in the workspace, and manifest.json: which they are, their notes of takes.jsonl
and their parts of the split. takes.jsonl and split.json themselves are not touched: a line without its image means nothing.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import names
from ai_nano.core.errors import BadInput, MissingPrerequisite
from ai_nano.core.files import is_image_name
from ai_nano.core.project import changes, labels, split_memory, take_notes
from ai_nano.core.project.changes import Change
from ai_nano.core.project.workspace import PARTS, Workspace, new_take

Image = dict[str, Any]

MANIFEST = "manifest.json"
# They go by the images while they run.
STEPS = ("split",)


@dataclass(frozen=True)
class Removal:
    """`keys` are `<class>/<file>`; `class_name`: a whole class was removed, and None for images of classes that stayed."""

    id: str
    keys: tuple[str, ...]
    at: float
    class_name: str | None = None


def folder(workspace: Workspace) -> Path:
    return workspace.hidden / "bin"


def remove(workspace: Workspace, keys: Sequence[str]) -> Removal:
    """Images into the bin, all or none. BadInput for a key that is no image of the workspace, or for none at all."""
    with workspace.writing():
        workspace.refuse_beside(STEPS)
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            raise BadInput("bin.no_images")
        for key in wanted:
            if not _is_key(key) or key.partition("/")[0] not in workspace.classes or not _image(workspace, key).is_file():
                raise BadInput("bin.unknown_image", key=key)
        told = [{**one, "file": f"images/{one['key']}"} for one in _told(workspace, wanted)]
        return _remove(workspace, {"class": None, "images": told})


def remove_class(workspace: Workspace, name: str) -> Removal:
    """Use `class_list.remove`."""
    keys = [f"{name}/{path.name}" for path in workspace.image_paths(name)]
    receipt = workspace.done("split")
    return _remove(workspace, {
        "class": name, "before": workspace.classes[:workspace.classes.index(name)], "images": _told(workspace, keys),
        "parts": [part for part in PARTS if (workspace.path / part / name).is_dir()],
        "labelled": name in labels.there(workspace),
        "planned": "planned_classes" in workspace.settings, "split_at": receipt.at if receipt is not None else None})


def restore(workspace: Workspace, removal_id: str) -> tuple[str, ...]:
    """Bring back what a removal took, the images under the names that their classes have now; returns their keys.

    BadInput when there is no such removal, its class is gone or another one has its name, or a file is there again.
    """
    with workspace.writing():
        workspace.refuse_beside(STEPS)
        manifest = _load(workspace, removal_id)
        if manifest is None:
            raise BadInput("bin.unknown", id=removal_id)
        _check_restorable(workspace, manifest)
        changes.carry_out(workspace, {"v": 1, "do": "restore", "id": removal_id})
        return tuple(key for key in _keys(manifest) if _image(workspace, key).is_file())


def removals(workspace: Workspace) -> list[Removal]:
    """What can be brought back, newest last."""
    return [_removal(manifest) for manifest in _manifests(workspace)]


def last_take(workspace: Workspace, class_name: str) -> tuple[str, ...]:
    """The keys of the class's newest take; none where no image belongs to one (copied by hand, or by the older program)."""
    images = workspace.images(class_name)
    newest = max((image.take for image in images), default="")
    return tuple(image.key for image in images if newest and image.take == newest)


def newest(workspace: Workspace, class_name: str | None = None) -> Removal:
    """The last removal of images of this class; None: of a whole class. MissingPrerequisite when there is none."""
    def fits(manifest: Change) -> bool:
        if class_name is None:
            return manifest["class"] is not None
        return manifest["class"] is None and any(_of_class(one, class_name) for one in manifest["images"])

    found = [manifest for manifest in _manifests(workspace) if fits(manifest)]
    if not found:
        raise MissingPrerequisite("bin.nothing")
    return _removal(found[-1])


def size(workspace: Workspace) -> int:
    """Bytes of all that is in it, whoever put it there."""
    total = 0
    for place, _, files in os.walk(folder(workspace)):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, file)).st_size
    return total


def empty(workspace: Workspace) -> int:
    """Delete all of it for good; returns how many bytes that were."""
    with workspace.writing():
        freed = size(workspace)
        for manifest in sorted(folder(workspace).glob(f"*/{MANIFEST}")):
            manifest.unlink()  # first of all: half of a removal is none
        if folder(workspace).is_dir():
            shutil.rmtree(folder(workspace))
        return freed


# ---- manifests ---------------------------------------------------------------------------------------------------------


def _told(workspace: Workspace, keys: Sequence[str]) -> list[dict[str, Any]]:
    """What is known of each image besides its file."""
    notes, parts = workspace.takes(), split_memory.parts(workspace)
    return [{"key": key, **({"note": notes[key]} if key in notes else {}), **({"part": parts[key]} if key in parts else {})}
            for key in keys]


def _remove(workspace: Workspace, told: dict[str, Any]) -> Removal:
    last = max((int(one.name[:6]) for one in _folders(workspace)), default=0)
    manifest = {"v": 1, "do": "remove", "id": f"{last + 1:06d}-{new_take()}", "at": time.time(), **told}
    changes.carry_out(workspace, manifest)
    return _removal(manifest)


def _folders(workspace: Workspace) -> list[Path]:
    """Of removals, oldest first: the bin has uncertain frames and older splits too."""
    return sorted(one for one in folder(workspace).glob("*-*") if one.name[:6].isdigit() and one.name[6:7] == "-")


def _manifests(workspace: Workspace) -> Iterator[dict[str, Any]]:
    return (manifest for one in _folders(workspace) if (manifest := _load(workspace, one.name)) is not None)


def _load(workspace: Workspace, removal_id: str) -> dict[str, Any] | None:
    """None where there is none, or what is there is none of ours: its names become paths."""
    if not names.is_one_folder(removal_id):
        return None
    try:
        manifest = json.loads((folder(workspace) / removal_id / MANIFEST).read_text(encoding="utf-8"))
        sound = manifest["id"] == removal_id and all(map(_is_key, _keys(manifest)))
        if manifest["class"] is None:
            sound = sound and all(".." not in Path(one["file"]).parts and not Path(one["file"]).is_absolute()
                                  for one in manifest["images"])
        else:
            sound = sound and names.is_one_folder(manifest["class"]) and set(manifest["parts"]) <= set(PARTS)
            sound = sound and isinstance(manifest["before"], list) and isinstance(manifest["labelled"], bool)
        return manifest if sound and isinstance(manifest["at"], (int, float)) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_key(key: str) -> bool:
    name, _, file = key.partition("/")
    return names.is_one_folder(name) and names.is_one_folder(file) and is_image_name(Path(file))


def _keys(manifest: Change) -> tuple[str, ...]:
    return tuple(one["key"] for one in manifest["images"])


def _removal(manifest: Change) -> Removal:
    return Removal(manifest["id"], _keys(manifest), float(manifest["at"]), manifest["class"])


def _image(workspace: Workspace, key: str) -> Path:
    return workspace.path / "images" / key


def _check_restorable(workspace: Workspace, manifest: Change) -> None:
    name = manifest["class"]
    if name is not None:
        twin = next((one for one in workspace.classes if names.folded(one) == names.folded(name)), None)
        if twin is not None:
            raise BadInput("bin.class_taken", name=name, other=twin)
        places = [workspace.image_folder(name)]
    else:
        for one in manifest["images"]:
            of_class = one["key"].partition("/")[0]
            if "with" in one or of_class not in workspace.classes:
                raise BadInput("bin.class_gone", name=of_class)
        places = [_image(workspace, key) for key in _keys(manifest)]
    there = next((place for place in places if place.exists() and not _is_empty_folder(place)), None)
    if there is not None:
        raise BadInput("bin.file_there", file=there)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


# ---- how it is carried out ---------------------------------------------------------------------------------------------


def carry_out_remove(workspace: Workspace, change: Change) -> None:
    _take_out(workspace, change)
    # The note of what is to be done becomes the note of what was done, in one moment.
    os.replace(changes.journal(workspace), folder(workspace) / change["id"] / MANIFEST)


def take_back_remove(workspace: Workspace, change: Change) -> None:
    _put_back(workspace, change)
    _clear(folder(workspace) / change["id"])


def carry_out_restore(workspace: Workspace, change: Change) -> None:
    manifest = _load(workspace, change["id"])
    if manifest is not None:
        _put_back(workspace, manifest)
    _clear(folder(workspace) / change["id"])


def take_back_restore(workspace: Workspace, change: Change) -> None:
    manifest = _load(workspace, change["id"])
    if manifest is not None:
        _take_out(workspace, manifest)


def _take_out(workspace: Workspace, manifest: Change) -> None:
    place, name = folder(workspace) / manifest["id"], manifest["class"]
    place.mkdir(parents=True, exist_ok=True)
    if name is None:
        _move_all((_image(workspace, one["key"]), place / one["file"]) for one in manifest["images"])
        return
    _move_all((workspace.path / part / name, place / part / name) for part in ("images", *manifest["parts"]))
    _revise(workspace, lambda one: {**one, "with": manifest["id"]} if _of_class(one, name) else one,
            lambda one: [manifest["id"]] if one == name else one)
    if name in workspace.classes:
        workspace.classes.remove(name)
        if manifest["planned"]:
            workspace.settings["planned_classes"] = max(0, int(workspace.settings.get("planned_classes", 0)) - 1)
    labels.change(workspace, lambda there: [one for one in there if one != name])
    workspace.save()


def _put_back(workspace: Workspace, manifest: Change) -> None:
    """First what needs room on the disk, then what does not."""
    place, name = folder(workspace) / manifest["id"], manifest["class"]
    workspace.notes.put({one["key"]: one.get("note") for one in manifest["images"]})
    split_memory.put(workspace, {one["key"]: one.get("part") for one in manifest["images"]})
    if name is None:
        _move_all((place / one["file"], _image(workspace, one["key"])) for one in manifest["images"])
        return
    receipt = workspace.done("split")
    if workspace.split_given or (receipt.at if receipt is not None else None) == manifest["split_at"]:
        _move_all((place / part / name, workspace.path / part / name) for part in manifest["parts"])
        labelled = manifest["labelled"]
    else:  # there was another split meanwhile
        labelled = False
        for part in manifest["parts"]:
            shutil.rmtree(place / part, ignore_errors=True)
    _move_all([(place / "images" / name, workspace.image_folder(name))])
    _revise(workspace, lambda one: {key: value for key, value in one.items() if key != "with"}
            if one.get("with") == manifest["id"] else one, lambda one: name if one == [manifest["id"]] else one)
    if name not in workspace.classes:
        workspace.classes.insert(_old_place(workspace, manifest), name)
        if manifest["planned"]:
            workspace.settings["planned_classes"] = int(workspace.settings.get("planned_classes", 0)) + 1
    if labelled:
        labels.change(workspace, lambda there: there if name in there else [*there, name])
    workspace.save()


def _old_place(workspace: Workspace, manifest: Change) -> int:
    """Behind the nearest class that stood before it then and is still there."""
    places = [workspace.classes.index(one) + 1 for one in manifest["before"] if one in workspace.classes]
    return places[-1] if places else 0


def _move_all(moves: Iterable[tuple[Path, Path]]) -> None:
    """Files or folders; those that have been moved already are passed over, and nothing that is there is replaced."""
    made: set[Path] = set()
    for source, target in moves:
        if not source.exists() or (target.exists() and not _is_empty_folder(target)):
            continue
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if target.exists():
            target.rmdir()
        os.rename(source, target)


def _clear(place: Path) -> None:
    """The folder of a removal that was undone: the manifest first, then folders that are empty. No file is deleted."""
    (place / MANIFEST).unlink(missing_ok=True)
    for one in sorted(place.rglob("*"), reverse=True):
        if _is_empty_folder(one):
            one.rmdir()
    if _is_empty_folder(place):
        place.rmdir()


def rename_class(workspace: Workspace, old: str, new: str) -> None:
    """Images that were removed from a class follow its name. A class that was removed as a whole keeps the name that it had,
    and so do the images that had been removed from it before."""
    def renamed(one: Image) -> Image:
        if not _of_class(one, old):
            return one
        note = {"note": take_notes.renamed(one["note"], old, new)} if "note" in one else {}
        return {**one, "key": f"{new}/{one['key'].partition('/')[2]}", **note}

    _revise(workspace, renamed, lambda one: new if one == old else one)


def _of_class(one: Image, name: str) -> bool:
    """Whether an image in the bin belongs to the class that has this name now."""
    return "with" not in one and bool(one["key"].startswith(f"{name}/"))


def _revise(workspace: Workspace, image: Callable[[Image], Image], before: Callable[[object], object]) -> None:
    """Say something else of images that were removed one by one, and of the classes that stood before a removed one.

    A class that was removed later is meant by the id of that removal, since another may have its name: `with` of an image,
    [id] among those before.
    """
    for manifest in _manifests(workspace):
        key, change = ("images", image) if manifest["class"] is None else ("before", before)
        told: list[Any] = [change(one) for one in manifest[key]]
        if told != manifest[key]:
            changes.write(folder(workspace) / manifest["id"] / MANIFEST, {**manifest, key: told})
