"""Who is next where one program works at a time: a ticket for each run that waits or works, in a folder.

A ticket's name begins with its number; who has a lower one came before. The program keeps its ticket locked (flock) as
long as it lives: the kernel ends the lock with the process, by KILL or a lost power too, and knows it across containers,
where process ids mean nothing. Whoever looks removes the tickets that nobody holds. Why so: doc/design/turns.md, sharing.md.
"""

import errno
import fcntl
import json
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from shared.wire import VERSION, encode

LOCK = "lock"
NAME = re.compile(r"([0-9]{1,12})-(.+)\.json\Z")
LARGEST_TICKET = 16384
# How long a lock may be its maker's alone: between making it and letting others use it.
MADE_S = 1.0
# Of a ticket that a Nano's program has none of these is written.
OPTIONAL = ("device", "expected_s", "slots")


class Ticket(NamedTuple):
    """Times are this boot's monotonic seconds, the same in every process: `asked` when the run came, `since` when its turn
    came (None: it waits). `turn_s` is how long a turn may last while others wait, None for a program that ends by itself.
    `device` is the GPU that it got, `expected_s` how long such a training took before, `slots` how
    many it was told may train at a time."""

    number: int
    run: str
    program: str = ""
    student: Optional[str] = None
    laptop: Optional[str] = None
    asked: float = 0.0
    since: Optional[float] = None
    turn_s: Optional[float] = None
    device: Optional[str] = None
    expected_s: Optional[float] = None
    slots: Optional[int] = None


class Place:
    """The ticket of this process, which is its own until `leave` or its end."""

    def __init__(self, queue: "Queue", path: Path, descriptor: int, ticket: Ticket) -> None:
        self.queue = queue
        self.ticket = ticket
        self._path = path
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int:
        """Of the lock, for a program that shall hold it too."""
        return self._descriptor

    def begin(self) -> None:
        """Its turn has come. A disk that is full keeps nobody from working: then others see it as one that waits."""
        with suppress(OSError), self.queue.locked():
            self.note_begun()

    def note_begun(self, device: Optional[str] = None) -> None:
        """For who has the queue locked. Raises OSError; may be asked for again then."""
        self.ticket = self.ticket._replace(since=self.ticket.since or time.monotonic(), device=device)
        _write(self._descriptor, self.ticket)

    def leave(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(str(self._path))
        os.close(self._descriptor)


class Queue:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def join(self, run: str, spec: Dict[str, Any], turn_s: Optional[float] = None, expected_s: Optional[float] = None,
             slots: Optional[int] = None) -> Place:
        """A ticket behind all others, for a run and its spec. Raises OSError."""
        os.makedirs(str(self.folder), exist_ok=True)
        with self.locked():
            number = 1 + max([each for each, _ in self._names()], default=0)
            ticket = Ticket(number, run, str(spec.get("program")), spec.get("student"), spec.get("laptop"), time.monotonic(),
                            None, turn_s, None, expected_s, slots)
            path = self.folder / f"{number:06d}-{run}.json"
            descriptor = self.make(path.name)
            place = Place(self, path, descriptor, ticket)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write(descriptor, ticket)
            except BaseException:
                place.leave()
                raise
        return place

    def tickets(self, patient: bool = True) -> Optional[List[Ticket]]:
        """Those of living programs, in order; the others are removed. None when another one is just looking and this one
        is not `patient`."""
        if not self.folder.is_dir():
            return []
        with self.locked(patient) as ours:
            if not ours:
                return None
            found = [self._read(number, name) for number, name in self._names()]
        return [ticket for ticket in found if ticket is not None]

    @contextmanager
    def locked(self, patient: bool = True) -> Iterator[bool]:
        """Nobody else reads or changes the queue meanwhile: the wait is for a few small files. False: not `patient`, and
        somebody does."""
        descriptor = self._open_lock()
        try:
            ours = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
            except BlockingIOError:
                ours = False
            yield ours
        finally:
            os.close(descriptor)

    def look(self, asked: int, seen: Dict[str, Ticket]) -> List[Ticket]:
        """All tickets in order, for who has the queue locked. Of the first `asked` that live it is looked whether they do.

        The others are kept in `seen`, which is the caller's, and read again only as far as one may have begun since, in order:
        a look costs little more than the folder's names, however long the queue is.
        """
        found: Dict[str, Ticket] = {}
        settled = False
        for number, name in self._names():
            known = seen.get(name)
            if len(found) < asked:
                ticket = self._read(number, name)
            elif known is not None and (settled or known.since is not None):
                ticket = known
            else:
                ticket = self._peek(number, name)
            if ticket is not None:
                found[name] = ticket
                settled = settled or (known is not None and ticket.since is None)
        seen.clear()
        seen.update(found)
        return list(found.values())

    def make(self, name: str, others_write: bool = False) -> int:
        """A new file, which whoever may write into the folder may read, whatever this login's umask is. Raises OSError."""
        descriptor = os.open(str(self.folder / name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with suppress(OSError):  # a file system without modes
            may_write = os.stat(str(self.folder)).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode) | may_write << 1 | (may_write if others_write else 0)
            os.fchmod(descriptor, mode)
        return descriptor

    def _open_lock(self) -> int:
        """Another login may have made it: who may not write it can lock it all the same."""
        path = str(self.folder / LOCK)
        deadline = time.monotonic() + MADE_S
        while True:
            try:
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # to write: NFS locks no other
            except FileNotFoundError:
                with suppress(FileExistsError):
                    return self.make(LOCK, others_write=True)
            except PermissionError:
                try:
                    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except PermissionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    def _peek(self, number: int, name: str) -> Optional[Ticket]:
        """As it is written, whether somebody holds it or not."""
        try:
            descriptor = os.open(str(self.folder / name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            return _ticket(number, name, b"")
        try:
            return _ticket(number, name, os.read(descriptor, LARGEST_TICKET))
        finally:
            os.close(descriptor)

    def _names(self) -> List[Tuple[int, str]]:
        """Numbers and file names, the lowest number first."""
        matches = [NAME.match(name) for name in os.listdir(str(self.folder))]
        return sorted((int(match.group(1)), match.group(0)) for match in matches if match is not None)

    def _read(self, number: int, name: str) -> Optional[Ticket]:
        """None for a ticket that nobody holds any more; it is removed. One that cannot be read is a ticket all the same."""
        path = self.folder / name
        try:
            descriptor = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            return _ticket(number, name, b"")
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _ticket(number, name, os.read(descriptor, LARGEST_TICKET))
            with suppress(FileNotFoundError, PermissionError):  # another login's, in a folder that all share
                os.unlink(str(path))
            return None
        finally:
            os.close(descriptor)


def _write(descriptor: int, ticket: Ticket) -> None:
    """Over what is there, which is never longer by much: a disk that has become full is no hindrance."""
    told = {key: value for key, value in ticket._asdict().items() if value is not None or key not in OPTIONAL}
    data = encode(dict(told, v=VERSION))
    if os.pwrite(descriptor, data, 0) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, len(data))


def _ticket(number: int, name: str, data: bytes) -> Ticket:
    match = NAME.match(name)
    assert match is not None, "_names gave it"
    try:
        told = json.loads(data.decode("utf-8"))
        texts = [told[key] if isinstance(told[key], str) else None for key in ("student", "laptop")]
        since, turn_s = [None if told[key] is None else float(told[key]) for key in ("since", "turn_s")]
        device, expected, slots = [told.get(key) for key in OPTIONAL]
        return Ticket(number, match.group(2), str(told["program"]), texts[0], texts[1], float(told["asked"]), since, turn_s,
                      None if device is None else str(device), None if expected is None else float(expected),
                      None if slots is None else int(slots))
    except (ValueError, KeyError, TypeError):
        return Ticket(number, match.group(2))
