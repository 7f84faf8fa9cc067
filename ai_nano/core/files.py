"""Writing files so that they are whole or not there."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ai_nano.core.errors import AiNanoError, BadInput, WorkFailed

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# How the name of a file ends that is not whole yet.
PART = ".part"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# Cameras may append a few bytes of their own behind a JPEG's end.
_TAIL = 4096


def user_path(text: str) -> Path:
    """The absolute path that a person typed, `~` included. BadInput for what cannot be one."""
    try:
        if "\0" in text:
            raise ValueError("NUL")
        return Path(text.strip()).expanduser().absolute()
    except (RuntimeError, ValueError) as error:  # RuntimeError: ~nobody
        raise BadInput("workspace.path", folder=text, reason=str(error)) from error


def write_atomically(path: Path, data: bytes, mode: int = 0o644, sync: bool = True) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one.

    `sync=False` leaves the moment of writing to the system: for images, of which many a second may come.
    """
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_new(path: Path, data: bytes) -> None:
    """A file that nobody else writes, whole or not there: for images, of which many a second come.

    What a killed program leaves can be told by its name, `.<name>.part`. The moment of writing is left to the system: to wait
    for it took 50 times as long.
    """
    temporary = path.with_name(f".{path.name}{PART}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, document: Any) -> None:
    write_atomically(path, (json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def is_image_name(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def image_names(folder: Path) -> list[str]:
    """Of the images in a folder, in order; none where there is no such folder. Cheap enough for thousands."""
    try:
        there = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in there if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."))


def looks_like_an_image(path: Path) -> bool:
    """By its first bytes, and a JPEG's last: cheap enough for thousands of files, and neither a text file named .jpg nor
    half a photograph gets through."""
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
            if head.startswith(_JPEG):
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _TAIL))
                return _JPEG_END in stream.read()
    except OSError:
        return False
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"BM")) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def storage_error(error: OSError, path: Path) -> AiNanoError:
    """The project's error for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkFailed("workspace.disk_full", folder=path)
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return BadInput("workspace.read_only", folder=path)
    return WorkFailed("workspace.write", folder=path, reason=error.strerror or str(error))


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a write below `path` into the project's errors."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error
