"""Recipe `classic`: that of dusty-nv/pytorch-classification, for teaching and comparing.

All layers, from ImageNet weights where the server has them: SGD with a rate of 0.1 and a momentum of 0.9, weight decay
0.0001, the rate a tenth after each 30 epochs, batches of 8, 35 epochs; training images as RandomResizedCrop(224) and a flip.
Two things differ from there: val is prepared as on the Nano (there: a crop of the centre), and the best model is chosen by the
rule of all recipes (Training.offer).
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Dict, Iterable, List, Optional, Tuple

import cv2
import numpy as np
import torch

from gpu_server import learning, resume
from gpu_server.augment import generator, random_resized_crop
from gpu_server.dataset import SPLITS, Image, read_image, require_every_class
from gpu_server.evaluation import Answers
from gpu_server.networks import IMAGENET_CLASSES, Classifier
from gpu_server.parallel import cores, each
from gpu_server.reading import ahead, name_bad
from gpu_server.training import Training, accuracy_and_loss, labels_of
from shared.preprocess import prepare, squash

STAGE = "classic"
EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 35, 8, 0.1, 0.9, 1e-4
_LOWER_EVERY = 30
_LOOK_BATCH = 16

_Batch = Tuple[torch.Tensor, torch.Tensor]  # images float32 (n, 3, h, w), labels


def train(training: Training) -> None:
    """Raises Failure."""
    training.look_at_data()
    start = time.monotonic()
    classic = _Classic(training)
    state = resume.load(training)
    if state is not None:
        classic.restore(state)
    classic.run()
    training.end_stage(STAGE, start, classic.done)


def rate_of(epoch: int, first: float) -> float:
    """Of an epoch counted from 0."""
    return first * 0.1 ** (epoch // _LOWER_EVERY)


class _Classic:
    def __init__(self, training: Training) -> None:
        self.training, self.done = training, 0
        asked = training.settings
        self.first_rate = asked.lr or RATE
        self.epochs, self.batch = asked.epochs or EPOCHS, asked.batch or BATCH
        training.used.update(epochs=self.epochs, lr=self.first_rate, batch=self.batch)
        classes = len(training.classes)
        classifier = training.classifier
        if classifier.head.out_features == IMAGENET_CLASSES and not training.from_scratch:
            fresh = torch.nn.Linear(classifier.num_features, classes)
            classifier.set_head(fresh.weight.detach(), fresh.bias.detach())
        classifier.requires_grad_(True).to(training.device)
        classifier.to(memory_format=torch.channels_last)
        self.classifier: Classifier = classifier
        optimizer = torch.optim.SGD(classifier.parameters(), self.first_rate, momentum=MOMENTUM, weight_decay=DECAY)
        self.learner = learning.Learner(training, classifier, optimizer, 0.0)
        torch.set_num_threads(cores())
        self.squashed: Dict[str, np.ndarray[Any, Any]] = {}
        self.images: Dict[str, List[Image]] = {}
        for split in SPLITS:
            self._read(split)
        training.images = {split: len(images) for split, images in self.images.items()}
        require_every_class(self.images["train"], training.classes, training.folder.name)
        self.labels = {split: labels_of(images) for split, images in self.images.items()}
        self.measured_s: Optional[float] = None

    def restore(self, state: Dict[str, Any]) -> None:
        self.classifier.load_state_dict(state["model"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]

    def run(self) -> None:
        """Until the last epoch, or a stop."""
        training = self.training
        while self.done < self.epochs:
            whole = self._epoch()
            if whole or training.best is None:  # stopped in the first epoch: better than nothing
                self.done += 1
                self._look()
            if not whole:
                return
            resume.save(
                training,
                {
                    "model": self.classifier.state_dict(),
                    "optimizer": self.learner.optimizer.state_dict(),
                    "done": self.done,
                },
            )

    def _epoch(self) -> bool:
        """False when it was ended early."""
        training, images = self.training, self.images["train"]
        seed = training.settings.seed % 2**31
        torch.manual_seed(seed * 10_007 + self.done)  # for dropout
        order = np.random.default_rng((seed, self.done)).permutation(len(images))
        batches = [order[start : start + self.batch] for start in range(0, len(images), self.batch)]
        self.classifier.train()
        self.learner.begin_epoch()
        self.rate = rate_of(self.done, self.first_rate)
        epoch = self.done
        with closing(ahead(lambda rows: self._load(rows, epoch), batches)) as loaded:
            for number, (pictures, labels) in enumerate(loaded):
                if number and (training.asked_to_stop() or training.time_left <= 0):
                    return False
                if len(labels):
                    self.learner.step(pictures, labels, self.rate)
                self._tell(number + 1, len(batches))
        return True

    def _tell(self, batch: int, batches: int) -> None:
        """The time of all epochs to come, and of measuring after each, as this one has shown it."""
        left = (self.epochs - self.done) * batches - batch
        images = left * len(self.images["train"]) / batches
        eta = images / max(self.learner.images_per_s, 1e-9) + (self.epochs - self.done) * (self.measured_s or 0.0)
        total, done = self.epochs * batches, self.done * batches + batch
        self.training.run.progress("train.classic", done, total, "batches", round(eta, 1))

    def _look(self) -> None:
        """Measures on val, and offers."""
        training, learner = self.training, self.learner
        start, speed = time.monotonic(), learner.images_per_s
        val = self._answers("val")
        accuracy, loss = accuracy_and_loss(val)
        metric = training.metric(
            STAGE,
            self.epochs,
            {
                "train_loss": learner.loss,
                "train_accuracy": learner.accuracy,
                "val_loss": loss,
                "val_accuracy": accuracy,
                "lr": self.rate,
                "images_per_s": speed,
            },
        )
        described = {
            "name": "SGD",
            "lr": self.first_rate,
            "momentum": MOMENTUM,
            "weight_decay": DECAY,
            "schedule": f"x0.1 every {_LOWER_EVERY} epochs",
        }
        training.offer(metric, self.classifier, val, lambda: self._answers("test"), described)
        self.measured_s = time.monotonic() - start

    def _answers(self, split: str) -> Answers:
        training, frames = self.training, self.squashed[split]
        self.classifier.eval()
        batches = (self._prepared(frames[start : start + _LOOK_BATCH]) for start in range(0, len(frames), _LOOK_BATCH))
        logits = self.learner.logits_of(batches, len(training.classes))
        return Answers(logits, self.labels[split], self.images[split])

    def _prepared(self, frames: Iterable[np.ndarray[Any, Any]]) -> torch.Tensor:
        batch = torch.from_numpy(np.concatenate([prepare(frame, self.training.spec) for frame in frames]))
        return batch.contiguous(memory_format=torch.channels_last)

    def _load(self, rows: np.ndarray[Any, Any], epoch: int) -> _Batch:
        """Training images as they are seen in `epoch`; those that went meanwhile are left out."""
        side = self.training.spec["shape"][2]
        frames, kept = [], []
        for row in rows.tolist():
            frame = read_image(self.images["train"][row].path)
            if frame is not None:
                random = generator(self.training.settings.seed, epoch, row)
                frames.append(random_resized_crop(frame, side, random))
                kept.append(row)
        if not frames:
            return torch.empty((0, 3, side, side)), torch.empty(0, dtype=torch.int64)
        return self._prepared(frames), self.labels["train"][kept]

    def _read(self, split: str) -> None:
        """Looks at every image once: which can be read; those of val and test are kept as the Nano squashes them."""
        training = self.training
        every, side = training.dataset.splits[split], training.spec["shape"][2]
        cv2.setNumThreads(1)

        def work(image: Image) -> Optional[np.ndarray[Any, Any]]:
            frame = read_image(image.path)
            if frame is None:
                return None
            return squash(frame, side, side) if split != "train" else np.empty(0, np.uint8)

        def tick(done: int) -> None:
            training.run.progress("train.reading", done, len(every), "images")

        found = each(work, every, tick)
        name_bad(training.run, [image.file for image, frame in zip(every, found) if frame is None])
        self.images[split] = [image for image, frame in zip(every, found) if frame is not None]
        if split != "train":
            frames = [frame for frame in found if frame is not None]
            self.squashed[split] = np.stack(frames) if frames else np.empty((0, side, side, 3), np.uint8)
