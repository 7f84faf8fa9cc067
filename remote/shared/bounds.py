"""What a run writes may not fill the disk: the middle of a file that has grown too large is given back to it.

Offsets in a file stay what they are: a hole is punched (fallocate), nothing is moved and no writer notices. The beginning
and the newest part are kept. Where the file system cannot do that, a program that writes without end is ended.
"""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple, Optional

from shared.runs import RunFolder
from shared.wire import VERSION, Appender, encode

MIB = 1 << 20
LOG_LIMIT = 8 * MIB
EVENTS_LIMIT = 32 * MIB
KEPT_HEAD = 1 * MIB
# Of what cannot be punched a program may write so much.
UNPUNCHED_LIMIT = 256 * MIB
PAGE = 4096
BLOCK = 512  # the unit of st_blocks, whatever the file system's blocks are
LOOK_S = 0.1
LOOK_FAST_S = 0.005
GRACE_S = 5.0

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


def punch(descriptor: int, offset: int, length: int) -> None:
    """Gives a range of a file back to the file system; it reads as zeros from then on. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    # glibc's plain fallocate has offsets of 32 bits on 32-bit systems.
    function = getattr(libc, "fallocate64", None) or libc.fallocate
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    if function(descriptor, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Growing:
    """A file that others append to, kept below `limit` bytes on the disk. `too_large`: it cannot be, and has grown for long."""

    def __init__(self, path: Path, limit: int) -> None:
        self.too_large = False
        self._path = path
        self._limit = limit
        self._size = 0
        self._at = time.monotonic()

    def look(self) -> float:
        """Punches where it must; the seconds after which to look again."""
        try:
            status = os.stat(str(self._path))
        except OSError:
            return LOOK_S
        now = time.monotonic()
        rate = (status.st_size - self._size) / max(now - self._at, 1e-6)
        self._size, self._at = status.st_size, now
        used = status.st_blocks * BLOCK
        if used > self._limit:
            self.too_large = not self._punch(status.st_size) and used > UNPUNCHED_LIMIT
        # Before another eighth of the limit has come.
        return min(LOOK_S, max(LOOK_FAST_S, self._limit / 8 / rate)) if rate > 0 else LOOK_S

    def _punch(self, size: int) -> bool:
        length = (size - self._limit // 2) // PAGE * PAGE - KEPT_HEAD
        if length <= 0:  # a file system counts what it has set aside for what is still to come
            return True
        try:
            descriptor = os.open(str(self._path), os.O_WRONLY)
            try:
                punch(descriptor, KEPT_HEAD, length)
            finally:
                os.close(descriptor)
        except (OSError, AttributeError):  # not that file system, or a C library without the function
            return False
        return True


class Bounds(threading.Thread):
    """Watches what a run writes, beside the supervisor's waiting. `ended_it`: the program wrote too much and was ended."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(daemon=True)
        self.ended_it = False
        self._folder = folder
        self._files = [Growing(folder.output, LOG_LIMIT), Growing(folder.events, EVENTS_LIMIT)]
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(min(file.look() for file in self._files)):
            if any(file.too_large for file in self._files) and not self.ended_it:
                self.ended_it = True
                self._end_program()

    def stop(self) -> None:
        """The program has ended: one last look."""
        self._over.set()
        self.join()
        for file in self._files:
            file.look()

    def _end_program(self) -> None:
        try:
            Appender(self._folder.events).append(encode({
                "v": VERSION, "type": "error", "code": "run.too_much_output", "params": {"bytes": UNPUNCHED_LIMIT}}))
        except OSError:
            pass  # the disk is full; exit.json still tells that it was ended
        self._folder.kill(signal.SIGTERM)
        if not self._over.wait(GRACE_S):
            self._folder.kill(signal.SIGKILL)


class Piece(NamedTuple):
    """What a reader found: `skipped` bytes that are gone, or else `data`."""

    skipped: int
    data: bytes


def read_piece(descriptor: int, offset: int, size: int) -> Piece:
    """At most `size` bytes from `offset` on. A hole is skipped, and with it the lines of which it took a part.

    The data is read first and the holes are asked for afterwards: holes only grow, so zeros of a hole that was made meanwhile
    are never taken for data.
    """
    data = os.pread(descriptor, size, offset)
    if b"\0" not in data:
        return Piece(0, data)
    hole = _seek(descriptor, offset, os.SEEK_HOLE)
    if hole is None or hole >= offset + len(data):
        return Piece(0, data)  # a program may write NUL itself
    whole = data[:hole - offset]
    if b"\n" in whole:
        return Piece(0, whole)
    start = _seek(descriptor, hole, os.SEEK_DATA)
    if start is None:
        start = os.fstat(descriptor).st_size
    line = os.pread(descriptor, size, start).find(b"\n") + 1
    return Piece(start + line - offset, b"")


def _seek(descriptor: int, offset: int, whence: int) -> Optional[int]:
    try:
        return os.lseek(descriptor, offset, whence)
    except OSError:
        return None  # beyond the end, or a file system that knows no holes
