"""What the recipes share: the data, the network, events, time, and the best model so far (doc/design/training.md)."""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch

from gpu_server import calibration, checkpoint, evaluation, libraries, report_file, runtime, weights
from gpu_server.dataset import (
    SPLITS,
    Image,
    counts_by_class,
    facts,
    model_folder,
    read_dataset,
    require_every_class,
    warn_of_gaps,
)
from gpu_server.evaluation import Answers
from gpu_server.networks import Classifier, architecture, frozen
from gpu_server.settings import Settings
from shared.files import sha256
from shared.preprocess import imagenet_input
from shared.wire import Commands, Failure, Run

_LOOKS = 3  # at one image each, for the time that the network needs


class Best(NamedTuple):
    """The offer that was taken last; `val_loss` is with the temperature. The fields of the event `best`."""

    stage: str
    epoch: int
    val_accuracy: Optional[float]
    val_loss: Optional[float]
    test_accuracy: Optional[float]
    seconds: float
    checkpoint_sha256: str


class Training:
    """A training under way.

    `classifier` is what the recipe works on: at first the pretrained network with its 1000 outputs, frozen, or one from
    scratch (`from_scratch`) with the right number. `images` counts what could be read. `history` has the fields of every
    metric event, `stages` those of report.json, `report` the best model's figures.
    """

    def __init__(self, run: Run, settings: Settings, start: float) -> None:
        """Loads the data's list and the network. `start` is the program's, of time.monotonic(). Raises Failure."""
        self.run, self.settings, self._start = run, settings, start
        self.folder = model_folder(run)
        known = architecture(settings.arch)
        self.dataset = read_dataset(self.folder)
        self.classes = self.dataset.classes
        require_every_class(self.dataset.splits["train"], self.classes, self.folder.name)
        self.spec = imagenet_input(known.resolution)
        torch.manual_seed(settings.seed)
        self.device = libraries.set_up_torch()
        self.weights = weights.find(settings.arch, settings.weights)
        self.from_scratch = self.weights is None and settings.recipe == "classic"
        if self.from_scratch:
            self.classifier = Classifier(known, len(self.classes))
        else:
            self.classifier = weights.pretrained(settings.arch, settings.weights)
        self.weights_sha256 = sha256(self.weights) or "" if self.weights is not None else ""
        self.milliseconds = self._milliseconds()
        self.images = {split: len(self.dataset.splits[split]) for split in SPLITS}
        self.history: List[Dict[str, Any]] = []
        self.stages: List[Dict[str, Any]] = []
        self.best: Optional[Best] = None
        self.stopped = False
        self.later_s = 0.0  # what is to come after the part under way, as planned
        self.used: Dict[str, Any] = {
            "epochs": None,
            "lr": None,
            "batch": None,
            "minutes": settings.minutes,
            "seed": settings.seed,
        }
        self.report: Dict[str, Any] = {}
        self._commands = Commands(run)
        self._first_image = start
        self._looked = 0.0

    def look_at_data(self) -> None:
        """Reads the first images, and says what there is to learn from."""
        self._seconds_to_start = time.monotonic() - self._start
        self._first_image = time.monotonic()
        self._data = facts(self.dataset)
        self.run.log("train.data", **self._data)
        warn_of_gaps(self.run, self.dataset)
        self.run.log("train.device", device=libraries.device_name(self.device))
        if self.from_scratch:
            place = weights.expected_at(architecture(self.settings.arch))
            self.run.log("train.from_scratch", level="warning", arch=self.settings.arch, path=place)

    def engine(self, stage: Optional[int]) -> runtime.Engine:
        """The part of the network before `stage`, or all but the head for None, from ImageNet's weights and ready to run."""
        key = f"{self.settings.arch}-{self.weights_sha256[:16]}"
        cache = self.run.root / ".ai_nano" / "cache"
        compute = runtime.engine(self.classifier.cpu(), stage, self.spec["shape"][2], self.device, cache, key)
        self.classifier.to(self.device)
        return compute

    @property
    def elapsed(self) -> float:
        """Seconds since the program was started."""
        return time.monotonic() - self._start

    @property
    def time_left(self) -> float:
        """Seconds of the minutes that were asked for; infinite without."""
        return math.inf if self.settings.minutes is None else self.settings.minutes * 60 - self.elapsed

    def asked_to_stop(self) -> bool:
        """Whether the best so far is to be the result; looked up ten times a second at most."""
        if not self.stopped and time.monotonic() - self._looked > 0.1:
            self._looked = time.monotonic()
            self.stopped = any(command.get("type") == "stop" for command in self._commands.poll())
        return self.stopped

    def metric(self, stage: str, epochs: int, fields: Dict[str, Any]) -> Dict[str, Any]:
        """Notes and sends how an epoch went; `epochs` is how many there will be through all stages.

        `fields` are losses, accuracies, `lr` and `images_per_s` of the event. Failure `train.diverged` {lr} where the training
        loss is no number any more. Of a batch norm's first steps val's may be wild, or beyond what a number can be: then the
        event has null.
        """
        require_sense(fields["train_loss"], fields["lr"])
        if fields["val_loss"] is not None and not math.isfinite(fields["val_loss"]):
            fields = {**fields, "val_loss": None}
        speed = round(fields["images_per_s"], 1)
        metric = {**fields, "epoch": len(self.history) + 1, "epochs": epochs, "images_per_s": speed, "stage": stage}
        self.history.append(metric)
        self.run.emit("metric", **metric)
        return metric

    def offer(
        self,
        metric: Dict[str, Any],
        classifier: Classifier,
        val: Answers,
        test: Callable[[], Answers],
        optimizer: Dict[str, Any],
    ) -> bool:
        """Makes `classifier` the best model where val says that it is: checkpoint.pth, report.json, the event `best`.

        `metric` is that of its epoch. Better is a higher accuracy, or the same with a lower loss once each has its
        temperature (a training with softened labels is less sure than it is right); without val images what comes later.
        Failure `train.diverged` {lr} for a network whose weights are no numbers any more.
        """
        if not all(bool(torch.isfinite(tensor).all()) for tensor in classifier.state_dict().values()):
            raise Failure("train.diverged", lr=metric["lr"])
        warmth = calibration.temperature(val)
        accuracy, loss = accuracy_and_loss(val._replace(logits=val.logits / warmth))
        if not self._is_better(accuracy, loss):
            return False
        known = architecture(self.settings.arch)
        self.report = evaluation.figures(val, test(), self.classes, warmth)
        stage = metric["stage"]
        digest = checkpoint.save(
            self.folder,
            classifier,
            epoch=metric["epoch"],
            arch=self.settings.arch,
            resolution=known.resolution,
            classes=self.classes,
            num_classes=len(self.classes),
            accuracy=metric["train_accuracy"] if accuracy is None else accuracy,
            loss=metric["train_loss"] if loss is None else loss,
            optimizer=optimizer,
            input=self.spec,
            recipe=self.settings.recipe,
            seed=self.settings.seed,
            images=self.images,
            temperature=warmth,
            stage=stage,
            settings=self.used,
        )
        seconds = round(time.monotonic() - self._first_image, 3)
        test_accuracy = self.report["test_accuracy"]
        self.best = Best(stage, metric["epoch"], accuracy, loss, test_accuracy, seconds, digest)
        self.write_report()
        self.run.emit("best", **self.best._asdict())
        return True

    def _is_better(self, accuracy: Optional[float], loss: Optional[float]) -> bool:
        if loss is not None and not math.isfinite(loss):
            return False
        if self.best is None or self.best.val_accuracy is None or self.best.val_loss is None:
            return True
        if accuracy is None or loss is None:
            return False
        return (accuracy, -loss) > (self.best.val_accuracy, -self.best.val_loss)

    def end_stage(self, stage: str, start: float, epochs: int) -> None:
        """Notes a stage that began at `start` of time.monotonic(), for report.json."""
        own = [metric for metric in self.history if metric["stage"] == stage]
        last = own[-1] if own else {"val_accuracy": None, "val_loss": None}
        best = self.best if self.best is not None and self.best.stage == stage else None
        self.stages.append(
            {
                "stage": stage,
                "seconds": round(time.monotonic() - start, 3),
                "epochs": epochs,
                "val_accuracy": last["val_accuracy"] if best is None else best.val_accuracy,
                "val_loss": last["val_loss"] if best is None else best.val_loss,
                "taken": best is not None,
            }
        )

    def write_report(self) -> None:
        """report.json of the best model, with what has happened so far."""
        if self.best is None:
            return
        digest = self.best.checkpoint_sha256
        parameters = sum(tensor.numel() for tensor in self.classifier.parameters())
        file = self.folder / checkpoint.FILE
        report = {
            "v": 1,
            "model": self.folder.name,
            "recipe": self.settings.recipe,
            "arch": self.settings.arch,
            "classes": self.classes,
            "images": self.images,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "stage": self.best.stage,
            "checkpoint_sha256": digest,
            "device": libraries.device_name(self.device),
            "settings": self.used,
            "stages": self.stages,
            "seconds": {
                "start": round(self._seconds_to_start, 3),
                "first_image": self.best.seconds,
                "total": round(self.elapsed, 3),
            },
            "history": self.history,
            **self.report,
            "size": {"parameters": parameters, "bytes": file.stat().st_size},
            "milliseconds": self.milliseconds,
            "data": {
                "classes": counts_by_class(self.dataset),
                "width": self._data["width"],
                "height": self._data["height"],
            },
        }

        def with_export(earlier: Optional[Dict[str, Any]]) -> Dict[str, Any]:
            # What an export of this very checkpoint has written meanwhile.
            ours = earlier is not None and earlier.get("checkpoint_sha256") == digest
            return {**report, "export": earlier.get("export") if earlier is not None and ours else None}

        report_file.change(self.folder, with_export)

    def finish(self) -> None:
        """The result: what is in checkpoint.pth. Failure `train.diverged` {lr} where val was never more than noise."""
        if self.best is None:
            raise Failure("train.diverged", lr=self.history[-1]["lr"])
        self.write_report()
        self.run.result(
            model=self.folder.name,
            recipe=self.settings.recipe,
            arch=self.settings.arch,
            stage=self.best.stage,
            images=self.images,
            epochs=len(self.history),
            val_accuracy=self.best.val_accuracy,
            test_accuracy=self.best.test_accuracy,
            seconds=round(self.elapsed, 3),
            stopped=self.stopped,
            checkpoint_sha256=self.best.checkpoint_sha256,
        )

    def _milliseconds(self) -> float:
        """For one image through the network on the device; the shortest of a few looks."""
        network = frozen(self.classifier).to(self.device)
        side = self.spec["shape"][2]
        image = torch.zeros((1, 3, side, side), device=self.device)
        times = []
        with torch.inference_mode():
            for _ in range(_LOOKS):
                start = time.perf_counter()
                network(image).cpu()
                times.append(time.perf_counter() - start)
        return round(min(times) * 1000, 2)


def require_sense(loss: float, rate: float) -> None:
    """Failure `train.diverged` {lr} for a loss that is no number any more. A large one may come down again, as those of the
    first steps from scratch do at the reference recipe's rate."""
    if not math.isfinite(loss):
        raise Failure("train.diverged", lr=rate)


def accuracy_and_loss(answers: Answers) -> Tuple[Optional[float], Optional[float]]:
    """Top-1 and mean cross-entropy; None, None without images."""
    if not len(answers.labels):
        return None, None
    loss = torch.nn.functional.cross_entropy(answers.logits.double(), answers.labels)
    return evaluation.accuracy(answers), float(loss)


def labels_of(images: List[Image]) -> torch.Tensor:
    """int64 (n,)."""
    return torch.tensor([image.label for image in images], dtype=torch.int64)
