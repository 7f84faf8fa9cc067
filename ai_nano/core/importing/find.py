"""What may be a picture among files, folders and zips that a person names. Reads names and first bytes, writes nothing.

What is certainly meant as a picture and cannot be one here is refused by name; other files, such as notes, are passed over.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ai_nano.core import natural
from ai_nano.core.answers import shown
from ai_nano.core.importing.pictures import LeftOut

# EXIF comes first in a JPEG, and has at most 64 kB.
HEAD_BYTES = 72 << 10
LARGEST_FILE = 160 << 20
PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".hif",
            ".avif")
# Meant as pictures too: whoever brings them is told why they are not taken.
_MEANT = (*PICTURES, ".svg", ".psd", ".jxl", ".jp2", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2", ".mp4",
          ".mov", ".avi", ".mkv", ".webm", ".m4v")
ZIP = ".zip"
_SYSTEMS = ("__macosx", "@eadir", "$recycle.bin")


class Source(Protocol):
    """A file, wherever it lies. All methods raise LeftOut when it cannot be read."""

    @property
    def shown(self) -> str:
        """For a person: its path."""

    @property
    def uri(self) -> str:
        """Where it lies, in ASCII."""

    def look(self) -> tuple[bytes, float]:
        """Its first HEAD_BYTES bytes, and the unix time of its last change."""

    def read(self) -> bytes:
        """All of it, as it was at one moment."""


@dataclass(frozen=True)
class Candidate:
    """`root` counts what was named; `folders` are those between it and the file, from the outside in. `sure`: by its name
    a picture, else only its first bytes can tell."""

    source: Source
    name: str
    root: int = 0
    folders: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Refused:
    """A file (or a folder, or a whole zip) that is left out. `shown` is what a person calls it."""

    shown: str
    reason: LeftOut

    @property
    def text(self) -> str:
        return f"{self.shown}: {self.reason.text}"


@dataclass(frozen=True)
class FileSource:
    path: Path

    @property
    def shown(self) -> str:
        return shown(str(self.path))

    @property
    def uri(self) -> str:
        return self.path.absolute().as_uri()

    def look(self) -> tuple[bytes, float]:
        data, status = _read(self.path, HEAD_BYTES)
        return data, status.st_mtime

    def read(self) -> bytes:
        return _read(self.path, None)[0]


def find(paths: Sequence[Path], opened: ExitStack) -> Iterator[Candidate | Refused]:
    """Everything in the order in which a person would list it; a zip stays open as long as `opened`."""
    for root, path in enumerate(paths):
        if path.is_dir():
            yield from _in_folder(path, root)
        elif path.suffix.lower() == ZIP:
            yield from _in_zip(path, root, opened)
        else:
            yield Candidate(FileSource(path), path.name, root)


def passed_over(name: str) -> bool:
    """Hidden, or made by a system for itself."""
    return name.startswith(".") or name.casefold() in _SYSTEMS


def meant(name: str) -> bool | None:
    """Whether a file of a folder is a picture by its name: True, False, or None where its first bytes have to tell."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in _MEANT if suffix else None


def _in_folder(top: Path, root: int) -> Iterator[Candidate | Refused]:
    waiting: list[tuple[Path, tuple[str, ...]]] = [(top, ())]
    while waiting:
        folder, inside = waiting.pop()
        below: list[tuple[Path, tuple[str, ...]]] = []
        try:
            with os.scandir(folder) as entries:
                listed = sorted((entry for entry in entries if not passed_over(entry.name)),
                                key=lambda entry: natural.key(entry.name))
        except OSError as error:
            yield Refused(shown(str(folder)), _unreadable(error))
            continue
        for entry in listed:
            path = folder / entry.name
            if _is_folder(entry):
                if entry.is_symlink():
                    yield Refused(shown(str(path)), LeftOut("link_to_folder"))
                else:
                    below.append((path, (*inside, entry.name)))
            elif path.suffix.lower() == ZIP:
                yield Refused(shown(str(path)), LeftOut("archive"))
            elif (sure := meant(entry.name)) is not False:
                yield Candidate(FileSource(path), entry.name, root, inside, sure is True)
        waiting.extend(reversed(below))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _in_zip(path: Path, root: int, opened: ExitStack) -> Iterator[Candidate | Refused]:
    # zipfile costs 20 ms, and most who import have none.
    from ai_nano.core.importing.archive import Archive

    try:
        archive = opened.enter_context(Archive(path))
    except LeftOut as reason:
        yield Refused(shown(str(path)), reason)
        return
    for member in archive.members():
        if member.reason is not None:
            yield Refused(member.shown, member.reason)
        else:
            yield Candidate(member, member.name, root, member.folders, member.sure)


def _read(path: Path, most: int | None) -> tuple[bytes, os.stat_result]:
    """The first `most` bytes, or all. LeftOut for what is no file, is too large, cannot be read, or changes meanwhile."""
    try:
        # Opening a pipe would wait for somebody to write into it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as stream:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise LeftOut("special")
            if most is not None:
                return stream.read(most), before
            if before.st_size > LARGEST_FILE:
                raise LeftOut("large", most=LARGEST_FILE >> 20)
            data = stream.read(before.st_size + 1)
            after = os.fstat(handle)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        raise _unreadable(error) from error
    if len(data) != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise LeftOut("changed")
    return data, after


def _unreadable(error: Exception) -> LeftOut:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EACCES, errno.EPERM):
        return LeftOut("forbidden")
    if code in (errno.ENOENT, errno.ELOOP):
        return LeftOut("gone")
    reason = error.strerror if isinstance(error, OSError) else None
    return LeftOut("unreadable", reason=reason or str(error))
