"""What one machine says of the work on it (`room` of remote/shared/runner.py, doc/design/wire.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ai_nano.core import answers, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import duration, percent
from ai_nano.core.ports import JobEnd
from ai_nano.core.room import ended, training_queue
from ai_nano.core.room.ended import EndedBy
from ai_nano.core.texts import known, t

MOST_POSITION = 100_000
MOST_RUNS = 10_000


@dataclass(frozen=True)
class Work:
    """A run: whose it is, what it does on `machine`, since `age_s`. Of one that goes on: how far it is, or its `position` in
    the queue (1: the next one) and for how long it waits at most. Of one that failed, or that somebody else ended (`by`):
    how, and `ended_s` ago. `node` and `reason` (to wait) are a cluster's, `slot` is which GPU of
    its machine it has. What nobody knows is None."""

    machine: str
    run: str
    program: str
    state: str
    age_s: float
    student: str | None = None
    laptop: str | None = None
    model: str | None = None
    waiting: bool = False
    what: str = ""
    done: float | None = None
    total: float | None = None
    left_s: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    node: str | None = None
    slot: str | None = None
    reason: str | None = None
    position: int | None = None
    wait_s: float | None = None
    ended_s: float | None = None
    end: JobEnd | None = None

    @property
    def by(self) -> EndedBy | None:
        return self.end.ended_by if self.end is not None else None

    @property
    def who(self) -> str:
        """For example `ada@lab3`, `ada (lab3)`."""
        who = self.student or self.run
        return who if self.laptop is None or self.laptop in who else f"{who} ({self.laptop})"

    @property
    def step(self) -> str:
        """The step that it is the work of, as the window's rail calls it; of an unknown program its name."""
        step = wire.step_of({"program": self.program})
        return t(f"window.step.{step}") if known(f"window.step.{step}") else step

    @property
    def place_of_work(self) -> str:
        """Node or GPU, where it is worth telling."""
        return self.node or ("" if self.slot is None else t("room.gpu", number=self.slot))

    @property
    def share(self) -> float | None:
        """How much of what it is at is done, 0 to 1."""
        return None if self.done is None or not self.total else max(0.0, min(1.0, self.done / self.total))

    @property
    def far(self) -> str:
        """For example `epoch 18 of 40 · 45 % · 1 min 4 s left`; empty where nobody knows."""
        parts = []
        if self.epoch is not None and self.epochs:
            parts.append(t("room.epoch", epoch=self.epoch, epochs=self.epochs))
        if self.share is not None:
            parts.append(percent(self.share, digits=0))
        if self.left_s is not None:
            parts.append(t("room.left", time=duration(round(self.left_s))))
        return "  ·  ".join(parts)

    @property
    def place(self) -> str:
        """Of one that waits, for example `next, in 2 min at the latest`."""
        if self.position is None:
            return t("room.waits")
        told = {"position": self.position, "time": "" if self.wait_s is None else duration(round(self.wait_s))}
        # A Nano's turn ends by the clock, a training when it is done.
        code = "room.place_about" if wire.step_of({"program": self.program}) == "train" else "room.place_in"
        return t("room.place" if self.wait_s is None else code, **told)

    @property
    def why(self) -> str:
        """Of one that has ended, in a sentence."""
        if self.by is not None:
            return self.by.text
        if self.end is None:
            return ""
        return wire.job_error(self.end, wire.step_of({"program": self.program}), self.machine, self.run).what

    def older(self, seconds: float) -> "Work":
        """As it is so much later, if nothing has changed."""
        return replace(self, age_s=self.age_s + seconds,
                       left_s=None if self.left_s is None else max(0.0, self.left_s - seconds),
                       wait_s=None if self.wait_s is None else max(0.0, self.wait_s - seconds),
                       ended_s=None if self.ended_s is None else self.ended_s + seconds)

    def to_json(self) -> dict[str, Any]:
        told = {"machine": self.machine, "run": self.run, "step": wire.step_of({"program": self.program}), "state": self.state,
                "student": self.student, "laptop": self.laptop, "model": self.model, "age_s": round(self.age_s, 1)}
        if self.state == "running":
            return {**told, "waiting": self.waiting, "epoch": self.epoch, "epochs": self.epochs, "share": self.share,
                    "left_s": self.left_s, "position": self.position, "wait_s": self.wait_s,
                    "reason": self.reason, "node": self.node, "slot": self.slot}
        return {**told, "ended_s": self.ended_s, "why": self.why, "ended_by": self.by.to_json() if self.by else None}


def read(machine: str, answer: Mapping[str, Any]) -> list[Work]:
    """The runs of an answer; one that makes no sense is left out. MachineError where nothing of it does."""
    with answers.reading(machine):
        now, runs = answers.number(answer, "now"), answers.objects(answer, "runs", MOST_RUNS)
    found = []
    for raw in runs:
        known_run = wire.to_run(raw, now)
        if known_run is not None:
            try:
                found.append(_work(machine, known_run, raw))
            except answers.Nonsense:
                continue
    return found


def _work(machine: str, run: Mapping[str, Any], raw: Mapping[str, Any]) -> Work:
    """Raises Nonsense."""
    progress = optional(answers.mapping, raw, "progress") or {}
    metric = optional(answers.mapping, raw, "metric") or {}
    turn = optional(answers.mapping, raw, "turn") or {}
    running = run["state"] == "running"
    waits = running and run["waiting"]
    told = optional(answers.mapping, raw, "queue")
    queue = training_queue.read(told, "train", machine) if told is not None and waits else None
    model = run["params"].get("model") or PurePosixPath(str(run["params"].get("model_dir") or "")).name
    return Work(
        machine, run["id"], run["program"], run["state"], run["age_s"], run["student"],
        optional(answers.text, raw, "laptop"), answers.shown(str(model)) if model else None, run["waiting"],
        optional(answers.code, progress, "what") or "", optional(answers.number, progress, "done", low=0),
        optional(answers.number, progress, "total", low=0), optional(answers.number, progress, "eta_s", low=0),
        optional(answers.count, metric, "epoch", high=wire.MOST_EPOCHS),
        optional(answers.count, metric, "epochs", high=wire.MOST_EPOCHS),
        optional(answers.text, raw, "node"), optional(answers.text, raw, "slot", longest=20),
        training_queue.reason_words(queue.reason) if queue and queue.reason else None,
        queue.place if queue else optional(answers.count, turn, "position", high=MOST_POSITION) if waits else None,
        queue.start_s if queue else optional(answers.number, turn, "wait_s", low=0) if waits else None,
        optional(answers.number, raw, "ended_s", low=0), None if running else _end(run, raw))


def _end(run: Mapping[str, Any], raw: Mapping[str, Any]) -> JobEnd:
    error = optional(answers.mapping, raw, "error")
    told = None if error is None or error.get("code") is None else (answers.code(error), answers.params(error))
    return JobEnd(run["state"], {}, told, wire.to_exit(raw), (), run["why"], ended.read(raw))


@dataclass(frozen=True)
class Sight:
    """One machine at a moment. `works` None: it has not answered yet, or (with `error`) cannot."""

    name: str
    is_server: bool
    works: tuple[Work, ...] | None = None
    error: AiNanoError | None = None
