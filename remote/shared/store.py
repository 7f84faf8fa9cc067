"""Short operations on this machine's models; each prints one JSON line.

    python PROGRAMS/shared/store.py --root ROOT reserve|listing|hash|clone|models|delete|free ...

doc/design/wire.md says what goes in and out.
"""

import argparse
import errno
import hashlib
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console  # noqa: E402
from shared.wire import Failure  # noqa: E402

MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
DATASET = ("train", "val", "test", "labels.txt")
OLDER_MODELS = "models"
DELETED = ".deleted-"
NO_HARD_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)
Reply = Dict[str, Any]


def files_below(folder: Path) -> Iterator[Tuple[str, os.stat_result]]:
    """(path relative to the folder with slashes, stat) of each regular file; links are not followed."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(str(folder / prefix)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name, entry.stat(follow_symlinks=False)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system knows them, else a copy with the same modification time."""
    try:
        os.link(str(source), str(target))
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        shutil.copy2(str(source), str(target))


def sha256(path: Path) -> Optional[str]:
    """None where there is no such file."""
    digest = hashlib.sha256()
    try:
        with open(str(path), "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return digest.hexdigest()


def read_classes(folder: Path) -> List[str]:
    """The classes in labels.txt, in order; none where it is missing."""
    try:
        text = (folder / "labels.txt").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return text.rstrip().splitlines()


def describe(folder: Path) -> Optional[Reply]:
    """What `models` tells of one folder; None when it is no model."""
    files = dict(files_below(folder))
    exported = any(name.endswith(".onnx") and "/" not in name for name in files)
    if not exported and "labels.txt" not in files:
        return None
    return {"model": folder.name, "classes": read_classes(folder), "exported": exported,
            "size": sum(stat.st_size for stat in files.values()),
            "modified": max(int(stat.st_mtime) for stat in files.values())}


class Store:
    """The models under one ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models_path = root / "models"

    def reserve(self, model: str) -> Reply:
        path = self._path(model)
        os.makedirs(str(self.models_path), exist_ok=True)
        try:
            os.mkdir(str(path))
        except FileExistsError:
            raise Failure("store.exists", model=model) from None
        return {"model": model, "path": str(path)}

    def listing(self, model: str) -> Reply:
        path = self._path(model)
        if not path.is_dir():
            return {"files": {}}
        return {"files": {name: [stat.st_size, int(stat.st_mtime)] for name, stat in files_below(path)}}

    def hash(self, model: str, names: List[str]) -> Reply:
        path = self._path(model)
        for name in names:
            if name.startswith("/") or ".." in name.split("/") or not name:
                raise Failure("store.bad_name", name=name)
        return {"sha256": {name: sha256(path / name) for name in names}}

    def clone(self, model: str, new: str) -> Reply:
        """The dataset alone: what training and export made stays behind."""
        source, reply = self._existing(model), self.reserve(new)
        target = self._path(new)
        try:
            for name, _ in files_below(source):
                if name.split("/")[0] in DATASET:
                    os.makedirs(str((target / name).parent), exist_ok=True)
                    link_or_copy(source / name, target / name)
        except BaseException:
            shutil.rmtree(str(target), ignore_errors=True)
            raise
        return reply

    def models(self) -> Reply:
        found = self._models_in(self.models_path)
        older = Path(os.path.expanduser("~")) / OLDER_MODELS
        if older != self.models_path:
            found += self._models_in(older)
        return {"models": found}

    def delete(self, model: str) -> Reply:
        """Gone at once for every reader, then removed."""
        path = self._existing(model)
        doomed = self.models_path / f"{DELETED}{os.getpid()}-{model}"
        os.rename(str(path), str(doomed))
        shutil.rmtree(str(doomed))
        return {"model": model}

    def free(self) -> Reply:
        """Of the file system that ROOT lies on or will lie on."""
        path = self.root
        while not path.exists():
            path = path.parent
        usage = shutil.disk_usage(str(path))
        return {"free_bytes": usage.free, "total_bytes": usage.total, "python": platform.python_version()}

    def _models_in(self, folder: Path) -> List[Reply]:
        try:
            names = sorted(os.listdir(str(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        described = [(name, describe(folder / name)) for name in names if name[0] != "." and (folder / name).is_dir()]
        return [dict(model, path=str(folder / name)) for name, model in described if model is not None]

    def _path(self, model: str) -> Path:
        if not MODEL.match(model):
            raise Failure("store.bad_name", name=model)
        return self.models_path / model

    def _existing(self, model: str) -> Path:
        path = self._path(model)
        if not path.is_dir() or path.is_symlink():
            raise Failure("store.missing", model=model)
        return path


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The models of ai_nano on this machine.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    operations = parser.add_subparsers(dest="operation")
    operations.required = True
    for name, text in (("reserve", "make the folder of a new model"), ("listing", "list a model's files"),
                       ("hash", "hash some of a model's files"), ("clone", "make a new model with the same dataset"),
                       ("delete", "delete a model")):
        operation = operations.add_parser(name, help=text)
        operation.add_argument("model")
        if name == "hash":
            operation.add_argument("files", nargs="*")
        if name == "clone":
            operation.add_argument("new")
    operations.add_parser("models", help="list the models")
    operations.add_parser("free", help="tell how much space is left, and which Python this is")
    return parser


def carry_out(options: argparse.Namespace, store: Store) -> Reply:
    if options.operation == "hash":
        return store.hash(options.model, options.files)
    if options.operation == "clone":
        return store.clone(options.model, options.new)
    if options.operation == "models":
        return store.models()
    if options.operation == "free":
        return store.free()
    operation = {"reserve": store.reserve, "listing": store.listing, "delete": store.delete}[options.operation]
    return operation(options.model)


def main(argv: List[str]) -> int:
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)
    return console.answer("shared/store.py", root, lambda: console.say("result", **carry_out(options, Store(root))))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
