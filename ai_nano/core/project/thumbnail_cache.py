"""Small pictures kept in the workspace, so that a class of many images is seen at once the next time."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ai_nano.core.files import write_atomically
from ai_nano.core.project.workspace import Workspace

# Files of about 5 kB.
MOST_FILES = 12_000
LOOK_EVERY = 500
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"

Make = Callable[[Path, int], bytes | None]


class ThumbnailCache:
    """A JPEG for each image and width in WORKSPACE/.ai_nano/cache/thumbnails, named by the image's path, size and time of
    change: of an image that was changed there is none. What cannot be read, or is not whole, is made anew; where nothing can
    be written, everything is. For any thread."""

    def __init__(self, workspace: Workspace, most: int = MOST_FILES) -> None:
        self.folder = workspace.hidden / "cache" / "thumbnails"
        self._workspace = workspace.path
        self._most = most
        self._lock = threading.Lock()
        self._written = 0

    def get(self, image: Path, width: int, make: Make, anew: bool = False) -> bytes | None:
        """The small JPEG; None where `make` gives none or the image is not there. `anew`: the one that is kept is no good."""
        try:
            place = self._place(image, width)
        except OSError:
            return None
        kept = None if anew else _whole_jpeg(place)
        if kept is not None:
            return kept
        made = make(image, width)
        if made is not None:
            self._keep(place, made)
        return made

    def _place(self, image: Path, width: int) -> Path:
        status = image.stat()
        # Below the workspace, so that one that was moved or renamed keeps its thumbnails.
        path = os.path.relpath(image, self._workspace)
        told = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{width}"
        return self.folder / (hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + ".jpg")

    def _keep(self, place: Path, jpeg: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(place, jpeg, sync=False)
        except OSError:  # a full disk, a folder that may not be written: it works without
            return
        with self._lock:
            self._written += 1
            due = self._written % LOOK_EVERY == 1
        if due:
            self._bound()

    def _bound(self) -> None:
        """Where there are too many, the tenth that was written first goes."""
        try:
            with os.scandir(self.folder) as entries:
                found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries]
            if len(found) > self._most:
                found.sort()
                for _, path in found[:len(found) - self._most + self._most // 10]:
                    Path(path).unlink(missing_ok=True)
        except OSError:
            return


def _whole_jpeg(path: Path) -> bytes | None:
    """The file's bytes; None for what a crash may have left, which is empty, cut off, or ends in zeros."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if data.startswith(_JPEG) and data.endswith(_JPEG_END) else None
