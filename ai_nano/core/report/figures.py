"""What a training measured: report.json, read as what another machine says.

A report of an older server lacks some of it; that is None or empty here, and the page and the window leave it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import answers, bundle, names
from ai_nano.core.answers import Nonsense, optional

MOST_CLASSES = 1000
MOST_EPOCHS = 10_000
MOST_STAGES = 100
MOST_BINS = 100
MOST_REFUSED = 1000
# As many as the training chooses of a few classes: pictures in the page, each of some 10 kB.
MOST_SAMPLES = 400
# As many as the training keeps, and more.
MOST_ANSWERS = 10_000
LARGEST_SEED = 2 ** 63
PARTS = ("train", "val", "test")
SETTINGS = ("epochs", "lr", "batch", "minutes", "seed")


@dataclass(frozen=True)
class Epoch:
    """One epoch of one stage; losses in nats, accuracies as fractions."""

    epoch: int
    stage: str | None
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float | None
    images_per_s: float | None


@dataclass(frozen=True)
class Stage:
    """A part of the recipe; `taken` when its model became the best."""

    stage: str
    seconds: float | None
    epochs: int | None
    val_accuracy: float | None
    val_loss: float | None
    taken: bool


@dataclass(frozen=True)
class Bin:
    """Images whose confidence is in low..high: how many, how sure on average, which share of them right."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """Expected calibration error and negative log-likelihood; None without test images."""

    ece: float | None
    nll: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    temperature: float
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class Half:
    """The rehearsal of the Nano's half precision, against single precision."""

    images: int
    accuracy: float
    max_difference: float
    agreement: float


@dataclass(frozen=True)
class Export:
    """What the export's gate found; `refused` are the files of images that kept the model from being published."""

    created: str
    opset: int
    bytes: int
    images: int
    max_difference: float
    agreement: float
    refused: tuple[str, ...]
    milliseconds: float | None
    fp16: Half | None


@dataclass(frozen=True)
class OfAClass:
    """Precision is None for a class that was never predicted, recall for one without test images."""

    precision: float | None
    recall: float | None
    images: int


@dataclass(frozen=True)
class Sample:
    """One test image (`file` below the model's folder), its class and what the network took it for."""

    file: str
    name: str
    predicted: str
    confidence: float | None

    @property
    def right(self) -> bool:
        return self.name == self.predicted


@dataclass(frozen=True)
class Answer:
    """What PyTorch took one test image for."""

    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Report:
    """All of report.json. Accuracies are fractions of val and test, None without images there; `interval` is the
    95 % one of test_accuracy; `first_image_s` counts from the first image read to this model; `confusion` has the true
    classes as rows. `images` and `data` count train, val and test. `answers` are of test images by file, None in an older
    report; of so many images `answers_left_out` the report does not keep them."""

    model: str
    recipe: str
    arch: str
    stage: str | None
    created: str | None
    checkpoint_sha256: str | None
    device: str | None
    classes: tuple[str, ...]
    images: Mapping[str, int]
    settings: Mapping[str, float | None]
    stages: tuple[Stage, ...]
    start_s: float | None
    first_image_s: float | None
    total_s: float | None
    history: tuple[Epoch, ...]
    val_accuracy: float | None
    test_accuracy: float | None
    interval: tuple[float, float] | None
    calibration: Calibration | None
    parameters: int | None
    bytes: int | None
    milliseconds: float | None
    data: Mapping[str, Mapping[str, int]]
    width: int | None
    height: int | None
    export: Export | None
    confusion: tuple[tuple[int, ...], ...]
    per_class: Mapping[str, OfAClass]
    samples: tuple[Sample, ...]
    answers: Mapping[str, Answer] | None
    answers_left_out: int

    @property
    def tested(self) -> int:
        """Test images; those that could be read."""
        return sum(map(sum, self.confusion))

    @property
    def right(self) -> int:
        """Test images that the network named rightly."""
        return sum(row[number] for number, row in enumerate(self.confusion))


def load(folder: Path) -> Report:
    """report.json in `folder`; WorkFailed `bundle.damaged` for what is not of its shape."""
    raw = bundle.read_json(folder, bundle.REPORT_JSON)
    try:
        return read(raw)
    except Nonsense as error:
        raise bundle.damaged(folder, bundle.REPORT_JSON) from error


def read(raw: Mapping[str, Any]) -> Report:
    """The content of a report.json. Raises Nonsense."""
    classes = answers.texts(raw, "classes", MOST_CLASSES, names.LONGEST_LABEL)
    images, seconds = answers.mapping(raw, "images"), answers.mapping(raw, "seconds")
    size, data = optional(answers.mapping, raw, "size") or {}, optional(answers.mapping, raw, "data") or {}
    settings = optional(answers.mapping, raw, "settings") or {}
    per_class = answers.mapping(raw, "per_class", MOST_CLASSES)
    counted = optional(answers.mapping, data, "classes", most=MOST_CLASSES) or {}
    return Report(
        model=answers.text(raw, "model"), recipe=answers.text(raw, "recipe"), arch=answers.text(raw, "arch"),
        stage=optional(answers.text, raw, "stage"), created=optional(answers.text, raw, "created"),
        checkpoint_sha256=optional(answers.text, raw, "checkpoint_sha256"), device=optional(answers.text, raw, "device"),
        classes=tuple(classes), images=_parts(images),
        settings={name: optional(answers.number, settings, name, low=0, high=LARGEST_SEED) for name in SETTINGS},
        stages=tuple(map(_stage, _objects(raw, "stages", MOST_STAGES))),
        start_s=_positive(seconds, "start"), first_image_s=_positive(seconds, "first_image"),
        total_s=_positive(seconds, "total"), history=tuple(map(_epoch, answers.objects(raw, "history", MOST_EPOCHS))),
        val_accuracy=_fraction(raw, "val_accuracy"), test_accuracy=_fraction(raw, "test_accuracy"),
        interval=_interval(raw), calibration=_calibration(optional(answers.mapping, raw, "calibration")),
        parameters=optional(answers.count, size, "parameters"), bytes=optional(answers.count, size, "bytes"),
        milliseconds=_positive(raw, "milliseconds"),
        data={answers.shown(name): _parts(answers.mapping(counted, name)) for name in counted},
        width=optional(answers.count, data, "width"), height=optional(answers.count, data, "height"),
        export=_export(optional(answers.mapping, raw, "export")), confusion=_matrix(raw, len(classes)),
        per_class={answers.shown(name): _of_a_class(answers.mapping(per_class, name)) for name in per_class},
        samples=tuple(map(_sample, answers.objects(raw, "samples")[:MOST_SAMPLES])), answers=_answers(raw),
        answers_left_out=optional(answers.count, raw, "answers_left_out") or 0)


def _positive(raw: Mapping[str, Any], key: str) -> float | None:
    return optional(answers.number, raw, key, low=0)


def _fraction(raw: Mapping[str, Any], key: str) -> float | None:
    return optional(answers.fraction, raw, key)


def _objects(raw: Mapping[str, Any], key: str, most: int) -> Sequence[Mapping[str, Any]]:
    return optional(answers.objects, raw, key, most=most) or []


def _parts(raw: Mapping[str, Any]) -> Mapping[str, int]:
    return {part: answers.count(raw, part) for part in PARTS}


def _epoch(raw: Mapping[str, Any]) -> Epoch:
    return Epoch(answers.count(raw, "epoch", 0, 1_000_000), optional(answers.text, raw, "stage"),
                 *(_positive(raw, key) for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr",
                                                   "images_per_s")))


def _stage(raw: Mapping[str, Any]) -> Stage:
    return Stage(answers.text(raw, "stage"), _positive(raw, "seconds"), optional(answers.count, raw, "epochs"),
                 _fraction(raw, "val_accuracy"), _positive(raw, "val_loss"), bool(optional(answers.flag, raw, "taken")))


def _interval(raw: Mapping[str, Any]) -> tuple[float, float] | None:
    ends = optional(answers.items, raw, "interval", most=2)
    if ends is None:
        return None
    if len(ends) != 2:
        raise Nonsense("interval")
    low, high = (answers.fraction({"end": end}, "end") for end in ends)
    if low > high:
        raise Nonsense("interval")
    return low, high


def _calibration(raw: Mapping[str, Any] | None) -> Calibration | None:
    if raw is None:
        return None
    before, after = (_reliability(answers.mapping(raw, key)) for key in ("before", "after"))
    return Calibration(answers.number(raw, "temperature", 1e-3, 1e3), before, after)


def _reliability(raw: Mapping[str, Any]) -> Reliability:
    bins = [Bin(answers.fraction(one, "low"), answers.fraction(one, "high"), answers.count(one, "count"),
                _fraction(one, "confidence"), _fraction(one, "accuracy"))
            for one in answers.objects(raw, "bins", MOST_BINS)]
    return Reliability(_fraction(raw, "ece"), _positive(raw, "nll"), tuple(bins))


def _export(raw: Mapping[str, Any] | None) -> Export | None:
    if raw is None:
        return None
    return Export(answers.text(raw, "created"), answers.count(raw, "opset"), answers.count(raw, "bytes"),
                  answers.count(raw, "images"), answers.fraction(raw, "max_difference"), answers.fraction(raw, "agreement"),
                  tuple(answers.texts(raw, "refused", MOST_REFUSED, answers.LONGEST_PATH)), _positive(raw, "milliseconds"),
                  _half(optional(answers.mapping, raw, "fp16")))


def _half(raw: Mapping[str, Any] | None) -> Half | None:
    if raw is None:
        return None
    return Half(answers.count(raw, "images"), *(answers.fraction(raw, key) for key in ("accuracy", "max_difference",
                                                                                       "agreement")))


def _matrix(raw: Mapping[str, Any], size: int) -> tuple[tuple[int, ...], ...]:
    rows = [answers.items({"row": row}, "row", size) for row in answers.items(raw, "confusion", size)]
    if len(rows) != size or any(len(row) != size for row in rows):
        raise Nonsense("confusion")
    return tuple(tuple(answers.count({"cell": cell}, "cell") for cell in row) for row in rows)


def _of_a_class(raw: Mapping[str, Any]) -> OfAClass:
    return OfAClass(_fraction(raw, "precision"), _fraction(raw, "recall"), answers.count(raw, "images"))


def _sample(raw: Mapping[str, Any]) -> Sample:
    return Sample(answers.text(raw, "file", answers.LONGEST_PATH), answers.text(raw, "class", names.LONGEST_LABEL),
                  answers.text(raw, "predicted", names.LONGEST_LABEL), _fraction(raw, "confidence"))


def _answers(raw: Mapping[str, Any]) -> Mapping[str, Answer] | None:
    rows = optional(answers.objects, raw, "answers", most=MOST_ANSWERS)
    if rows is None:
        return None
    return {answers.text(one, "file", answers.LONGEST_PATH): Answer(answers.text(one, "predicted", names.LONGEST_LABEL),
                                                                   _fraction(one, "confidence")) for one in rows}
