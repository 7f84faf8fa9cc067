"""Short operations on this machine's models; each prints one JSON line.

    python PROGRAMS/shared/store.py --root ROOT clone|models|delete|free ...

doc/design/wire.md says what goes in and out.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, owner, space, versions  # noqa: E402
from shared.files import files_below, link_or_copy  # noqa: E402
from shared.models import Models  # noqa: E402

DATASET = ("train", "val", "test", "labels.txt", owner.FILE)
OLDER_MODELS = "models"
CLONE = "clone."
Reply = Dict[str, Any]


def read_classes(folder: Path) -> List[str]:
    """The classes in labels.txt, in order; none where it is missing."""
    try:
        text = (folder / "labels.txt").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return text.rstrip().splitlines()


def describe(folder: Path) -> Optional[Reply]:
    """What `models` tells of one folder; None when it is no model, is just being deleted, or is not ours to read."""
    try:
        files = dict(files_below(folder))
        classes = read_classes(folder)
    except (FileNotFoundError, PermissionError):
        return None
    exported = any(name.endswith(".onnx") and "/" not in name for name in files)
    if not exported and "labels.txt" not in files:
        return None
    return {"model": folder.name, "classes": classes, "exported": exported, "owner": owner.told(folder),
            "size": sum(stat.st_size for stat in files.values()),
            "modified": max(int(stat.st_mtime) for stat in files.values())}


class Store:
    """The models under one ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._models = Models(root)
        self._models.heal()

    def clone(self, model: str, stem: str, workspaces: Sequence[str] = (), above: int = 0) -> Reply:
        """The dataset alone, whole under a new name beyond `above`: what training and export made stays behind.

        Failure `store.others` for a model of another workspace than these, where some are given.
        """
        source = self._models.existing(model)
        owner.check(source, workspaces)
        incoming = self.root / ".ai_nano" / "incoming"
        os.makedirs(str(incoming), exist_ok=True)
        self._models.check_disk(incoming)
        place = Path(tempfile.mkdtemp(prefix=CLONE, dir=str(incoming)))  # a process id may be that of one that was killed
        try:
            os.chmod(str(place), 0o755)
            for name, _ in files_below(source):
                if name.split("/")[0] in DATASET:
                    os.makedirs(str((place / name).parent), exist_ok=True)
                    link_or_copy(source / name, place / name)
            self._models.existing(model)
            new = self._models.reserve_next(stem, above)
            self._models.appear(new, place)
        except BaseException as error:
            shutil.rmtree(str(place), ignore_errors=True)
            if isinstance(error, FileNotFoundError):
                self._models.existing(model)  # store.missing: somebody has just deleted it
            raise
        return {"model": new, "path": str(self._models.path / new)}

    def models(self) -> Reply:
        found = self._models_in(self._models.path)
        older = Path(os.path.expanduser("~")) / OLDER_MODELS
        if older != self._models.path:
            found += self._models_in(older)
        return {"models": found}

    def delete(self, model: str) -> Reply:
        self._models.delete(model)
        return {"model": model}

    def free(self) -> Reply:
        """Of the file system that ROOT lies on or will lie on, as far as the login's quota goes."""
        room = space.look(str(self.root))
        return {"free_bytes": room.free_bytes, "total_bytes": room.total_bytes, "python": platform.python_version()}

    def _models_in(self, folder: Path) -> List[Reply]:
        try:
            names = sorted(os.listdir(str(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        described = [(name, describe(folder / name)) for name in names if name[0] != "." and (folder / name).is_dir()]
        return [dict(model, path=str(folder / name)) for name, model in described if model is not None]


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The models of ai_nano on this machine.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    operations = parser.add_subparsers(dest="operation")
    operations.required = True
    cloning = operations.add_parser("clone", help="make a new model with the same dataset")
    cloning.add_argument("model")
    cloning.add_argument("stem", help="its name without the number")
    cloning.add_argument("--above", type=int, default=0, help="the highest number that it may not have")
    cloning.add_argument("workspaces", nargs="*", help="the ids of the workspace that it has to be of")
    operations.add_parser("delete", help="delete a model").add_argument("model")
    operations.add_parser("models", help="list the models")
    operations.add_parser("free", help="tell how much space is left, and which Python this is")
    return parser


def carry_out(options: argparse.Namespace, store: Store) -> Reply:
    if options.operation == "clone":
        return store.clone(options.model, options.stem, options.workspaces, options.above)
    if options.operation == "delete":
        return store.delete(options.model)
    return store.models() if options.operation == "models" else store.free()


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)
    return console.answer("shared/store.py", root, lambda: console.say("result", **carry_out(options, Store(root))))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
