"""The figures of a soak: what was measured, as JSON, as a table for a terminal and for doc/scale.md."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.lesson import PHASES, Lesson, Training
from tests.soak.memory import PARTS, Peaks

_NAMES = {"laptops": "commands of the laptops", "sshd": "sshd and its sessions", "server": "our programs on the server",
          "nanos": "the Nanos' servers and programs", "slurm": "Slurm"}


@dataclass(frozen=True)
class Soak:
    """`told` is what the room counted: sshd's logins and refusals. `problems` are those of the checks afterwards."""

    scheduler: str
    images: int
    spread_s: float
    lessons: Sequence[Lesson]
    seconds: float
    peaks: Peaks
    told: Mapping[str, int]
    again: int
    problems: Sequence[str]
    kept: str = ""

    @property
    def failures(self) -> list[str]:
        return [f"{lesson.owner}: {lesson.told.failure}" for lesson in self.lessons if lesson.told.failure]

    @property
    def ok(self) -> bool:
        return not self.failures and not self.problems

    @property
    def trainings(self) -> list[Training]:
        return [lesson.told.training for lesson in self.lessons if lesson.told.training.whole]

    def to_json(self) -> dict[str, Any]:
        waits = [training.turn - training.asked for training in self.trainings]
        held = [training.ended - training.turn for training in self.trainings]
        gpu = use(self.trainings)
        return {
            "v": 1, "ok": self.ok, "scheduler": self.scheduler, "laptops": len(self.lessons), "images": 3 * self.images,
            "spread_s": self.spread_s, "machine": {"processors": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
                                                   "python": platform.python_version()},
            "seconds": round(self.seconds, 1),
            "phases": {name: _median_max(self._seconds_of(name)) for name in PHASES},
            "queue_s": _median_max(waits), "training_s": _median_max(held),
            "gpu": {name: round(seconds, 1) for name, seconds in gpu.items()},
            "memory_mb": {part: size >> 20 for part, size in self.peaks.parts.items()},
            "processes": dict(self.peaks.processes), "sshd": dict(self.told), "laptops_came_again": self.again,
            "finished": len(self.lessons) - len(self.failures), "failures": self.failures, "problems": list(self.problems),
            **({"kept": self.kept} if self.kept else {})}

    def _seconds_of(self, name: str) -> list[float]:
        return [phase.seconds for lesson in self.lessons if not lesson.told.failure
                for phase in lesson.told.phases if phase.name == name]

    def rows(self) -> list[tuple[str, str]]:
        told = self.to_json()
        memory, processes = told["memory_mb"], told["processes"]
        found = [
            ("laptops that finished", f"{told['finished']} of {told['laptops']}"),
            ("images of each", str(told["images"])),
            ("from the first to the last second", _duration(self.seconds)),
            *((f"{name}, median (worst)", _pair(told["phases"][name])) for name in PHASES),
            ("of train: in the queue, median (worst)", _pair(told["queue_s"])),
            ("of train: with the GPU, median (worst)", _pair(told["training_s"])),
            ("somebody had the GPU", _duration(told["gpu"]["held_s"])),
            ("nobody had it, while somebody waited", f"{told['gpu']['free_s']:.1f} s"),
            ("it loaded libraries, while somebody waited", f"{told['gpu']['loading_s']:.1f} s"),
            ("most memory at a time, all together", f"{memory['total']} MB in {processes['total']} processes"),
            *((f"most memory of {_NAMES[part]}", f"{memory[part]} MB in {processes[part]} processes")
              for part in PARTS if processes[part]),
            ("logins at the server", str(told["sshd"]["logins"])),
            ("laptops that sshd sent away (MaxStartups)", str(told["sshd"]["refused"])),
            ("times that a laptop came again by itself", str(told["laptops_came_again"])),
            ("files of one found with another, or lost", str(len(self.problems)))]
        return found


def use(trainings: Sequence[Training]) -> dict[str, float]:
    """`held_s`: at least one training had its turn. `free_s`: none had, though one waited for it. `loading_s`: those that had
    their turn were not at work yet, and others waited."""
    moments = sorted({moment for one in trainings for moment in (one.asked, one.turn, one.began, one.ended)})
    found = {"held_s": 0.0, "free_s": 0.0, "loading_s": 0.0}
    for before, after in zip(moments, moments[1:], strict=False):
        held = [one for one in trainings if one.turn <= before < one.ended]
        waited_for = any(one.asked <= before < one.turn for one in trainings)
        found["held_s"] += (after - before) * bool(held)
        found["free_s"] += (after - before) * (waited_for and not held)
        found["loading_s"] += (after - before) * (waited_for and bool(held) and all(before < one.began for one in held))
    return found


def table(soak: Soak) -> str:
    rows = soak.rows()
    width = max(len(name) for name, _ in rows)
    lines = [f"{len(soak.lessons)} laptops, scheduler {soak.scheduler}, {len(os.sched_getaffinity(0))} processors"]
    lines += [f"  {name:<{width}}  {value}" for name, value in rows]
    lines += [f"failed: {each}" for each in soak.failures] + [f"WRONG: {each}" for each in soak.problems]
    return "\n".join([*lines, *([f"what the failed ones said is in {soak.kept}"] if soak.kept else [])])


def markdown(soak: Soak) -> str:
    head = f"| {len(soak.lessons)} laptops, `{soak.scheduler}`, {len(os.sched_getaffinity(0))} processors | |"
    return "\n".join([head, "|---|---|", *(f"| {name} | {value} |" for name, value in soak.rows()),
                      *(f"| failed | {each} |" for each in (*soak.failures, *soak.problems))])


def _median_max(values: Sequence[float]) -> dict[str, float] | None:
    return {"median": round(statistics.median(values), 2), "max": round(max(values), 2)} if values else None


def _pair(told: Mapping[str, float] | None) -> str:
    return f"{told['median']:.1f} ({told['max']:.1f}) s" if told else "-"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
