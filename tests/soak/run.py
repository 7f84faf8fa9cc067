"""One soak from its first to its last process. Nothing of it is left behind, also when it is broken off."""

import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from laptops import Broken, can_name_hosts

from tests.faults.machines import end_all, processes_of
from tests.soak import checks
from tests.soak.figures import Soak
from tests.soak.lesson import Lesson
from tests.soak.memory import Watcher
from tests.soak.room import MAX_STARTUPS, Room, owners

LOOK_S = 0.2


@dataclass(frozen=True)
class Plan:
    """`images` of each class, `width` of them in pixels."""

    laptops: int = 30
    images: int = 60
    scheduler: str = "slurm"
    nanos: int = 3
    spread_s: float = 5.0
    width: int = 640
    max_startups: str = MAX_STARTUPS


def soak(plan: Plan, say: Callable[[str], None],
         afterwards: Callable[[list[Lesson], Room], None] = lambda lessons, room: None) -> Soak:
    """Never raises what is a laptop's: that is in the outcome. KeyboardInterrupt passes through, with everything ended.

    `afterwards` sees the room once all has been looked at.
    """
    hosts = can_name_hosts()
    with Room(plan.scheduler, plan.nanos, hosts, plan.max_startups) as room:
        say(f"{plan.laptops} laptops get their pictures")
        lessons = [Lesson(owner, room, room.folder / f"laptop-{owner.number:02d}", plan.images, plan.width, hosts)
                   for owner in owners(plan.laptops)]
        began = time.monotonic()

        def sessions() -> set[int]:
            return {lesson.pid for lesson in lessons if lesson.pid is not None}

        with _all_at_work(lessons, room), Watcher(
                room.folder, room.server.own_processes, room.slurm_processes, sessions) as memory:
            rng = random.Random(plan.laptops)
            for lesson in lessons:
                lesson.begin(rng.uniform(0, plan.spread_s))
            _wait(lessons, say)
        seconds = time.monotonic() - began
        failed = [lesson for lesson in lessons if lesson.told.failure]
        try:
            problems = [] if failed else checks.problems(lessons, room)
        except (Broken, OSError, KeyError) as error:
            problems = [f"{type(error).__name__}: {error}"]
        kept = keep(failed or (lessons if problems else []), room)
        afterwards(lessons, room)
        again = sum(count_again(lesson) for lesson in lessons)
        return Soak(plan.scheduler, plan.images, plan.spread_s, lessons, seconds, memory.peaks, room.server.counts(), again,
                    problems, kept)


@contextmanager
def _all_at_work(lessons: list[Lesson], room: Room) -> Iterator[None]:
    """On leaving, however, no laptop does anything any more."""
    try:
        yield
    finally:
        for lesson in lessons:
            lesson.stop()
        for lesson in lessons:
            lesson.join()
        # A command that was killed may have left a child.
        end_all(pid for lesson in lessons for pid in processes_of(lesson.laptop.folder))


def _wait(lessons: list[Lesson], say: Callable[[str], None]) -> None:
    at_work = list(lessons)
    while at_work:
        time.sleep(LOOK_S)
        for lesson in [each for each in at_work if not each.runs]:
            at_work.remove(lesson)
            took = sum(phase.seconds for phase in lesson.told.phases)
            say(f"{lesson.owner}: {lesson.told.failure or 'done'}, {took:.0f} s; {len(at_work)} at work")


def count_again(lesson: Lesson) -> int:
    """How often this laptop was sent away by sshd or hung up on, and came again by itself."""
    return sum(len(re.findall(r" is busy | hung up; once more", log.read_text(errors="replace")))
               for log in lesson.laptop.said.glob("*.log"))


def keep(lessons: list[Lesson], room: Room) -> str:
    """What these laptops said and what is known of their runs, in a folder that outlives the room; empty for none."""
    if not lessons:
        return ""
    kept = Path(tempfile.mkdtemp(prefix="ai_nano-soak-failed-"))
    for lesson in lessons:
        target = kept / lesson.laptop.folder.name
        shutil.copytree(lesson.laptop.said, target, dirs_exist_ok=True) if lesson.laptop.said.exists() else target.mkdir()
        project = lesson.laptop.workspace / "ai_nano.json"
        if project.exists():
            shutil.copy(project, target)
    for machine in (room.server, *room.nanos):
        for source in (machine.folder / "server.log", machine.root / ".ai_nano" / "runs"):
            if source.is_dir():
                shutil.copytree(source, kept / machine.name / "runs", ignore_dangling_symlinks=True)
            elif source.exists():
                (kept / machine.name).mkdir(exist_ok=True)
                shutil.copy(source, kept / machine.name)
    return str(kept)


def to_stderr(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
