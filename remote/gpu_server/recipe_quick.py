"""Recipe `quick`: the network stays frozen, every image goes through it once, and a logistic regression on the features
becomes its last layer."""

from __future__ import annotations

import time
from typing import Dict, List

from gpu_server import features, head
from gpu_server.dataset import SPLITS, Image, require_every_class
from gpu_server.evaluation import Answers
from gpu_server.training import Training

STAGE = "quick"


def train(training: Training) -> Dict[str, List[Image]]:
    """The images that could be read, by split. `training.classifier` then has the new last layer."""
    run, classifier, spec = training.run, training.classifier, training.spec
    compute = training.engine(None)
    training.look_at_data()
    start = time.monotonic()
    every = [image for split in SPLITS for image in training.dataset.splits[split]]
    extracted = features.extract(run, classifier, every, spec, training.device, compute, training.later_s)
    parts = {split: features.select(extracted, split) for split in SPLITS}
    readable = {split: part.images for split, part in parts.items()}
    training.images = {split: len(part.images) for split, part in parts.items()}
    require_every_class(readable["train"], training.classes, training.folder.name)
    fitted = _fit(training, parts["train"], parts["val"])
    classifier.set_head(*(tensor.to(training.device) for tensor in fitted.head))

    def answers(split: str) -> Answers:
        return features.answers(parts[split], *fitted.head)

    metric = training.history[fitted.best.epoch - 1]
    training.offer(metric, classifier, answers("val"), lambda: answers("test"), fitted.optimizer)
    training.end_stage(STAGE, start, len(fitted.history))
    return readable


def _fit(training: Training, train_part: features.Features, val_part: features.Features) -> head.Fit:
    """Chooses the strength of the penalty on val/, then fits once more and sends each epoch as a `metric` event."""
    limit = training.settings.epochs if training.settings.recipe == STAGE else None
    epochs = limit or head.EPOCHS
    if training.settings.recipe == STAGE:
        training.used["epochs"] = epochs
    learn, check = head.Split(train_part.matrix, train_part.labels), head.Split(val_part.matrix, val_part.labels)
    count = len(training.classes)
    strength = head.choose_strength(
        learn, check, count, epochs, lambda done, total: training.run.progress("train.head", done, total, "steps")
    )

    def note(epoch: head.Epoch) -> None:
        training.metric(STAGE, epochs, epoch._asdict())

    return head.fit(learn, check, count, strength, epochs, note)
