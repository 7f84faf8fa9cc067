"""The figures of a report.json (doc/design/wire.md), typed: for the window, which shows them without a browser."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core import answers, bundle, names
from ai_nano.core.answers import Nonsense, optional
from ai_nano.core.workspace import PARTS

MOST_CLASSES = 1000
MOST_SAMPLES = 400
MOST_STAGES = 100
MOST_BINS = 100


@dataclass(frozen=True)
class OfClass:
    """`images`: of this class in test."""

    name: str
    precision: float | None
    recall: float | None
    images: int


@dataclass(frozen=True)
class Sample:
    """A test image: `file` relative to the split, its class, what the network says and how sure it is."""

    file: str
    class_name: str
    predicted: str
    confidence: float | None

    @property
    def right(self) -> bool:
        return self.class_name == self.predicted


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies from `low` to `high`: how many, how sure it is of them, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error before and after the temperature, and the bins after it."""

    temperature: float
    before: float | None
    after: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Stage:
    name: str
    seconds: float | None
    epochs: int | None
    val_accuracy: float | None
    taken: bool


@dataclass(frozen=True)
class Half:
    """The rehearsal in half precision, as the Nano computes."""

    images: int
    accuracy: float | None
    max_difference: float | None
    agreement: float | None


@dataclass(frozen=True)
class Exported:
    """`refused`: images on which the exported model answers otherwise; then it was not published."""

    images: int
    max_difference: float | None
    agreement: float | None
    refused: tuple[str, ...]
    milliseconds: float | None
    half: Half | None


@dataclass(frozen=True)
class Figures:
    """Fractions and seconds; None is what the report does not tell.

    `created` is the unix time of the model; `confusion` goes by true class, then predicted class.
    """

    model: str
    recipe: str
    arch: str
    stage: str
    device: str
    classes: tuple[str, ...]
    images: Mapping[str, int]
    val_accuracy: float | None
    test_accuracy: float | None
    interval: tuple[float, float] | None
    seconds: float | None
    parameters: int | None
    bytes: int | None
    milliseconds: float | None
    seed: int | None
    created: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[OfClass, ...]
    samples: tuple[Sample, ...]
    stages: tuple[Stage, ...]
    calibration: Calibration | None
    export: Exported | None

    @property
    def mistakes(self) -> list[Sample]:
        """The most confident first."""
        return sorted((one for one in self.samples if not one.right), key=lambda one: -(one.confidence or 0.0))


def load(folder: Path) -> Figures:
    """Of report.json in the model's folder. Raises WorkFailed `bundle.damaged`, OSError."""
    raw = bundle.read_json(folder, bundle.REPORT_JSON)
    try:
        return _figures(raw, folder)
    except Nonsense as error:
        raise bundle.damaged(folder, bundle.REPORT_JSON) from error


def _figures(raw: Mapping[str, Any], folder: Path) -> Figures:
    classes = tuple(answers.texts(raw, "classes", MOST_CLASSES, names.LONGEST_LABEL))
    images, per_class = answers.mapping(raw, "images"), answers.mapping(raw, "per_class", MOST_CLASSES)
    seconds, size, settings = (optional(answers.mapping, raw, key) or {} for key in ("seconds", "size", "settings"))
    return Figures(
        folder.name, answers.text(raw, "recipe", 40), answers.text(raw, "arch", 60), optional(answers.text, raw, "stage") or "",
        optional(answers.text, raw, "device") or "", classes, {part: answers.count(images, part) for part in PARTS},
        optional(answers.fraction, raw, "val_accuracy"), optional(answers.fraction, raw, "test_accuracy"), _interval(raw),
        optional(answers.number, seconds, "total", low=0), optional(answers.count, size, "parameters"),
        optional(answers.count, size, "bytes"), optional(answers.number, raw, "milliseconds", low=0),
        optional(answers.count, settings, "seed"), _time(raw, folder), _matrix(raw, len(classes)),
        tuple(_of_class(answers.shown(name, names.LONGEST_LABEL), answers.mapping(per_class, name)) for name in per_class),
        tuple(_sample(one) for one in answers.objects(raw, "samples")[:MOST_SAMPLES]),
        tuple(_stage(one) for one in (answers.objects(raw, "stages")[:MOST_STAGES] if "stages" in raw else ())),
        _calibration(optional(answers.mapping, raw, "calibration")), _exported(optional(answers.mapping, raw, "export")))


def _interval(raw: Mapping[str, Any]) -> tuple[float, float] | None:
    told = optional(answers.items, raw, "interval", most=2)
    if not told:
        return None
    if len(told) != 2:
        raise Nonsense("interval")
    low, high = (answers.fraction({"value": value}, "value") for value in told)
    return low, high


def _time(raw: Mapping[str, Any], folder: Path) -> float:
    """By the server's clock, where it says so; else the file's."""
    told = optional(answers.text, raw, "created", longest=40)
    try:
        at = datetime.strptime(told or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return (folder / bundle.REPORT_JSON).stat().st_mtime
    return at.timestamp()


def _matrix(raw: Mapping[str, Any], size: int) -> tuple[tuple[int, ...], ...]:
    rows = [answers.items({"row": row}, "row", size) for row in answers.items(raw, "confusion", size)]
    if len(rows) != size or any(len(row) != size for row in rows):
        raise Nonsense("confusion")
    return tuple(tuple(answers.count({"cell": cell}, "cell") for cell in row) for row in rows)


def _of_class(name: str, raw: Mapping[str, Any]) -> OfClass:
    return OfClass(name, optional(answers.fraction, raw, "precision"), optional(answers.fraction, raw, "recall"),
                   answers.count(raw, "images"))


def _sample(raw: Mapping[str, Any]) -> Sample:
    return Sample(answers.text(raw, "file", answers.LONGEST_PATH), answers.text(raw, "class", names.LONGEST_LABEL),
                  answers.text(raw, "predicted", names.LONGEST_LABEL), optional(answers.fraction, raw, "confidence"))


def _stage(raw: Mapping[str, Any]) -> Stage:
    return Stage(answers.text(raw, "stage", 40), optional(answers.number, raw, "seconds", low=0),
                 optional(answers.count, raw, "epochs"), optional(answers.fraction, raw, "val_accuracy"),
                 bool(optional(answers.flag, raw, "taken")))


def _calibration(raw: Mapping[str, Any] | None) -> Calibration | None:
    if raw is None:
        return None
    before, after = (optional(answers.mapping, raw, key) or {} for key in ("before", "after"))
    told = answers.objects(after, "bins", MOST_BINS) if "bins" in after else []
    bins = tuple(Bin(answers.fraction(one, "low"), answers.fraction(one, "high"), answers.count(one, "count"),
                     optional(answers.fraction, one, "confidence") or 0.0, optional(answers.fraction, one, "accuracy") or 0.0)
                 for one in told)
    return Calibration(answers.number(raw, "temperature", 0), optional(answers.number, before, "ece", low=0),
                       optional(answers.number, after, "ece", low=0), bins)


def _exported(raw: Mapping[str, Any] | None) -> Exported | None:
    if raw is None:
        return None
    half = optional(answers.mapping, raw, "fp16")
    return Exported(answers.count(raw, "images"), optional(answers.number, raw, "max_difference"),
                    optional(answers.fraction, raw, "agreement"),
                    tuple(answers.texts(raw, "refused", 1000, answers.LONGEST_PATH)) if "refused" in raw else (),
                    optional(answers.number, raw, "milliseconds", low=0),
                    None if half is None else Half(answers.count(half, "images"), optional(answers.fraction, half, "accuracy"),
                                                   optional(answers.number, half, "max_difference"),
                                                   optional(answers.fraction, half, "agreement")))
