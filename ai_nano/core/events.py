"""What a running step says, to the terminal and the window alike.

`to_json` gives the lines of `--json` (the contract's shapes); `text` the sentence for a person.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ai_nano.core import recipes, texts
from ai_nano.core.figures import amount, duration, percent

WIRE_VERSION = 1


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    def to_json(self) -> dict[str, object]:
        raise NotImplementedError


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` units (`total` 0: not known yet); `eta_s` seconds left, None when unknown.

    Of a transfer also `files`, how many are there of how many, and `rate`, bytes a second.
    """

    step: str
    done: float
    total: float
    unit: str
    eta_s: float | None = None
    what: str = ""
    files: tuple[int, int] | None = None
    rate: float | None = None

    def to_json(self) -> dict[str, object]:
        line: dict[str, object] = {"v": WIRE_VERSION, "type": "progress", "step": self.step, "done": self.done,
                                   "total": self.total, "unit": self.unit, "eta_s": self.eta_s}
        if self.files is not None:
            line |= {"files": list(self.files), "bytes_per_s": self.rate}
        return line

    def words(self, amounts: bool = True, pace: bool = True) -> str:
        """For example `12.3 MB of 54.0 MB  ·  140 of 600 files  ·  11.2 MB/s  ·  4 s left`; without the first part where it is
        shown otherwise, without the last two where nothing moves."""
        done = amount(self.done, self.unit) if self.unit == "bytes" else f"{self.done:.0f}"
        of = [texts.t("window.of", done=done, total=amount(self.total, self.unit))] if amounts else []
        if self.files is not None:
            of.append(texts.t("window.of", done=self.files[0], total=amount(self.files[1], "files")))
        if self.rate is not None and pace:
            of.append(f"{amount(self.rate, 'bytes')}/s")
        if self.eta_s is not None and pace and self.done < self.total:
            of.append(texts.t("window.left", time=duration(self.eta_s)))
        return "  ·  ".join(of)


@dataclass(frozen=True)
class Log(Event):
    """A sentence by its code, or a program's own output line (`code` empty, `raw` set)."""

    code: str
    params: Mapping[str, object] = field(default_factory=dict)
    level: str = "info"
    machine: str = "laptop"
    raw: str = ""

    @property
    def text(self) -> str:
        return texts.t(self.code, **{"machine": self.machine, **self.params}) if self.code else self.raw

    def to_json(self) -> dict[str, object]:
        return {"v": WIRE_VERSION, "type": "log", "machine": self.machine, "level": self.level, "code": self.code,
                "text": self.text}


@dataclass(frozen=True)
class Metric(Event):
    """One epoch. Accuracies are fractions; validation figures are None where there is no validation image."""

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float | None
    images_per_s: float | None
    stage: str = ""

    def to_json(self) -> dict[str, object]:
        return {"v": WIRE_VERSION, "type": "metric", **self.__dict__}


@dataclass(frozen=True)
class Best(Event):
    """A training has a new best model, which can be exported. Accuracies are fractions, None without such images;
    `seconds` from the training's start."""

    stage: str
    epoch: int
    val_accuracy: float | None
    val_loss: float | None
    test_accuracy: float | None
    seconds: float | None
    checkpoint_sha256: str
    machine: str = "laptop"

    @property
    def text(self) -> str:
        """For example `best so far: quick, 97.9 % on val, 96.2 % on test`."""
        return texts.t("train.best", stage=recipes.word(self.stage), val=percent(self.val_accuracy),
                       test=percent(self.test_accuracy))

    def to_json(self) -> dict[str, object]:
        told = {key: value for key, value in self.__dict__.items() if key != "machine"}
        return {"v": WIRE_VERSION, "type": "best", **told}


@dataclass(frozen=True)
class Prediction(Event):
    """One frame on the Nano. `class_name` is None and `class_index` -1 where nothing was recognised; `t` is its unix time.

    `probabilities` and `confidence` (of the best class) are the network's; `smoothed` is what the class was chosen by, where
    the Nano smooths. `ms`: milliseconds by stage. `file`: the image, where a folder is classified.
    """

    machine: str
    frame: int
    t: float
    class_name: str | None
    class_index: int
    confidence: float
    probabilities: Mapping[str, float]
    lit: tuple[int, ...]
    smoothed: Mapping[str, float] | None = None
    ms: Mapping[str, float] = field(default_factory=dict)
    file: str | None = None

    @property
    def shares(self) -> Mapping[str, float]:
        """What the class was chosen by."""
        return self.smoothed or self.probabilities

    @property
    def sure(self) -> float:
        """How sure it is of what it shows, which with hysteresis or smoothing need not be this frame's best; of nothing
        recognised, how sure it is of the best."""
        if self.class_name is None:
            return max(self.shares.values(), default=self.confidence)
        return self.shares.get(self.class_name, self.confidence)

    @property
    def text(self) -> str:
        """For example `cat 97.3 %, pin 12 is lit`."""
        confidence = percent(self.sure)
        if self.class_name is None:
            return texts.t("infer.nothing_recognised", confidence=confidence)
        if not self.lit:
            return texts.t("infer.seen_dark", name=self.class_name, confidence=confidence)
        return texts.t("infer.seen", name=self.class_name, confidence=confidence, pins=self.lit)

    def to_json(self) -> dict[str, object]:
        line: dict[str, object] = {
            "v": WIRE_VERSION, "type": "prediction", "machine": self.machine, "frame": self.frame, "t": self.t,
            "class": self.class_name, "class_index": self.class_index, "confidence": self.confidence,
            "probabilities": dict(self.probabilities), "lit": list(self.lit), "file": self.file, "ms": dict(self.ms)}
        return line if self.smoothed is None else {**line, "smoothed": dict(self.smoothed)}


# Degrees Celsius from which a board is called hot: it works, but its kernel will soon hold it back.
HOT_C = 80.0


@dataclass(frozen=True)
class Health(Event):
    """How a Nano is. `temperatures`: degrees Celsius by zone; `throttled`: what the kernel holds back for heat, None where
    nothing tells; `memory`: MiB by total_mb, available_mb, swap_total_mb, swap_free_mb, as far as they are known."""

    machine: str
    temperatures: Mapping[str, float]
    throttled: tuple[str, ...] | None
    memory: Mapping[str, int]
    power_mode: str | None

    @property
    def hottest(self) -> tuple[str, float] | None:
        """Zone and degrees."""
        return max(self.temperatures.items(), key=lambda one: one[1], default=None)

    @property
    def worrying(self) -> bool:
        """Slowed down for heat, or about to be."""
        return bool(self.throttled) or (self.hottest is not None and self.hottest[1] >= HOT_C)

    @property
    def text(self) -> str:
        """For example `CPU 41.5 °C · 1420 of 3956 MB of memory free · power mode MAXN`; empty where the board tells nothing."""
        parts = []
        if self.hottest is not None:
            zone, degrees = self.hottest
            parts.append(texts.t("health.temperature", zone=zone, degrees=f"{degrees:.1f}"))
        if self.throttled:
            parts.append(texts.t("health.throttled", what=self.throttled))
        if "available_mb" in self.memory and "total_mb" in self.memory:
            parts.append(texts.t("health.memory", free=self.memory["available_mb"], total=self.memory["total_mb"]))
        if self.power_mode is not None:
            parts.append(texts.t("health.power_mode", mode=self.power_mode))
        return "  ·  ".join(parts)

    def to_json(self) -> dict[str, object]:
        return {"v": WIRE_VERSION, "type": "health", "machine": self.machine, "temperatures": dict(self.temperatures),
                "throttled": None if self.throttled is None else list(self.throttled), "memory": dict(self.memory),
                "power_mode": self.power_mode}


@dataclass(frozen=True)
class Building(Event):
    """A TensorRT engine is being built on a Nano: `seconds` so far of about `estimate_s`, which is learned from the board's
    other models and None for its first; `line` is the builder's newest. Memory in MiB, None where it is not known."""

    machine: str
    seconds: float
    available_mb: int | None
    swap_free_mb: int | None
    line: str
    estimate_s: float | None = None

    @property
    def text(self) -> str:
        """For example `nano1: 41 s of about 2 min 5 s  ·  310 MB of memory free, 2900 MB of swap`."""
        return "  ·  ".join(part for part in (f"{self.machine}: {self.words}", self.memory) if part)

    @property
    def words(self) -> str:
        if self.estimate_s is None:
            return texts.t("engine.building", time=duration(self.seconds))
        if self.seconds > self.estimate_s:
            return texts.t("engine.building.longer", time=duration(self.seconds), estimate=duration(self.estimate_s))
        return texts.t("engine.building.of", time=duration(self.seconds), estimate=duration(self.estimate_s))

    @property
    def memory(self) -> str:
        if self.available_mb is None:
            return ""
        if self.swap_free_mb is None:
            return texts.t("engine.building.memory", free=self.available_mb)
        return texts.t("engine.building.memory_and_swap", free=self.available_mb, swap=self.swap_free_mb)

    def to_json(self) -> dict[str, object]:
        return {"v": WIRE_VERSION, "type": "building", **self.__dict__}


@dataclass(frozen=True)
class State(Event):
    """A step's status changed (or was asked for)."""

    step: str
    status: str
    code: str
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def why(self) -> str:
        return texts.t(self.code, **self.params)

    def to_json(self) -> dict[str, object]:
        return {"v": WIRE_VERSION, "type": "state", "step": self.step, "status": self.status, "why": self.why}


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener for whom nothing matters."""
