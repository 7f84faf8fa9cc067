"""What running steps say, collected in their threads and fetched by the window on a timer: bounded, and never in its way."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ai_nano.core.events import Best, Building, Event, Health, Log, Metric, Prediction, Progress, State
from ai_nano.core.room.training_queue import Queued
from ai_nano.core.room.turns import Turn

KEPT_LINES = 500
KEPT_METRICS = 500
KEPT_TIMINGS = 500
KEPT_PREDICTIONS = 100
# In the log a result is worth a line when it changes, and now and then when it does not.
PREDICTION_LINE_EVERY_S = 1.0


@dataclass(frozen=True)
class LogLine:
    """`t`: unix time of its arrival. `event` makes the sentence when it is shown, in the language of that moment."""

    t: float
    event: Log | Prediction | Best


@dataclass(frozen=True)
class Timing:
    """A prediction's stages; `at`: when it came, of time.monotonic()."""

    machine: str
    at: float
    ms: Mapping[str, float]


@dataclass
class Batch:
    """All since the last fetch: of progress, predictions, health, builds, turns and the queue the newest, at most KEPT_LINES
    lines, KEPT_METRICS metrics, KEPT_TIMINGS timings and, in `recent`, KEPT_PREDICTIONS predictions."""

    lines: list[LogLine] = field(default_factory=list)
    dropped: int = 0
    progress: dict[str, Progress] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    best: Best | None = None
    predictions: dict[str, Prediction] = field(default_factory=dict)
    prediction_count: int = 0
    recent: list[Prediction] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    health: dict[str, Health] = field(default_factory=dict)
    building: dict[str, Building] = field(default_factory=dict)
    turns: dict[tuple[str, str], Turn] = field(default_factory=dict)
    queued: Queued | None = None
    states: int = 0

    def __bool__(self) -> bool:
        return bool(self.lines or self.progress or self.metrics or self.best or self.predictions or self.health
                    or self.building or self.turns or self.queued or self.states)


class Inbox:
    """`put` is a Listener, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batch = Batch()
        self._lines: deque[LogLine] = deque()
        self._said: dict[str, tuple[object, float]] = {}

    def put(self, event: Event) -> None:
        with self._lock:
            match event:
                case Log():
                    self._line(event)
                case Progress():
                    self._batch.progress[event.step] = event
                case Metric():
                    self._batch.metrics.append(event)
                    del self._batch.metrics[:-KEPT_METRICS]
                case Best():
                    self._batch.best = event
                    self._line(event)
                case Prediction():
                    self._batch.predictions[event.machine] = event
                    self._batch.prediction_count += 1
                    self._batch.recent.append(event)
                    del self._batch.recent[:-KEPT_PREDICTIONS]
                    self._batch.timings.append(Timing(event.machine, time.monotonic(), event.ms))
                    del self._batch.timings[:-KEPT_TIMINGS]
                    self._say(event)
                case Health():
                    self._batch.health[event.machine] = event
                case Building():
                    self._batch.building[event.machine] = event
                case Turn():
                    self._batch.turns[event.step, event.machine] = event
                case Queued():
                    self._batch.queued = event
                case State():
                    self._batch.states += 1

    def fetch(self) -> Batch:
        with self._lock:
            batch, self._batch = self._batch, Batch()
            batch.lines = list(self._lines)
            self._lines.clear()
        return batch

    def _line(self, event: Log | Prediction | Best) -> None:
        self._lines.append(LogLine(time.time(), event))
        if len(self._lines) > KEPT_LINES:
            self._lines.popleft()
            self._batch.dropped += 1

    def _say(self, event: Prediction) -> None:
        now = time.monotonic()
        name, at = self._said.get(event.machine, (self, 0.0))
        if name != event.class_name or now - at >= PREDICTION_LINE_EVERY_S:
            self._said[event.machine] = (event.class_name, now)
            self._line(event)
