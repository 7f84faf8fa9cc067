"""Recipe `fine`: quick first, then the last blocks of the network, then more of it.

The part before a cut stays as it is, so it runs once for each image and some altered copies of it; what comes out, the maps,
is kept and the part after the cut is tuned on it. How long that takes is planned from constants (networks.Cut), not from this
machine's speed: the same seed then gives the same model, also on a machine that is busy with others.
"""

from __future__ import annotations

import math
import time
from contextlib import closing, contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch

from gpu_server import learning, maps, recipe_quick, resume
from gpu_server.dataset import Image
from gpu_server.evaluation import Answers
from gpu_server.networks import Classifier, Cut, architecture
from gpu_server.parallel import cores
from gpu_server.training import Training, accuracy_and_loss, labels_of

STAGES = ("fine", "deeper")
_COPIES = 8
_BATCH = 32
_SMOOTHING = 0.1
_DECAY = 0.05
# The plan, in seconds on the CPU that networks.Cut was measured on.
_SECONDS, _SECONDS_ON_GPU = 90.0, 40.0
_GPU_IS_FASTER = 20.0
_QUICK_START, _QUICK_PER_IMAGE, _COPY_PER_IMAGE = 4.0, 0.006, 0.004
_SHARE = 0.4  # of the time for the last blocks, the rest for more of the network
_FEWEST, _MOST = 3, 40  # epochs
_PATIENCE = 6  # epochs without a better one on val


class Part(NamedTuple):
    """What is tuned from one cut on."""

    stage: str
    cut: Cut
    copies: int
    epochs: int
    rate: float


def train(training: Training) -> None:
    """Raises Failure; the quick model is there before anything is tuned."""
    state = None
    if resume.is_there(training):
        training.look_at_data()
        state = resume.load(training)
    if state is None:
        training.later_s = _seconds(training, plan(training, training.images["train"]))
        readable = recipe_quick.train(training)
    else:
        training.classifier.set_head(*_empty_head(training.classifier, len(training.classes)))
        training.classifier.load_state_dict(state["model"])
        readable = {split: list(images) for split, images in training.dataset.splits.items()}
    origin = state["origin"] if state is not None else _copy(training.classifier.state_dict())
    mirror = state.get("mirror", True) if state is not None else maps.may_mirror(training, readable["val"])
    parts = plan(training, len(readable["train"]))
    training.used.update(
        epochs=sum(part.epochs for part in parts),
        lr=training.settings.lr or parts[0].cut.rate,
        batch=training.settings.batch or _BATCH,
    )
    for number in range(len(parts)):
        begun = state if state is not None and state["part"] == number else None
        if state is not None and number < state["part"]:
            continue
        if training.asked_to_stop() or training.time_left <= 0 or not _pays(training, number):
            break
        try:
            with closing(_Tuning(training, parts, number, readable, origin, mirror, begun)) as tuning:
                tuning.run()
        except maps.Stopped:
            break


def plan(training: Training, count: int) -> List[Part]:
    """For `count` training images."""
    asked, cuts = training.settings, architecture(training.settings.arch).cuts
    on_gpu = training.device.type == "cuda"
    seconds = asked.minutes * 60 if asked.minutes is not None else _SECONDS_ON_GPU if on_gpu else _SECONDS
    faster = _GPU_IS_FASTER if on_gpu else 1.0
    left = seconds - _QUICK_START - _QUICK_PER_IMAGE * sum(training.images.values()) / faster
    left -= _COPIES * _COPY_PER_IMAGE * count / faster
    shares = (_SHARE, 1 - _SHARE)
    parts: List[Part] = []
    for stage, cut, share in zip(STAGES, cuts, shares):
        if asked.epochs is not None:
            epochs = max(1, round(asked.epochs * share)) if stage == STAGES[0] else asked.epochs - parts[0].epochs
        else:
            epochs = min(_MOST, int(left * share * 1000 * faster / (count * cut.milliseconds)))
            if stage == STAGES[0]:
                epochs = max(_FEWEST, epochs)
        if epochs >= (_FEWEST if asked.epochs is None else 1):
            parts.append(Part(stage, cut, _COPIES, epochs, (asked.lr or cuts[0].rate) * cut.rate / cuts[0].rate))
    return parts


def _seconds(training: Training, parts: Sequence[Part]) -> float:
    """As planned, for as long as nothing has been measured."""
    faster = _GPU_IS_FASTER if training.device.type == "cuda" else 1.0
    a_copy = 1000 * _COPY_PER_IMAGE * _COPIES
    each = sum(a_copy + part.epochs * part.cut.milliseconds for part in parts)
    return each * training.images["train"] / 1000 / faster


def _pays(training: Training, number: int) -> bool:
    """More of the network is tuned only where tuning its last blocks was worth it."""
    return number == 0 or any(stage["stage"] == STAGES[number - 1] and stage["taken"] for stage in training.stages)


def _copy(state: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _empty_head(classifier: Classifier, classes: int) -> Tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros((classes, classifier.num_features)), torch.zeros(classes)


class _Tuning:
    """One part of the plan."""

    def __init__(
        self,
        training: Training,
        parts: List[Part],
        number: int,
        readable: Dict[str, List[Image]],
        origin: Dict[str, torch.Tensor],
        mirror: bool,
        begun: Optional[Dict[str, Any]],
    ) -> None:
        self.training, self.number, self.part, self.origin, self.mirror = training, number, parts[number], origin, mirror
        self.planned = sum(part.epochs for part in parts[number:])
        self.later = sum(part.epochs * part.cut.milliseconds for part in parts[number + 1 :])
        self.start = time.monotonic()
        training.later_s = _seconds(training, parts[number:])
        self.maps = maps.of_splits(training, self.part.cut.stage, readable, self.part.copies, mirror)
        self.maps_s = time.monotonic() - self.start
        self.labels = {split: labels_of(part.images) for split, part in self.maps.items()}
        self.count = len(self.labels["train"])
        classifier = training.classifier
        classifier.requires_grad_(False)
        tuned = classifier.tuned(self.part.cut.stage)
        for module in tuned:
            module.requires_grad_(True)
        learning.keep_norms(classifier.eval())
        classifier.to(memory_format=torch.channels_last)
        parameters = [each for module in tuned for each in module.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self.part.rate, weight_decay=_DECAY)
        mixed = learning.precision(training.device)
        self.learner = learning.Learner(training, self._forward, optimizer, _SMOOTHING, mixed, cores())
        self.done, self.earlier, self.without = 0, len(training.history), 0
        self.seen: Optional[Tuple[float, float]] = None
        if begun is not None:
            self.done, self.earlier, self.without = begun["done"], begun["earlier"], begun["without"]
            self.seen = tuple(begun["seen"]) if begun["seen"] is not None else None
            if "optimizer" in begun:
                optimizer.load_state_dict(begun["optimizer"])
                self.learner.scaler.load_state_dict(begun["scaler"])

    def run(self) -> None:
        """Until the plan, val, the time or a command ends it."""
        training, part = self.training, self.part
        while self.done < part.epochs and self.without < _PATIENCE:
            if not self._epoch():
                break
            self.done += 1
            self._look()
            ended = self.done == part.epochs or self.without == _PATIENCE
            if ended:
                self._end()
            resume.save(training, self._state(ended))
            if ended:
                return
        self._end()

    def close(self) -> None:
        self.learner.close()

    def _end(self) -> None:
        self.training.end_stage(self.part.stage, self.start, self.done)

    def _state(self, ended: bool) -> Dict[str, Any]:
        model = self.training.classifier.state_dict()
        state: Dict[str, Any] = {"model": model, "origin": self.origin, "mirror": self.mirror}
        if ended:
            return {
                **state,
                "part": self.number + 1,
                "done": 0,
                "earlier": len(self.training.history),
                "without": 0,
                "seen": None,
            }
        return {
            **state,
            "part": self.number,
            "done": self.done,
            "earlier": self.earlier,
            "without": self.without,
            "seen": self.seen,
            "optimizer": self.learner.optimizer.state_dict(),
            "scaler": self.learner.scaler.state_dict(),
        }

    def _epoch(self) -> bool:
        """False when it was ended early."""
        training, part = self.training, self.part
        random = torch.Generator().manual_seed(training.settings.seed % 2**31 * 10_007 + self.number * 1009 + self.done)
        order = torch.randperm(self.count, generator=random)
        copy = torch.randint(self.maps["train"].values.shape[0], (self.count,), generator=random)
        size = int(training.used["batch"])
        steps = math.ceil(self.count / size)
        self.learner.begin_epoch()
        for step, rows in enumerate(order.split(size)):
            if training.asked_to_stop() or training.time_left <= 0:
                return False
            self.rate = learning.one_cycle(self.done * steps + step, part.epochs * steps, part.rate)
            images = self.maps["train"].batch(copy[rows], rows)
            self.learner.step(images, self.labels["train"][rows], self.rate)
            self._tell(step + 1, steps)
        return True

    def _tell(self, step: int, steps: int) -> None:
        """The time of what is still to come, learnt from the batches of this epoch."""
        total = self.part.epochs * steps
        done = self.done * steps + step
        each = 1 / self.learner.images_per_s
        later = self.later / self.part.cut.milliseconds * self.count
        eta = ((total - done) * self.count / steps + later) * each + (self.maps_s if later else 0.0)
        self.training.run.progress(f"train.{self.part.stage}", done, total, "batches", round(eta, 1))

    def _look(self) -> None:
        """Measures on val, and offers: the network half-way between quick's and the tuned one.

        It was better on val than either, and forgot less of what ImageNet taught (Wortsman et al., Robust fine-tuning of
        zero-shot models, 2022).
        """
        with self._half_way():
            self._offer()

    @contextmanager
    def _half_way(self) -> Iterator[None]:
        tuned = [
            (name, parameter) for name, parameter in self.training.classifier.named_parameters() if parameter.requires_grad
        ]
        kept = [parameter.detach().clone() for _, parameter in tuned]
        with torch.no_grad():
            for name, parameter in tuned:
                parameter.lerp_(self.origin[name].to(parameter.device), 0.5)
        try:
            yield
        finally:
            with torch.no_grad():
                for (_, parameter), values in zip(tuned, kept):
                    parameter.copy_(values)

    def _offer(self) -> None:
        training, learner = self.training, self.learner
        val = self._answers("val")
        accuracy, loss = accuracy_and_loss(val)
        metric = training.metric(
            self.part.stage,
            self.earlier + self.planned,
            {
                "train_loss": learner.loss,
                "train_accuracy": learner.accuracy,
                "val_loss": loss,
                "val_accuracy": accuracy,
                "lr": self.rate,
                "images_per_s": learner.images_per_s,
            },
        )
        described = {
            "name": "AdamW",
            "lr": self.part.rate,
            "weight_decay": _DECAY,
            "schedule": "one-cycle",
            "label_smoothing": _SMOOTHING,
            "cut": self.part.cut.stage,
            "copies": self.part.copies,
        }
        training.offer(metric, training.classifier, val, lambda: self._answers("test"), described)
        if accuracy is not None and loss is not None:
            better = self.seen is None or (accuracy, -loss) > self.seen
            self.seen = (accuracy, -loss) if better else self.seen
            self.without = 0 if better else self.without + 1

    def _forward(self, before: torch.Tensor) -> torch.Tensor:
        return self.training.classifier.after(before, self.part.cut.stage)

    def _answers(self, split: str) -> Answers:
        own = self.maps[split]
        rows = torch.arange(len(own.images)).split(_BATCH)
        batches = [own.batch(torch.zeros_like(part), part) for part in rows if len(part)]
        logits = self.learner.logits_of(batches, len(self.training.classes))
        return Answers(logits, self.labels[split], own.images)
