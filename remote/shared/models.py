"""The folders in ROOT/models: names, reserving them, and a model that appears or gives way at once."""

import errno
import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

from shared.files import link_or_copy, sha256
from shared.wire import Failure

MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
DELETED = ".deleted-"
REPLACED = ".replaced-"
# What is made beside model.onnx: TensorRT's engine, jetson-inference's hash of the model that it was built from, and what
# jetson_nano/engine_record.py notes of it, without which it may be taken for another model's.
ENGINE_SUFFIXES = (".engine", ".sha256sum", "engine.json")
TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
ATTEMPTS = 100


class Models:
    """The models under one ROOT. A name that begins with a dot is none."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "models"

    def folder(self, model: str) -> Path:
        """Raises Failure store.bad_name."""
        if not MODEL.match(model):
            raise Failure("store.bad_name", name=model)
        return self.path / model

    def reserve(self, model: str) -> Path:
        """An empty folder of that name, made by this call alone. Raises Failure store.exists, store.bad_name."""
        path = self.folder(model)
        os.makedirs(str(self.path), exist_ok=True)
        try:
            os.mkdir(str(path))
        except FileExistsError:
            raise Failure("store.exists", model=model) from None
        return path

    def reserve_next(self, stem: str, above: int = 0) -> str:
        """The first name after the highest number that `stem` has, and beyond `above`: two laptops never get the same."""
        pattern = re.compile(re.escape(stem) + r"-(\d{1,9})\Z")
        try:
            taken = [pattern.match(name) for name in os.listdir(str(self.path))]
        except FileNotFoundError:
            taken = []
        number = max([above] + [int(match.group(1)) for match in taken if match]) + 1
        for attempt in range(number, number + ATTEMPTS):
            model = f"{stem}-{attempt:03d}"
            try:
                self.reserve(model)
                return model
            except Failure as failure:
                if failure.code != "store.exists":
                    raise
        raise Failure("store.exists", model=f"{stem}-{number:03d}")

    def check_disk(self, place: Path) -> None:
        """What lies in `place` can appear here by a rename. Raises Failure transfer.other_disk {path}."""
        os.makedirs(str(self.path), exist_ok=True)
        if os.stat(str(self.path)).st_dev != os.stat(str(place)).st_dev:
            raise Failure("transfer.other_disk", path=str(self.path))

    def appear(self, model: str, whole: Path) -> None:
        """The folder `whole` becomes the model, whose name is free or reserved. Raises Failure store.exists."""
        os.makedirs(str(self.path), exist_ok=True)
        try:
            os.rename(str(whole), str(self.path / model))
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            raise Failure("store.exists", model=model) from None

    def replace(self, model: str, whole: Path) -> None:
        """The same, and an older model of that name gives way with its engines, unless its model.onnx is the same."""
        os.makedirs(str(self.path), exist_ok=True)
        target, aside = self.path / model, self.path / (REPLACED + model)
        with self.locked():
            self._heal()
            if target.is_dir():
                digest = sha256(whole / "model.onnx")
                if digest is not None and digest == sha256(target / "model.onnx"):
                    for name in os.listdir(str(target)):
                        if name.endswith(ENGINE_SUFFIXES) and not (whole / name).exists():
                            link_or_copy(target / name, whole / name)
                os.rename(str(target), str(aside))
            os.rename(str(whole), str(target))
            _sync(self.path)
            shutil.rmtree(str(aside), ignore_errors=True)

    def delete(self, model: str) -> None:
        """Gone at once for every reader, then removed. Raises Failure store.missing."""
        doomed = self.path / f"{DELETED}{os.getpid()}-{model}"
        os.rename(str(self.existing(model)), str(doomed))
        shutil.rmtree(str(doomed), ignore_errors=True)  # what is left of it goes with the next mending

    def existing(self, model: str) -> Path:
        """Raises Failure store.missing, store.bad_name."""
        path = self.folder(model)
        if not path.is_dir() or path.is_symlink():
            raise Failure("store.missing", model=model)
        return path

    def heal(self) -> None:
        """Puts back what a broken-off replacement had put aside, and removes what is left of the replaced and deleted."""
        if self._left():
            with self.locked():
                self._heal()

    def _left(self) -> List[str]:
        try:
            names = os.listdir(str(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in names if name.startswith((REPLACED, DELETED))]

    def _heal(self) -> None:
        for name in self._left():
            model = name[len(REPLACED):]
            if name.startswith(REPLACED) and not (self.path / model).exists():
                os.rename(str(self.path / name), str(self.path / model))
            else:
                shutil.rmtree(str(self.path / name), ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One replacement, or one mending, at a time."""
        os.makedirs(str(self._root / ".ai_nano"), exist_ok=True)
        lock = os.open(str(self._root / ".ai_nano" / "models.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _sync(folder: Path) -> None:
    """The renames in it are on the disk: a Nano is switched off by its plug."""
    descriptor = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
