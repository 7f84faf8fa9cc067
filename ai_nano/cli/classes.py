"""The classes of a project and their images, on the terminal: looked at, changed, removed and brought back."""

import argparse
import time
from pathlib import Path
from typing import Any

from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.core.errors import BadInput, Cancelled, MissingPrerequisite
from ai_nano.core.figures import amount
from ai_nano.core.project import class_list, image_bin
from ai_nano.core.project.image_bin import Removal
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.texts import t


def classes(args: argparse.Namespace, console: Console) -> int:
    workspace = Workspace.open(args.workspace)
    facts, said = _change_classes(workspace, args, console)
    counts = {name: workspace.images(name) for name in workspace.classes}
    for place, (name, images) in enumerate(counts.items()):
        takes = len({image.take for image in images if image.take})
        console.say(t("classes.line", place=place, name=_padded(name, counts), images=len(images), takes=takes))
    there = image_bin.removals(workspace)
    held = image_bin.size(workspace)
    if held:
        console.say(t("classes.bin", size=amount(held, "bytes")))
    console.result({"step": "classes", "workspace": str(workspace.path.resolve()), **facts,
                    "classes": [{"name": name, "images": len(images), "takes": len({one.take for one in images if one.take})}
                                for name, images in counts.items()],
                    "bin": {"bytes": held, "removals": [_told(one) for one in there]}}, said)
    return 0


def _change_classes(workspace: Workspace, args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], str]:
    """What was done, for programs and for people; nothing where the classes are only looked at."""
    if args.add is not None:
        name = workspace.add_class(args.add)
        return {"added": name}, t("classes.added", name=name)
    if args.rename is not None:
        old, new = args.rename
        name = class_list.rename(workspace, old, new)
        return {"renamed": [old, name]}, t("classes.renamed", old=old, new=name)
    if args.remove is not None:
        removal = class_list.remove(workspace, args.remove)
        return {"removed": _told(removal)}, t("classes.removed", name=removal.class_name, images=len(removal.keys))
    if args.order is not None:
        class_list.reorder(workspace, args.order.split(","))
        return {"order": list(workspace.classes)}, t("classes.ordered", classes=workspace.classes)
    if args.undo:
        removal = image_bin.newest(workspace)
        image_bin.restore(workspace, removal.id)
        return {"restored": _told(removal)}, t("classes.restored", name=removal.class_name, images=len(removal.keys))
    if args.empty_bin:
        question = t("classes.empty_bin?", size=amount(image_bin.size(workspace), "bytes"))
        if not TerminalQuestions(console, args.yes).confirm(question):
            raise Cancelled()
        freed = image_bin.empty(workspace)
        return {"freed": freed}, t("classes.emptied", size=amount(freed, "bytes"))
    return {}, "" if workspace.classes else t("classes.none")


def images(args: argparse.Namespace, console: Console) -> int:
    workspace = Workspace.open(args.workspace)
    name = class_list.known(workspace, args.class_name)
    facts: dict[str, Any] = {}
    if args.remove is not None or args.remove_last_take:
        keys = [_key(workspace, name, one) for one in args.remove or ()] or image_bin.last_take(workspace, name)
        if not keys:
            raise MissingPrerequisite("bin.no_take", name=name)
        removal = image_bin.remove(workspace, keys)
        facts, said = {"removed": _told(removal)}, t("images.removed", images=len(removal.keys), name=name)
    elif args.undo:
        back = image_bin.restore(workspace, image_bin.newest(workspace, name).id)
        facts, said = {"restored": list(back)}, t("images.restored", images=len(back), name=name)
    else:
        for image in workspace.images(name):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(image.t))
            console.say(f"{image.path.name}  {when}  {image.take}".rstrip())
        said = t("images.count", images=workspace.count(name), name=name)
    console.result({"step": "images", "class": name, "count": workspace.count(name), **facts,
                    **({"images": _listed(workspace, name)} if not facts else {})}, said)
    return 0


def _key(workspace: Workspace, class_name: str, named: str) -> str:
    """A file name of the class, or a path to the file. BadInput for what is none of its images."""
    path, image = Path(named), workspace.image_folder(class_name) / Path(named).name
    inside = len(path.parts) == 1 or (path.exists() and image.exists() and path.samefile(image))
    if not inside or not image.is_file():
        raise BadInput("bin.unknown_image", key=named)
    return f"{class_name}/{image.name}"


def _listed(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    return [{"file": image.path.name, "take": image.take, "t": image.t, "corrected": image.corrected}
            for image in workspace.images(name)]


def _told(removal: Removal) -> dict[str, Any]:
    return {"id": removal.id, "class": removal.class_name, "images": len(removal.keys), "at": removal.at}


def _padded(name: str, all_names: dict[str, Any]) -> str:
    """As wide as the widest; an ideograph takes two places of a terminal."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(name, max(cell_len(one) for one in all_names))
