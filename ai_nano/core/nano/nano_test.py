"""The test split on a Nano: its answers beside those of PyTorch, kept as nano_test.json in the model's folder.

What is measured is of one model, one Nano and the test images of the workspace. Each model keeps the last test of each Nano.
Shape of the file: doc/design/wire.md.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import answers, bundle, names
from ai_nano.core.answers import Message, Nonsense, optional
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import percent
from ai_nano.core.files import storage_errors, write_json
from ai_nano.core.report import figures
from ai_nano.core.report.figures import Report
from ai_nano.core.texts import t

FILE = "nano_test.json"
VERSION = 1
# What is named of images; the counts are of all.
MOST_NAMED = 20
MOST_TESTS = 100
LARGEST_BYTES = 4 << 20
# Of a prediction's stages; the wait for a file says nothing of the Nano, and no LED is lit.
STAGES = ("preprocess", "network")
# Why no answer was compared with PyTorch's.
REASONS = ("no_report", "no_answers", "other_version")
ENGINES = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT"}
# Of a normal distribution 95 % lie within so many standard deviations.
_Z = 1.959963984540054

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What the Nano took one image for (None: nothing), and the milliseconds of STAGES."""

    name: str | None
    confidence: float
    ms: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """One image (`file` below the workspace) of the class `name` that the Nano and PyTorch take for different things."""

    file: str
    name: str
    nano: str | None
    nano_confidence: float
    report: str
    report_confidence: float | None


@dataclass(frozen=True)
class Times:
    """Milliseconds of an image: the median, and what 95 % of the images do not exceed."""

    median: float
    p95: float


@dataclass(frozen=True)
class NanoTest:
    """`images` were sent, `unread` of them the Nano could not read; `right` and `ms` are of the rest.

    `same` of `compared` answers are PyTorch's; `others` images the report knows nothing of; `reason` (one of REASONS) is why
    nothing was compared. `ms` by stage, `image` all stages together. `different` and `unread_files` name at most MOST_NAMED.
    """

    nano: str
    engine: str
    at: str
    model_sha256: str
    images: int
    unread: int
    right: int
    compared: int
    same: int
    others: int
    reason: str | None
    ms: Mapping[str, Times]
    different: tuple[Difference, ...]
    unread_files: tuple[str, ...]

    @property
    def read(self) -> int:
        return self.images - self.unread

    @property
    def accuracy(self) -> float | None:
        return self.right / self.read if self.read else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.right, self.read)

    @property
    def agreement(self) -> float | None:
        return self.same / self.compared if self.compared else None

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["different"] = [{"class" if key == "name" else key: value for key, value in asdict(one).items()}
                                 for one in self.different]
        return {**document, "accuracy": self.accuracy, "interval": self.interval, "agreement": self.agreement}


# ---- measuring -------------------------------------------------------------------------------------------------------


def evaluate(nano: str, engine: str, at: str, model_sha256: str, truth: Mapping[str, str], seen: Mapping[str, Seen],
             told: Report | None, reason: str | None) -> NanoTest:
    """`truth` are all images that were sent, by file, with their class; `seen` those that were answered. `told` is the report
    of this very version of the model; None with the `reason`."""
    known = told.answers if told is not None else None
    if told is not None and known is None:
        reason = "no_answers"
    read = {file: name for file, name in truth.items() if file in seen}
    unread = [file for file in truth if file not in seen]
    both = [file for file in read if file in known] if known is not None else []
    different = [Difference(file, read[file], seen[file].name, seen[file].confidence, known[file].predicted,
                            known[file].confidence)
                 for file in both if known is not None and seen[file].name != known[file].predicted]
    left_out = told.answers_left_out if told is not None else 0
    return NanoTest(
        nano, engine, at, model_sha256, len(truth), len(unread), sum(seen[file].name == name for file, name in read.items()),
        len(both), len(both) - len(different), max(0, len(read) - len(both) - left_out) if known is not None else 0,
        reason, _times([seen[file].ms for file in read]), tuple(different[:MOST_NAMED]), tuple(unread[:MOST_NAMED]))


def wilson(right: int, count: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of right / count, as the training's report has it; None without any image."""
    if count == 0:
        return None
    share, weight = right / count, _Z * _Z / count
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return 0.0 if right == 0 else centre - half, 1.0 if right == count else centre + half


def _times(taken: Sequence[Mapping[str, float]]) -> dict[str, Times]:
    stages = {stage: [ms[stage] for ms in taken if stage in ms] for stage in STAGES}
    stages["image"] = [sum(ms.values()) for ms in taken if ms]
    return {stage: _spread(values) for stage, values in stages.items() if values}


def _spread(values: Sequence[float]) -> Times:
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Times(round(median, 3), round(ordered[math.ceil(0.95 * len(ordered)) - 1], 3))


def report_of(checked: bundle.Bundle) -> tuple[Report | None, str | None]:
    """The report of this version of the model; or None and which of REASONS it is: a training that went on after the export
    has written one of a better version."""
    try:
        told = figures.load(checked.folder)
    except (AiNanoError, OSError):
        return None, "no_report"
    return (told, None) if _is_of(told, checked.raw) else (None, "other_version")


def _is_of(told: Report, raw_bundle: Message) -> bool:
    """Whether both are of one checkpoint; what an older program wrote does not say of which, and is taken for it."""
    trained = raw_bundle.get("training")
    of_bundle = trained.get("checkpoint_sha256") if isinstance(trained, dict) else None
    return of_bundle is None or told.checkpoint_sha256 in (None, of_bundle)


# ---- keeping ---------------------------------------------------------------------------------------------------------


def keep(folder: Path, test: NanoTest) -> None:
    """In the model's `folder`, beside the last tests of this version of the model on other Nanos."""
    kept = [one for one in _stored(folder) if one.nano != test.nano and one.model_sha256 == test.model_sha256]
    tests = [*kept, test][-MOST_TESTS:]
    with storage_errors(folder):
        write_json(folder / FILE, {"v": VERSION, "model": folder.name, "tests": [one.to_json() for one in tests]})


def load(folder: Path, told: Report | None = None) -> tuple[NanoTest, ...]:
    """The tests of the model that is in `folder` now, the newest last: none of an earlier version of it, and none where
    `told` is the report of another one."""
    try:
        raw = bundle.read_json(folder, bundle.JSON)
        now = answers.mapping(raw, "sha256").get(bundle.MODEL)
    except (AiNanoError, OSError, Nonsense):
        return ()
    if told is not None and not _is_of(told, raw):
        return ()
    return tuple(one for one in _stored(folder) if one.model_sha256 == now)


def of_nano(folder: Path, nano: str) -> NanoTest | None:
    return next((one for one in load(folder) if one.nano == nano), None)


def _stored(folder: Path) -> list[NanoTest]:
    """What cannot be read is none: it is measured again in a minute."""
    file = folder / FILE
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise Nonsense("size")
        document = answers.decode(file.read_bytes())
        if document.get("v") != VERSION:
            raise Nonsense("v")
        return [_read(one) for one in answers.objects(document, "tests", MOST_TESTS)]
    except FileNotFoundError:
        return []
    except (OSError, Nonsense) as error:
        log.info("%s is passed over: %s", file, error)
        return []


def _read(raw: Message) -> NanoTest:
    images = answers.count(raw, "images")
    unread = answers.count(raw, "unread", 0, images)
    compared = answers.count(raw, "compared", 0, images)
    taken = answers.mapping(raw, "ms", 10)
    return NanoTest(
        answers.text(raw, "nano"), answers.text(raw, "engine"), answers.text(raw, "at", 40),
        answers.text(raw, "model_sha256", 64), images, unread, answers.count(raw, "right", 0, images - unread), compared,
        answers.count(raw, "same", 0, compared), answers.count(raw, "others", 0, images),
        optional(answers.choice, raw, "reason", words=REASONS),
        {stage: Times(answers.number(one := answers.mapping(taken, stage), "median", 0), answers.number(one, "p95", 0))
         for stage in (*STAGES, "image") if stage in taken},
        tuple(map(_difference, answers.objects(raw, "different", MOST_NAMED))),
        tuple(answers.texts(raw, "unread_files", MOST_NAMED, answers.LONGEST_PATH)))


def _difference(raw: Message) -> Difference:
    return Difference(answers.text(raw, "file", answers.LONGEST_PATH), answers.text(raw, "class", names.LONGEST_LABEL),
                      optional(answers.text, raw, "nano", longest=names.LONGEST_LABEL),
                      answers.fraction(raw, "nano_confidence"),
                      answers.text(raw, "report", names.LONGEST_LABEL), optional(answers.fraction, raw, "report_confidence"))


# ---- for a person ----------------------------------------------------------------------------------------------------


def headings() -> list[str]:
    return ["", *(t(f"test_nano.column.{name}") for name in ("right", "same", "ms"))]


def rows(told: Report | None, tests: Sequence[NanoTest]) -> list[list[str]]:
    """The server's figures of the test split as far as they are known, then each Nano's. The milliseconds are the network's."""
    made = []
    if told is not None:
        right = _part(told.right, told.tested) if told.tested else percent(told.test_accuracy)
        made.append([t("test_nano.row.pytorch"), right, "–", _ms(told.milliseconds)])
        done = told.export
        if done is not None:
            made.append([t("test_nano.row.onnxruntime"), "–", _share(done.agreement, done.images), _ms(done.milliseconds)])
            if done.fp16 is not None:
                half = done.fp16
                made.append([t("test_nano.row.half"), _share(half.accuracy, half.images),
                             _share(half.agreement, half.images), "–"])
    for test in tests:
        network = test.ms.get("network")
        made.append([f"{test.nano} ({ENGINES.get(test.engine, test.engine)})",
                     _part(test.right, test.read), _part(test.same, test.compared), _ms(network.median if network else None)])
    return made


def notes(test: NanoTest) -> list[str]:
    """What is to be said of a test beside the table, in sentences."""
    said = []
    if test.interval is not None:
        low, high = test.interval
        said.append(t("test_nano.between", low=percent(low, 0), high=percent(high, 0)))
    if "image" in test.ms:
        image = test.ms["image"]
        stages = "  ·  ".join(f"{t('window.infer.stage.' + stage)} {test.ms[stage].median:.1f}"
                              for stage in STAGES if stage in test.ms)
        said.append(t("test_nano.times", nano=test.nano, median=f"{image.median:.1f}", p95=f"{image.p95:.1f}", stages=stages))
    if test.unread:
        said.append(t("test_nano.unread", nano=test.nano, count=test.unread, images=test.images, files=_some(
            test.unread_files, test.unread)))
    if test.others:
        said.append(t("test_nano.others", count=test.others))
    if test.reason is not None:
        said.append(t(f"test_nano.reason.{test.reason}"))
    elif test.same < test.compared:
        said.append(t("test_nano.different", count=test.compared - test.same))
    return said


def differences(test: NanoTest) -> list[list[str]]:
    """A row for each image that is named: file, its class, PyTorch's answer, the Nano's."""
    return [[one.file, one.name, _answer(one.report, one.report_confidence), _answer(one.nano, one.nano_confidence)]
            for one in test.different]


def difference_headings(test: NanoTest) -> list[str]:
    return [t("test_nano.column.file"), t("test_nano.column.class"), "PyTorch", test.nano]


def _answer(name: str | None, confidence: float | None) -> str:
    return f"{name or '–'}  {percent(confidence)}"


def _some(files: Sequence[str], count: int) -> str:
    return ", ".join(files) + (", …" if count > len(files) else "")


def _part(part: int, whole: int) -> str:
    return t("test_nano.part", share=percent(part / whole), part=part, whole=whole) if whole else "–"


def _share(share: float, images: int) -> str:
    return t("test_nano.share", share=percent(share), images=images)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
