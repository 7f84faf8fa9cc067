"""`scheduler: direct`: one training at a time for each GPU of this machine, first come, first served (doc/design/sharing.md).

The supervisor of a run takes the ticket (tickets.py) and waits before it starts the program: while a training waits nothing of
it runs and nothing heavy is imported. The program inherits the ticket's lock: a GPU is free when both have ended, however.
"""

import heapq
import json
import os
import re
import statistics
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from shared.tickets import LOCK, NAME, Place, Queue, Ticket
from shared.wire import Failure, decode, encode

# How soon the next one notices that a GPU is free, and one that is far behind; who is cancelled hears of it in STOP_S.
LOOK_S = 0.25
LOOK_FAR_S = 5.0
STOP_S = 0.25
# How soon a training that a full disk kept from noting its GPU tries again.
NOTE_S = 2.0
# How many that wait are looked at whether they live: those who are next.
NEXT = 2
NVIDIA_SMI_S = 15.0
NVIDIA_SMI = ("nvidia-smi", "-L")
DEVICE = re.compile(r"\s*(?:GPU|MIG) .*\(UUID: ([A-Za-z0-9/-]+)\)\s*\Z")
# Each login has its own: in a folder that several share nobody can replace another one's file.
TOOK = "took-{}.json"
KEPT_TIMES = 9
TAIL_BYTES = 16384
# Of a longer queue the laptop is told those who train and the first who wait; the place counts all.
MOST_TOLD = 10


class Slots(NamedTuple):
    """How many train at a time; `devices` is what CUDA_VISIBLE_DEVICES names each, empty without a GPU."""

    number: int
    devices: Sequence[str]

    def name(self, slot: int) -> Optional[str]:
        return self.devices[slot % len(self.devices)] if self.devices else None


def find_slots(schedule: Dict[str, Any]) -> Slots:
    """As config.json has it, else one for each GPU, else one: without a GPU too one trains at a time."""
    devices = find_devices()
    wanted = schedule.get("gpus")
    return Slots(wanted if type(wanted) is int and wanted > 0 else max(1, len(devices)), devices)


def find_devices() -> List[str]:
    """What nvidia-smi lists, as far as the login may see it: a MIG device counts, its GPU then does not."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip() and one.strip() != "-1"]
    try:
        told = subprocess.run(NVIDIA_SMI, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=NVIDIA_SMI_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return listed(told.decode("utf-8", "replace"))


def listed(text: str) -> List[str]:
    """The devices in the words of `nvidia-smi -L`."""
    found: List[List[str]] = []
    for line in text.splitlines():
        match = DEVICE.match(line)
        if match is not None and line.lstrip().startswith("GPU"):
            found.append([match.group(1)])
        elif match is not None and found:
            found[-1].append(match.group(1))
    return [one for gpu in found for one in (gpu[1:] or gpu)]


def queue_folder(root: Path, schedule: Dict[str, Any]) -> Path:
    """`queue` of config.json is one that several logins share."""
    shared = schedule.get("queue")
    return Path(shared) if isinstance(shared, str) and os.path.isabs(shared) else root / ".ai_nano" / "gpus"


def is_of_queue(name: str) -> bool:
    """Whether we gave a file of such a folder its name."""
    return name == LOCK or name.startswith(TOOK.partition("{")[0]) or NAME.match(name) is not None


# ---- what is known of earlier trainings ----------------------------------------------------------------------------------


def kind(spec: Dict[str, Any]) -> str:
    params = spec.get("params") or {}
    return " ".join(str(one) for one in (spec.get("program"), params.get("recipe"), params.get("arch")) if one is not None)


def _times(path: Path) -> Dict[str, List[float]]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): [float(one) for one in times] for key, times in told["took"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def expected_s(folder: Path, spec: Dict[str, Any]) -> Optional[float]:
    """How long a training like this took before: the middle of the last ones; None where there was none."""
    logins = sorted(folder.glob(TOOK.format("*")))
    times = [took for login in logins for took in _times(login).get(kind(spec), [])]
    return statistics.median(times) if times else None


# ---- who waits, and for how long -------------------------------------------------------------------------------------------


def free_slot(tickets: Sequence[Ticket], number: int, slots: Slots) -> Optional[int]:
    """The slot for the ticket of that number, None while all are taken or others come first."""
    taken = [ticket.device for ticket in tickets if ticket.since is not None]
    before = sum(1 for ticket in tickets if ticket.since is None and ticket.number < number)
    free = [slot for slot in range(slots.number) if str(slot) not in taken]
    return free[before] if before < len(free) and len(taken) + before < slots.number else None


def agreed(own: Slots, tickets: Sequence[Ticket]) -> Slots:
    """Where laptops were told different numbers the largest counts, as far as this login sees so many GPUs. Else who was told
    fewer would wait until none of the others trains, while they overtake it."""
    largest = max([ticket.slots or 0 for ticket in tickets], default=0)
    return own._replace(number=max(own.number, min(largest, len(own.devices))))


def starts_in(training: Sequence[Optional[float]], waiting: Sequence[Optional[float]], slots: int) -> Optional[float]:
    """In about how many seconds the next one after `waiting` starts, by what those who train still need and those who wait will
    take; None where nobody knows."""
    if None in training or None in waiting:
        return None
    free = sorted([left or 0.0 for left in training] + [0.0] * max(0, slots - len(training)))
    for needs in waiting:
        heapq.heappush(free, heapq.heappop(free) + (needs or 0.0))
    return heapq.heappop(free) if free else None


def left_s(ticket: Ticket, runs: Path, now: float) -> Optional[float]:
    """How long a training still needs: by its own word, where its run lies among ours, else by how long such ones took."""
    own = _own_estimate(runs / ticket.run / "events.jsonl")
    if own is not None:
        return own
    if ticket.expected_s is None or ticket.since is None or now - ticket.since > ticket.expected_s:
        return None
    return ticket.expected_s - (now - ticket.since)


def _own_estimate(events: Path) -> Optional[float]:
    """The last `eta_s` of its progress, less the time since."""
    try:
        with open(str(events), "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            lines = stream.read().split(b"\n")
        age = max(0.0, time.time() - os.stat(str(events)).st_mtime)
    except OSError:
        return None
    for line in reversed(lines):
        event = decode(line) if line.startswith(b"{") else None
        if event is not None and event.get("type") == "progress":
            eta = event.get("eta_s")
            return max(0.0, eta - age) if isinstance(eta, (int, float)) else None
    return None


class Watch:
    """Looks on while a run waits; sees the queue as it was when it looked last."""

    def __init__(self, root: Path, run: str, spec: Dict[str, Any]) -> None:
        schedule = spec.get("schedule") or {}
        self._runs = root / ".ai_nano" / "runs"
        self._queue = Queue(queue_folder(root, schedule))
        self._run, self._student = run, spec.get("student")
        self._seen: Dict[str, Ticket] = {}
        self._slots: Optional[int] = None

    def look(self) -> Optional[Dict[str, Any]]:
        """The fields of the message `queue` while it waits (doc/design/wire.md); None where it has no ticket, or its turn."""
        if not self._queue.folder.is_dir():
            return None
        with self._queue.locked():
            tickets = self._queue.look(0, self._seen)
        return self.told(tickets)

    def told(self, tickets: Sequence[Ticket]) -> Optional[Dict[str, Any]]:
        own = next((ticket for ticket in tickets if ticket.run == self._run), None)
        if own is None or own.since is not None:
            return None
        now = time.monotonic()
        training = [ticket for ticket in tickets if ticket.since is not None]
        waiting = [ticket for ticket in tickets if ticket.since is None]
        before = [ticket for ticket in waiting if ticket.number < own.number]
        left = [left_s(ticket, self._runs, now) for ticket in training]
        start_s = starts_in(left, [ticket.expected_s for ticket in before], max(1, len(training)))
        ahead = [self._entry(ticket, now, needs) for ticket, needs in zip(training, left)]
        ahead += [self._entry(ticket, now, ticket.expected_s) for ticket in before]
        return {"scheduler": "direct", "state": "waiting", "place": len(before) + 1, "of": len(waiting),
                "start_s": None if start_s is None else round(start_s, 1), "reason": None, "node": None, "error": None,
                "ahead": ahead[:MOST_TOLD]}

    def _entry(self, ticket: Ticket, now: float, needs: Optional[float]) -> Dict[str, Any]:
        began = ticket.asked if ticket.since is None else ticket.since
        return {"run": ticket.run, "student": ticket.student, "laptop": ticket.laptop, "trains": ticket.since is not None,
                "own": self._student is not None and ticket.student == self._student,
                "for_s": round(max(0.0, now - began), 1), "left_s": None if needs is None else round(needs, 1)}


def pause_s(place: int) -> float:
    """Until the next look: all of a queue together look about as often as a few would."""
    return min(LOOK_FAR_S, LOOK_S * place)


class Turn:
    """A run's ticket, and later its GPU."""

    def __init__(self, root: Path, run: str, spec: Dict[str, Any]) -> None:
        """Raises OSError, and Failure queue.unusable {folder, error} for a folder of config.json."""
        schedule = spec.get("schedule") or {}
        self._spec, self._schedule = spec, schedule
        self._folder = queue_folder(root, schedule)
        self._queue = Queue(self._folder)
        self._seen: Dict[str, Ticket] = {}
        self._slots = find_slots(schedule)
        try:
            self._place: Place = self._queue.join(run, spec, None, expected_s(self._folder, spec), self._slots.number)
        except OSError as error:
            if not schedule.get("queue"):
                raise
            raise Failure("queue.unusable", folder=str(self._folder), error=error.strerror or str(error)) from error
        self._began = 0.0
        self._unnoted: Optional[str] = None
        self._noting: Optional[threading.Thread] = None
        self._over = threading.Event()
        self.device: Optional[str] = None

    @property
    def descriptor(self) -> int:
        return self._place.descriptor

    def wait(self, waits: Callable[[], None], stopped: Callable[[], bool], is_next: Callable[[], None] = lambda: None) -> bool:
        """Whether its turn has come; `waits` is told once that it has not yet, `is_next` once that nobody is before it among
        those who wait, `stopped` ends the waiting."""
        told = prepared = False
        while not stopped():
            place = self._try()
            if place == 0:
                self._began = time.monotonic()
                return True
            if not told:
                waits()
                told = True
            if place == 1 and not prepared:
                is_next()
                prepared = True
                continue
            until = time.monotonic() + pause_s(place)
            while time.monotonic() < until and not stopped():
                time.sleep(min(STOP_S, LOOK_S))
        return False

    def _try(self) -> int:
        """0: it has begun; else its place among those who wait."""
        with self._queue.locked():
            tickets = self._queue.look(max(self._slots.number, len(self._slots.devices)) + NEXT, self._seen)
            number = self._place.ticket.number
            slot = free_slot(tickets, number, agreed(self._slots, tickets))
            if slot is None:
                return 1 + sum(1 for ticket in tickets if ticket.since is None and ticket.number < number)
            self.device = self._slots.name(slot)
            try:
                self._place.note_begun(str(slot))
            except OSError:  # a full disk: others see it as one that waits, before them, and not which GPU it has
                self._unnoted = str(slot)
            return 0

    def program_began(self) -> None:
        """What a full disk refused is tried again while it trains; not sooner: a copy of this process has no thread of it."""
        if self._unnoted is not None:
            self._noting = threading.Thread(target=self._note_again, args=(self._unnoted,), daemon=True)
            self._noting.start()

    def _note_again(self, slot: str) -> None:
        while not self._over.wait(NOTE_S):
            with suppress(OSError), self._queue.locked():
                self._place.note_begun(slot)
                return

    def leave(self, well: bool) -> None:
        """It has ended; `well`: how long it took is worth remembering."""
        self._over.set()
        if self._noting is not None:
            self._noting.join()
        if well:
            with suppress(OSError), self._queue.locked():
                self._remember(time.monotonic() - self._began)
        self._place.leave()

    def _remember(self, took: float) -> None:
        path = self._folder / TOOK.format(os.geteuid())
        partial = self._folder / (path.name + ".part")
        times = _times(path)
        times[kind(self._spec)] = (times.get(kind(self._spec), []) + [round(took, 2)])[-KEPT_TIMES:]
        with suppress(FileNotFoundError):  # of one that was killed
            os.unlink(str(partial))
        with open(self._queue.make(partial.name), "wb") as stream:
            stream.write(encode({"took": times}))
        os.replace(str(partial), str(path))


def somebody_trains(root: Path, spec: Dict[str, Any]) -> bool:
    """Whether a run that comes now will probably wait."""
    queue = Queue(queue_folder(root, spec.get("schedule") or {}))
    if not os.path.isdir(str(queue.folder)):
        return False
    with suppress(OSError), queue.locked():  # what is wrong there its own Turn will say
        return bool(queue.look(1, {}))
    return False
