"""The queue of a board whose camera, LEDs and memory serve one program at a time: a ticket for each run that waits or works.

Tickets lie in ROOT/.ai_nano/turns, their names begin with their number, and the one with the lowest has the turn. The program
keeps its ticket locked (flock) for as long as it lives: the kernel ends the lock with the process, by KILL or a lost power too,
and knows it across containers, where process ids mean nothing. Whoever looks removes the tickets that nobody holds. Why so:
doc/design/turns.md.
"""

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from shared.wire import VERSION, Run, encode

LOCK = "lock"
NAME = re.compile(r"([0-9]{1,12})-(.+)\.json\Z")
# So long before the end of a turn it is told. One that has had more than its time gets so long as well.
NOTICE_S = 60.0
LARGEST_TICKET = 16384


class Ticket(NamedTuple):
    """Times are this boot's monotonic seconds, the same in every process: `asked` when the run came, `since` when its turn
    came (None: it waits). `turn_s` is how long a turn may last while others wait, None for a program that ends by itself."""

    number: int
    run: str
    program: str = ""
    student: Optional[str] = None
    laptop: Optional[str] = None
    asked: float = 0.0
    since: Optional[float] = None
    turn_s: Optional[float] = None


# ---- what follows from the tickets: pure -------------------------------------------------------------------------------


def ends_at(holder: Ticket, waiting: Sequence[Ticket], now: float) -> Optional[float]:
    """When the holder's turn is over; None while nobody waits, and for a program that ends by itself."""
    if holder.turn_s is None or not waiting:
        return None
    since = now if holder.since is None else holder.since
    return max(since + holder.turn_s, waiting[0].asked + min(NOTICE_S, holder.turn_s))


def entries(tickets: Sequence[Ticket], now: float) -> List[Dict[str, Any]]:
    """The tickets in order, as doc/design/wire.md tells them; the first has the turn."""
    told = []
    for place, ticket in enumerate(tickets):
        if place == 0:
            end = ends_at(ticket, tickets[1:], now)
            left = None if end is None else max(0.0, end - now)
        else:
            left = ticket.turn_s
        began = ticket.asked if place or ticket.since is None else ticket.since
        told.append({"run": ticket.run, "program": ticket.program, "student": ticket.student, "laptop": ticket.laptop,
                     "for_s": round(max(0.0, now - began), 1), "left_s": None if left is None else round(left, 1)})
    return told


def wait_s(ahead: Sequence[Dict[str, Any]]) -> Optional[float]:
    """How long these entries will last at most; None where nobody knows."""
    left = [entry["left_s"] for entry in ahead]
    return None if None in left else round(sum(left), 1)


# ---- the files ---------------------------------------------------------------------------------------------------------


class Place:
    """The ticket of this process, which is its own until `leave` or its end."""

    def __init__(self, queue: "Queue", path: Path, descriptor: int, ticket: Ticket) -> None:
        self.queue = queue
        self.ticket = ticket
        self._path = path
        self._descriptor = descriptor

    def begin(self) -> None:
        """Its turn has come. A disk that is full keeps nobody from working: then others see it as one that waits."""
        self.ticket = self.ticket._replace(since=time.monotonic())
        with suppress(OSError), self.queue.locked():
            _write(self._descriptor, self.ticket)

    def leave(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(str(self._path))
        os.close(self._descriptor)


class Queue:
    def __init__(self, root: Path) -> None:
        self._folder = root / ".ai_nano" / "turns"

    def join(self, run: Run, turn_s: Optional[float]) -> Place:
        """A ticket behind all others. Raises OSError."""
        os.makedirs(str(self._folder), exist_ok=True)
        with self.locked():
            number = 1 + max([each for each, _ in self._names()], default=0)
            ticket = Ticket(number, run.path.name, str(run.spec.get("program")), run.spec.get("student"),
                            run.spec.get("laptop"), time.monotonic(), None, turn_s)
            path = self._folder / f"{number:06d}-{run.path.name}.json"
            descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
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
        if not self._folder.is_dir():
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
        descriptor = os.open(str(self._folder / LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            ours = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
            except BlockingIOError:
                ours = False
            yield ours
        finally:
            os.close(descriptor)

    def _names(self) -> List[Tuple[int, str]]:
        """Numbers and file names, the lowest number first."""
        matches = [NAME.match(name) for name in os.listdir(str(self._folder))]
        return sorted((int(match.group(1)), match.group(0)) for match in matches if match is not None)

    def _read(self, number: int, name: str) -> Optional[Ticket]:
        """None for a ticket that nobody holds any more; it is removed. One that cannot be read is a ticket all the same."""
        path = self._folder / name
        try:
            descriptor = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _ticket(number, name, os.read(descriptor, LARGEST_TICKET))
            with suppress(FileNotFoundError):
                os.unlink(str(path))
            return None
        finally:
            os.close(descriptor)


def _write(descriptor: int, ticket: Ticket) -> None:
    """Over what is there, which is never longer by much: a disk that has become full is no hindrance."""
    data = encode(dict(ticket._asdict(), v=VERSION))
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def _ticket(number: int, name: str, data: bytes) -> Ticket:
    match = NAME.match(name)
    assert match is not None, "_names gave it"
    try:
        told = json.loads(data.decode("utf-8"))
        texts = [told[key] if isinstance(told[key], str) else None for key in ("student", "laptop")]
        since, turn_s = [None if told[key] is None else float(told[key]) for key in ("since", "turn_s")]
        return Ticket(number, match.group(2), str(told["program"]), texts[0], texts[1], float(told["asked"]), since, turn_s)
    except (ValueError, KeyError, TypeError):
        return Ticket(number, match.group(2))
