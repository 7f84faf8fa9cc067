"""One seed, one room, one fault: the six commands from split to infer, and what must hold after them.

The kind goes round with the seed, so that a soak has them all; the step (of the kind's) and the moment are drawn. The
command that the fault hits is run again, at most three times, until it succeeds. Then the images are all there, server and
Nano hold byte by byte what was sent, no half model is listed, nothing of the run is running, and the LEDs' program works.
"""

import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.kinds import CYCLE, PACE, SECONDS, STEPS, Fault, Plan
from tests.faults.machines import NotHere
from tests.faults.room import WORKSPACE, Broken, Laptop, Room, Template

RETRIES = 3


@dataclass(frozen=True)
class Outcome:
    seed: int
    told: str
    tries: tuple[str, ...]  # how the command that was hit ended, each time
    seconds: float
    problem: str = ""
    left_out: str = ""

    @property
    def text(self) -> str:
        ends = ", ".join(self.tries)
        end = self.left_out and f"left out: {self.left_out}" or self.problem or "ok"
        return f"seed {self.seed}: {self.told}; exits {ends or '-'}; {self.seconds:.0f} s; {end}"


def plan(seed: int) -> Plan:
    kind, make, steps = CYCLE[(seed - 1) % len(CYCLE)]
    rng = random.Random(seed)
    step = rng.choice(steps)
    return Plan(seed, kind, make, step, rng.uniform(0.0, SECONDS[step]), rng)


def run(seed: int, template: Template, folder: Path, transfer: str | None = None) -> Outcome:
    """Never raises Broken: what is wrong is the outcome's. `folder` is made, and removed when all was well."""
    planned = plan(seed)
    room = Room(folder, template, nano_embedded=planned.rng.random() < 0.5,
                transfer=transfer or planned.rng.choice(("auto", "tar", "sftp")))
    planned.make.prepare(room, planned.step, planned.rng)
    began = time.monotonic()
    told, problem = f"{planned.step}, {planned.kind}", ""
    fault: Fault | None = None
    try:
        with room:
            fault = planned.make(room, planned)
            try:
                for step in STEPS:
                    if step != planned.step:
                        _good(room.laptop, step)
                        continue
                    _hit(room, fault, step)
                room.check(fault.laptops)
            finally:
                nano = "embedded" if room.nano_embedded else "OpenSSH"
                told = f"{planned.step}, {planned.kind} {fault.told} ({room.transfer}, Nano {nano})"
            room.let_go()
    except NotHere as error:
        shutil.rmtree(folder)
        return Outcome(seed, told, (), 0.0, left_out=str(error))
    except (Broken, AssertionError) as broken:
        problem = f"BROKEN: {broken} (all is in {folder})"
    else:
        shutil.rmtree(folder)
    tries = tuple(f"{one.code} {one.error}".strip() for one in fault.tries) if fault else ()
    return Outcome(seed, told, tries, time.monotonic() - began, problem)


def _words(step: str) -> tuple[str, ...]:
    return ("infer", WORKSPACE, "--frames", "150") if step == "infer" else ("run", WORKSPACE, "--from", step, "--to", step)


def _good(laptop: Laptop, step: str) -> None:
    tried = laptop.run(*_words(step))
    if tried.code:
        raise Broken(f"{step}, without a fault, ends with {tried.code} {tried.error}: {tried.errors[-300:]}")


def _hit(room: Room, fault: Fault, step: str) -> None:
    """Until it succeeds; Broken when it does not. All ends are in `fault.tries`."""
    link = fault.machine.link
    if fault.rng.random() < 0.7:  # our programs are there: the fault is more likely to hit the step's own work
        room.laptop.run("models", *(("--nano", "nano1") if fault.machine is room.nano else ()))
    link.pace(PACE.get(step), fault.rng.uniform(0.002, 0.02))
    fault.begin()
    running = room.laptop.start(*_words(step))
    try:
        moment = time.monotonic() + fault.plan.after_s
        while running.runs and time.monotonic() < moment:
            time.sleep(0.01)
        fault.strike(running)
    finally:
        tried = running.wait()
    tries = fault.tries
    tries.append(tried)
    fault.judge(tried)
    fault.mend()
    link.pace(None)
    while tries[-1].code:
        if len(tries) > RETRIES:
            raise Broken(f"never finishes: {[(one.code, one.error) for one in tries]}")
        tries.append(room.laptop.run(*_words(step)))
        if tries[-1].code not in (0, 1, 3, 4, 5):
            raise Broken(f"ends with {tries[-1].code} {tries[-1].error}: {tries[-1].errors[-300:]}")
