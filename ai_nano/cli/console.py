"""What a terminal shows of a running step: JSON lines, or progress bars and plain sentences."""

import json
import math
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Best, Building, Event, Health, Log, Metric, Prediction, Progress, State
from ai_nano.core.figures import amount, percent
from ai_nano.core.room.training_queue import Queued
from ai_nano.core.room.turns import Turn
from ai_nano.core.texts import known, t


class Console(Protocol):
    def emit(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """A line for a person; nothing with --json."""

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """The last line: `document` as JSON, or `text`."""

    def failure(self, error: AiNanoError) -> None: ...

    def close(self) -> None: ...


class JsonConsole:
    """Every line on stdout is one JSON object with `v` and `type`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        self._line(event.to_json())

    def say(self, text: str) -> None:
        """Sentences are not for programs."""

    def result(self, document: Mapping[str, Any], text: str) -> None:
        self._line({"v": 1, "type": "result", "ok": True, **document})

    def failure(self, error: AiNanoError) -> None:
        self._line({"v": 1, "type": "result", "ok": False, "error": error.to_json()})

    def close(self) -> None:
        """Every line has been flushed."""

    def line(self, document: Mapping[str, Any]) -> None:
        """One of a kind that is no event of a step."""
        self._line(document)

    def _line(self, document: Mapping[str, Any]) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()


# A sentence a second is what a person can read; a file or a pipe gets a progress line now and then.
PREDICTION_EVERY_S = 0.5
PLAIN_PROGRESS_EVERY_S = 5.0
# A build takes minutes; a board changes slowly, unless it gets too hot.
BUILDING_EVERY_S = 15.0
HEALTH_EVERY_S = 60.0
TURN_EVERY_S = 30.0


class TextConsole:
    """Progress bars where the terminal can draw them (rich), lines elsewhere."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console as RichConsole

        self._quiet = quiet
        self._lock = threading.Lock()
        self._out = RichConsole(highlight=False, soft_wrap=True)
        self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Any = None
        self._task: Any = None
        self._bar: tuple[str, str] = ("", "")
        self._last_plain = 0.0
        self._last_prediction = 0.0
        self._last_class: object = self
        self._last_building: dict[str, float] = {}
        self._last_health: dict[str, tuple[bool, float]] = {}
        self._last_turn: dict[str, tuple[object, float]] = {}

    def emit(self, event: Event) -> None:
        with self._lock:
            match event:
                case Progress():
                    self._show_progress(event)
                case Metric():
                    self._show_metric(event)
                case Best():
                    self._end_full_bar()
                    self._print("  " + event.text, "green")
                case Prediction():
                    self._show_prediction(event)
                case Building():
                    self._show_building(event)
                case Health():
                    self._show_health(event)
                case Turn():
                    self._show_turn(event)
                case Queued():
                    self._show_queue(event)
                case Log(level="output"):
                    # A program's own chatter: in the log file, and shown when the step fails.
                    pass
                case Log():
                    self._end_full_bar()
                    self._print(event.text, "yellow" if event.level == "warning" else None)
                case State(status="running", code="status.running"):
                    self._end_bar()
                    self._print(t(f"step.{event.step}"), "bold")
                case State():
                    self._print(f"{t('step.' + event.step):<34} {t('status.word.' + event.status):<12} {event.why}")

    def say(self, text: str) -> None:
        with self._lock:
            self._print(text)

    def result(self, document: Mapping[str, Any], text: str) -> None:
        self.close()
        if text and not self._quiet:
            self._out.print(text, markup=False)

    def failure(self, error: AiNanoError) -> None:
        self.close()
        self._err.print(error.what, style="bold red", markup=False)
        self._err.print(error.why, markup=False)
        self._err.print(f"→ {error.hint}", markup=False)
        for line in error.details:
            self._err.print(f"  | {line}", style="dim", markup=False)

    def close(self) -> None:
        with self._lock:
            self._end_bar()

    # ---- drawing (inside the lock) -----------------------------------------------------------------------------------

    def _print(self, text: str, style: str | None = None) -> None:
        if not self._quiet:
            (self._progress.console if self._progress else self._out).print(text, style=style, markup=False)

    def _show_progress(self, event: Progress) -> None:
        if self._quiet:
            return
        # A step's title begins with its number, which a bar below the title does not repeat.
        label = t(event.what) if event.what and known(event.what) else t("step." + event.step).lstrip("0123456789 ")
        if not self._out.is_terminal:
            now = time.monotonic()
            if self._bar[0] != label:
                self._last_plain, self._bar = now, (label, "")
            if event.total and (event.done >= event.total or now - self._last_plain > PLAIN_PROGRESS_EVERY_S):
                if self._bar != (label, "done"):
                    self._print(f"  {label}: {event.words()}")
                self._last_plain = now
                self._bar = (label, "done" if event.done >= event.total else "")
            return
        if self._progress is None or self._bar != (label, event.unit):
            self._end_bar()
            self._start_bar(label, event.unit)
        words = event.words(self._wide or event.files is None) if event.total else amount(event.done, event.unit)
        self._progress.update(self._task, completed=event.done, total=event.total or None, amount=words)

    @property
    def _wide(self) -> bool:
        """Whether all that is to be said fits beside a bar."""
        return self._out.width >= 120

    def _start_bar(self, label: str, unit: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(TextColumn("  {task.description}", markup=False), BarColumn(30 if self._wide else 10),
                                  TextColumn("{task.fields[amount]}"), console=self._out)
        self._task = self._progress.add_task(label, amount="", total=None)
        self._bar = (label, unit)
        self._progress.start()

    def _end_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
        self._bar = ("", "")

    def _end_full_bar(self) -> None:
        """What is said after a bar is full stands below it."""
        if self._progress is not None and self._progress.finished:
            self._end_bar()

    def _show_metric(self, event: Metric) -> None:
        self._end_full_bar()
        if event.epochs <= 10 or event.epoch in (1, event.epochs) or event.epoch % 10 == 0:
            self._print("  " + t("train.epoch", epoch=event.epoch, epochs=event.epochs, loss=f"{event.train_loss:.3f}",
                                 train=percent(event.train_accuracy), val=percent(event.val_accuracy)))

    def _show_prediction(self, event: Prediction) -> None:
        now = time.monotonic()
        if event.class_name == self._last_class and now - self._last_prediction < PREDICTION_EVERY_S:
            return
        self._last_class, self._last_prediction = event.class_name, now
        self._print("  " + event.text)

    def _show_building(self, event: Building) -> None:
        now = time.monotonic()
        if now - self._last_building.get(event.machine, -math.inf) >= BUILDING_EVERY_S:
            self._last_building[event.machine] = now
            self._print("  " + event.text)
            if event.line:
                self._print(f"    {event.line}", "dim")

    def _show_health(self, event: Health) -> None:
        """Now and then, and whenever it begins or ceases to be a worry."""
        now = time.monotonic()
        worrying, at = self._last_health.get(event.machine, (False, -math.inf))
        if event.text and (worrying != event.worrying or now - at >= HEALTH_EVERY_S):
            self._last_health[event.machine] = event.worrying, now
            self._print(f"  {event.machine}: {event.text}", "yellow" if event.worrying else "dim")

    def _show_turn(self, event: Turn) -> None:
        """When the queue has changed, and now and then while it has not."""
        now, queue = time.monotonic(), (event.state, [place.run for place in event.ahead], event.waiting)
        before, at = self._last_turn.get(event.machine, (None, 0.0))
        if queue != before or now - at >= TURN_EVERY_S:
            self._last_turn[event.machine] = queue, now
            self._print(event.text, "yellow" if event.state == "ending" else None)

    def _show_queue(self, event: Queued) -> None:
        """As with turns."""
        now = time.monotonic()
        before, at = self._last_turn.get(event.machine, (None, 0.0))
        if event.key != before or (event.waits and now - at >= TURN_EVERY_S):
            self._last_turn[event.machine] = event.key, now
            self._print(event.text)


def make_console(as_json: bool, quiet: bool) -> Console:
    return JsonConsole() if as_json else TextConsole(quiet)
