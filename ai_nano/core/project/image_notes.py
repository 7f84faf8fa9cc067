"""What was found out about each image of a workspace, remembered in a file of .ai_nano/cache, so that it is found out once.

An image is known again by file name, size and time of change, so that a class may be renamed. The file is a cache and no more:
what cannot be read is found out again, and where it cannot be written nothing is remembered.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from ai_nano.core.files import write_atomically
from ai_nano.core.project.workspace import Workspace

# Lines of images that are gone are left until there are so many more than images.
SPARE_LINES = 1000

Found = TypeVar("Found")
Identity = tuple[str, int, int]


def identity(path: Path) -> Identity | None:
    """None for a file that is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_size, status.st_mtime_ns


class ImageNotes(Generic[Found]):
    """`.ai_nano/cache/<kind>.jsonl`: {"v","file","size","mtime_ns","found"}. `v` is the way in which it was found out: what was
    noted in another way counts as unknown. `read` raises ValueError, KeyError or TypeError for what it cannot read. For one
    thread at a time."""

    def __init__(self, workspace: Workspace, kind: str, version: int, write: Callable[[Found], Any],
                 read: Callable[[Any], Found]) -> None:
        self._file = workspace.hidden / "cache" / f"{kind}.jsonl"
        self._version = version
        self._as_json, self._from_json = write, read
        self._lines = 0
        self._unwritten: list[Identity] = []
        self._known = self._read()

    def __contains__(self, image: Identity) -> bool:
        return image in self._known

    def __getitem__(self, image: Identity) -> Found:
        return self._known[image]

    def __setitem__(self, image: Identity, found: Found) -> None:
        """Remembered in the file with the next `save`."""
        self._known[image] = found
        self._unwritten.append(image)

    @property
    def unsaved(self) -> int:
        return len(self._unwritten)

    def save(self) -> None:
        lines = [self._line(image) for image in self._unwritten]
        self._unwritten = []
        if lines:
            self._lines += len(lines)
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("a", encoding="utf-8", errors="surrogateescape") as stream:
                    stream.write("".join(lines))

    def forget_all_but(self, used: set[Identity]) -> None:
        """Once in a while: images come and go."""
        if self._lines > len(used) + SPARE_LINES:
            self._known = {image: self._known[image] for image in used}
            self._lines = len(used)
            document = "".join(self._line(image) for image in self._known)
            with contextlib.suppress(OSError):
                write_atomically(self._file, document.encode("utf-8", "surrogateescape"), sync=False)

    def _read(self) -> dict[Identity, Found]:
        known: dict[Identity, Found] = {}
        with contextlib.suppress(OSError, UnicodeError):
            for line in self._file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
                self._lines += 1
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    note = json.loads(line)
                    if note["v"] == self._version:
                        image = (str(note["file"]), int(note["size"]), int(note["mtime_ns"]))
                        known[image] = self._from_json(note["found"])
        return known

    def _line(self, image: Identity) -> str:
        file, size, mtime_ns = image
        document = {"v": self._version, "file": file, "size": size, "mtime_ns": mtime_ns,
                    "found": self._as_json(self._known[image])}
        return json.dumps(document, ensure_ascii=False) + "\n"
