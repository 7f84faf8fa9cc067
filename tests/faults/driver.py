"""One seed, one room, one fault: the commands from split to infer, and what must hold after them.

The kind and the step go round with the seed, so that twenty have them all; the moment is drawn. A fault counts only when
the command was still at work when it struck. One that came too late is missed: the same seed draws an earlier moment and
tries again in a new room, at most four times. The command that was hit is run again, at most three times, until it
succeeds. Then the images are all there, server and Nano hold byte by byte what was sent, no half model is listed, nothing
of the run is running, and the LEDs' program works.
"""

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from laptops import Broken, Laptop

from tests.faults.kinds import CYCLE, ON_LAPTOP, PACE, Fault, Plan
from tests.faults.machines import NotHere
from tests.faults.moments import PREDICTIONS
from tests.faults.room import CLASSES, WORKSPACE, Room, Template

STEPS = ("split", "upload", "train", "export", "deploy", "infer")
RETRIES = 3
MOMENTS = 4


@dataclass(frozen=True)
class Outcome:
    """What the seeds' faults hit, and how the commands ended each time. `missed`: moments that came too late."""

    seeds: tuple[int, ...]
    told: tuple[str, ...]
    where: str
    exits: tuple[tuple[str, ...], ...]
    missed: int
    seconds: float
    problem: str = ""
    left_out: str = ""

    @property
    def text(self) -> str:
        seeds = "+".join(map(str, self.seeds))
        if self.left_out:
            return f"seed {seeds}: left out: {self.left_out}"
        faults = "; ".join(f"{told}: exit {', '.join(exits) or '-'}" for told, exits in zip(self.told, self.exits, strict=True))
        missed = f"missed {self.missed} before; " if self.missed else ""
        return f"seed {seeds}: {faults}; {missed}{self.where}; {self.seconds:.0f} s; {self.problem or 'ok'}"

    @property
    def struck(self) -> int:
        return len(self.told) if not self.problem and not self.left_out else 0


class _Missed(Exception):
    """The command had ended, or needed nothing of what the fault took."""


@dataclass
class _Attempt:
    told: list[str] = field(default_factory=list)
    exits: list[tuple[str, ...]] = field(default_factory=list)
    where: str = ""


def plan(seed: int, missed: int = 0) -> Plan:
    """The same for the same seed; the moment is the earlier, the more often it was `missed`."""
    kind, make, step, later = CYCLE[(seed - 1) % len(CYCLE)]
    rng = random.Random(seed)
    if seed > len(CYCLE):
        step = rng.choice(later)
    return Plan(seed, kind, make, step, rng.uniform(0.03, 0.97) * 0.6 ** missed, rng)


def run(seeds: Sequence[int], template: Template, folder: Path, transfer: str | None = None) -> Outcome:
    """The faults of these seeds, each in another step, in one room. Never raises Broken: what is wrong is the outcome's.

    `folder` is made, and removed when all was well.
    """
    began, missed = time.monotonic(), dict.fromkeys(seeds, 0)
    while True:
        plans = {planned.step: planned for planned in (plan(seed, missed[seed]) for seed in seeds)}
        assert len(plans) == len(seeds), "two faults in one step"
        attempt, problem, left_out = _Attempt(), "", ""
        try:
            _room(plans, template, folder, transfer, attempt, missed)
        except _Missed as late:
            shutil.rmtree(folder)
            if max(missed.values()) < MOMENTS:
                continue
            problem = f"BROKEN: never struck in time: {late}"
        except NotHere as error:
            left_out = str(error)
            shutil.rmtree(folder)
        except (Broken, AssertionError) as broken:
            problem = f"BROKEN: {broken} (all is in {folder})"
        else:
            shutil.rmtree(folder)
        return Outcome(tuple(seeds), tuple(attempt.told), attempt.where, tuple(attempt.exits), sum(missed.values()),
                       time.monotonic() - began, problem, left_out)


def _room(plans: dict[str, Plan], template: Template, folder: Path, transfer: str | None, attempt: _Attempt,
          missed: dict[int, int]) -> None:
    """One room from its opening to its end."""
    first = next(iter(plans.values())).rng
    room = Room(folder, template, nano_embedded=first.random() < 0.5,
                transfer=transfer or first.choice(("auto", "tar", "sftp")))
    attempt.where = f"{room.transfer}, Nano {'embedded' if room.nano_embedded else 'OpenSSH'}"
    for step, planned in plans.items():
        planned.make.prepare(room, step, planned.rng)
    faults: list[Fault] = []
    with room:
        for step in (*(("import",) if "import" in plans else ()), *STEPS):
            if step not in plans:
                _good(room.laptop, step)
                continue
            fault = plans[step].make(room, plans[step])
            try:
                _hit(room, fault, step)
            except _Missed:
                missed[plans[step].seed] += 1
                raise
            finally:
                attempt.told.append(fault.text)
                attempt.exits.append(tuple(f"{one.code} {one.error}".strip() for one in fault.tries))
            if step == "import":
                room.take_in()
            faults.append(fault)
        laptops = {laptop.folder: laptop for fault in faults for laptop in fault.laptops}
        room.check(list(laptops.values()))
        room.let_go()


def _words(step: str) -> tuple[str, ...]:
    if step == "import":
        return "import", WORKSPACE, "--class", CLASSES[-1], "show"
    if step == "infer":
        return "infer", WORKSPACE, "--frames", str(PREDICTIONS)
    return "run", WORKSPACE, "--from", step, "--to", step


def _good(laptop: Laptop, step: str) -> None:
    tried = laptop.run(*_words(step))
    if tried.code:
        raise Broken(f"{step}, without a fault, ends with {tried.code} {tried.error}: {tried.errors[-300:]}")


def _hit(room: Room, fault: Fault, step: str) -> None:
    """Until it succeeds; Broken when it does not. All ends are in `fault.tries`."""
    link = fault.machine.link
    if step not in ON_LAPTOP:  # our programs are there: the fault hits the step's own work
        room.laptop.run("models", *(("--nano", "nano1") if fault.machine is room.nano else ()))
    link.pace(PACE.get(step), fault.rng.uniform(0.002, 0.02))
    fault.begin()
    running = room.laptop.start(*_words(step))
    try:
        if fault.wait(running):
            fault.hit(running)
    finally:
        tried = running.wait()
    tries = fault.tries
    tries.append(tried)
    if fault.in_time(tried):
        fault.judge(tried)
        fault.mend()
    else:
        fault.mend()
        raise _Missed(fault.text)
    link.pace(None)
    while tries[-1].code:
        if len(tries) > RETRIES:
            raise Broken(f"never finishes: {[(one.code, one.error) for one in tries]}")
        tries.append(room.laptop.run(*_words(step)))
        if tries[-1].code not in (0, 1, 3, 4, 5):
            raise Broken(f"ends with {tries[-1].code} {tries[-1].error}: {tries[-1].errors[-300:]}")
