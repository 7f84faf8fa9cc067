"""A program's turn on the board: it waits for it, telling the laptop who is before it, and gives way when its time is over.

Nothing heavy is imported, opened or lit while a program waits. doc/design/wire.md has the event `turn`, doc/design/turns.md
says why so.
"""

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from jetson_nano.turn_queue import NOTICE_S, ends_at, entries, queue_of, wait_s
from shared.runs import RunFolder, Runs
from shared.tickets import Place, Ticket
from shared.wire import Commands, Failure, Lease, Run

POLL_S = 0.2
TELL_S = 1.0
# How often the one that has the turn looks whether somebody waits.
LOOK_S = 0.5
LONGEST_S = 24 * 3600


class Turn:
    """Of a program behind which nobody waits."""

    # Whether it had to wait: what was looked at before may have changed.
    waited = False

    def over(self) -> bool:
        """Whether the program has to end for another one, which the laptop has been told. May be asked often."""
        return False

    @property
    def facts(self) -> Dict[str, Any]:
        """What the result says of it."""
        return {}


class QueuedTurn(Turn):
    """Lasts until the program ends by itself, or, while others wait, at most for its time; never without a notice."""

    def __init__(self, run: Run, place: Place, waited: bool) -> None:
        self._run = run
        self._place = place
        self.waited = waited
        self._turn_s = place.ticket.turn_s
        self._over = False
        self._look_at = 0.0
        # How many waited and when it was to end, when the laptop was told last.
        self._told_waiting = 0
        self._told_end = 0.0

    @property
    def facts(self) -> Dict[str, Any]:
        return {"turn_over": True} if self._over else {}

    def over(self) -> bool:
        now = time.monotonic()
        if not self._over and self._turn_s is not None and now >= self._look_at:
            self._look_at = now + LOOK_S
            tickets = self._place.queue.tickets(patient=False)
            if tickets is not None:
                self._look([each for each in tickets if each.number > self._place.ticket.number], now, self._turn_s)
        return self._over

    def _look(self, waiting: List[Ticket], now: float, turn_s: float) -> None:
        end = ends_at(self._place.ticket, waiting, now)
        if end is not None and now >= end:
            self._over = True
            self._run.log("infer.turn_over", minutes=_minutes(turn_s), who=_who(waiting[0]))
        elif end is not None and end - now <= NOTICE_S:
            if len(waiting) != self._told_waiting or abs(end - self._told_end) > LOOK_S:
                self._told_waiting, self._told_end = len(waiting), end
                self._run.emit("turn", state="ending", left_s=round(end - now, 1), waiting=len(waiting), who=_who(waiting[0]))
        elif self._told_waiting:
            self._told_waiting = 0
            self._run.emit("turn", state="yours", limit_s=turn_s)


@contextmanager
def take_turn(run: Run) -> Iterator[Optional[Turn]]:
    """The run's turn, for as long as the block lasts; waits for it. None: it was told to stop before its turn came, or the
    laptop is gone.

    Raises Failure infer.bad_params {key}.
    """
    turn_s = run.params.get("turn_s")
    if turn_s is not None and not (type(turn_s) in (int, float) and 0 < turn_s <= LONGEST_S):
        raise Failure("infer.bad_params", key="turn_s")
    if not _queues(run):
        yield Turn()
        return
    place = queue_of(run.root).join(run.path.name, run.spec, turn_s)
    try:
        yield _wait(run, place)
    finally:
        place.leave()


def _queues(run: Run) -> bool:
    """Not what began at boot: its folder is elsewhere, and it gives way to every laptop. Nor what wants no turn."""
    return run.params.get("queue", True) is not False and _real(run.path.parent) == _real(Runs(run.root).path)


def _real(path: Path) -> str:
    """A container is started with real paths."""
    return os.path.realpath(str(path))


def _wait(run: Run, place: Place) -> Optional[Turn]:
    commands, lease = Commands(run), Lease(run)
    told: List[str] = []
    tell_at = 0.0
    waiting = RunFolder(run.path).waiting  # for who lists the runs
    while True:
        tickets = place.queue.tickets() or []
        before = [each for each in tickets if each.number < place.ticket.number]
        if not before:
            place.begin()
            if told:
                run.emit("turn", state="yours", limit_s=place.ticket.turn_s)
                with suppress(OSError):
                    waiting.unlink()
            return QueuedTurn(run, place, waited=bool(told))
        if not told:
            with suppress(OSError):
                waiting.write_bytes(b"")
        now, runs = time.monotonic(), [each.run for each in before]
        if runs != told or now >= tell_at:
            told, tell_at = runs, now + TELL_S
            _tell(run, tickets, place, now)
        if any(command.get("type") == "stop" for command in commands.poll()):
            return None
        if lease.expired():
            run.log("infer.lease_lost", level="warning")
            return None
        time.sleep(POLL_S)


def _tell(run: Run, tickets: List[Ticket], place: Place, now: float) -> None:
    student = run.spec.get("student")
    ahead = [dict(entry, own=student is not None and entry["student"] == student)
             for ticket, entry in zip(tickets, entries(tickets, now)) if ticket.number < place.ticket.number]
    run.emit("turn", state="waiting", position=len(ahead), ahead=ahead, wait_s=wait_s(ahead))


def _who(ticket: Ticket) -> str:
    return ticket.student or ticket.run


def _minutes(seconds: float) -> float:
    minutes = round(seconds / 60, 1)
    return int(minutes) if minutes == int(minutes) else minutes
