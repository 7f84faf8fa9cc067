"""How good a network is on images it has not learnt from: the figures of report.json."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import torch

from gpu_server.features import Features, select
from gpu_server.networks import Classifier

WRONG_SAMPLES = 24
RIGHT_SAMPLES_A_CLASS = 4


def figures(classifier: Classifier, features: Features, classes: List[str]) -> Dict[str, Any]:
    """val_accuracy, test_accuracy (None without images), confusion, per_class and samples, as doc/design/wire.md says.

    `features` may hold images of every split; confusion, per_class and samples are of test alone.
    """
    head = classifier.network.classifier
    val, test = select(features, "val"), select(features, "test")
    with torch.inference_mode():
        val_predicted = head(val.matrix).argmax(1)
        confidences, predicted = head(test.matrix).softmax(1).max(1)
    confusion = torch.zeros((len(classes), len(classes)), dtype=torch.int64)
    for true, guess in zip(test.labels.tolist(), predicted.tolist()):
        confusion[true, guess] += 1
    return {
        "val_accuracy": _fraction(int((val_predicted == val.labels).sum()), len(val.images)),
        "test_accuracy": _fraction(int(confusion.trace()), len(test.images)),
        "confusion": confusion.tolist(),
        "per_class": _per_class(confusion, classes),
        "samples": _samples(test, predicted.tolist(), confidences.tolist(), classes),
    }


def _fraction(part: int, whole: int) -> Optional[float]:
    return part / whole if whole else None


def _per_class(confusion: torch.Tensor, classes: List[str]) -> Dict[str, Dict[str, Any]]:
    """Precision is None for a class that was never predicted, recall for one that has no test images."""
    shown, predicted, right = confusion.sum(1).tolist(), confusion.sum(0).tolist(), confusion.diagonal().tolist()
    return {
        name: {
            "precision": _fraction(right[label], predicted[label]),
            "recall": _fraction(right[label], shown[label]),
            "images": shown[label],
        }
        for label, name in enumerate(classes)
    }


def _confidence(sample: Dict[str, Any]) -> float:
    return float(sample["confidence"])


def _samples(
    test: Features, predicted: List[int], confidences: List[float], classes: List[str]
) -> List[Dict[str, Any]]:
    """The most confident mistakes first, then right answers taken evenly from each class's images."""
    rows: List[Dict[str, Any]] = [
        {
            "file": image.file,
            "class": classes[image.label],
            "predicted": classes[guess],
            "confidence": round(confidence, 4),
        }
        for image, guess, confidence in zip(test.images, predicted, confidences)
    ]
    wrong = [row for row in rows if row["class"] != row["predicted"]]
    samples = sorted(wrong, key=_confidence, reverse=True)[:WRONG_SAMPLES]
    for name in classes:
        right = [row for row in rows if row["class"] == row["predicted"] == name]
        step = max(1, len(right) // RIGHT_SAMPLES_A_CLASS)
        samples += right[::step][:RIGHT_SAMPLES_A_CLASS]
    return samples
