"""How good a network is on images it has not learnt from: the figures of report.json."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch

from gpu_server import calibration
from gpu_server.dataset import Image, spread

WRONG_SAMPLES = 24
RIGHT_SAMPLES_A_CLASS = 4
# Some 100 bytes each, written anew with each best model.
MOST_ANSWERS = 2000
# Of a normal distribution 95 % lie within so many standard deviations.
_Z = 1.959963984540054


class Answers(NamedTuple):
    """What a network said of `images`: `logits` float32 (n, classes), before any temperature, and the true `labels`
    int64 (n,), both on the CPU."""

    logits: torch.Tensor
    labels: torch.Tensor
    images: List[Image]


def figures(val: Answers, test: Answers, classes: List[str], temperature: float) -> Dict[str, Any]:
    """val_accuracy, test_accuracy, interval (None without images), calibration, confusion, per_class, samples, answers and
    answers_left_out, as doc/design/wire.md says; all but the first are of `test`, confidences with the temperature."""
    confidences, predicted = _answers(test, temperature)
    rows = _rows(test, predicted, confidences, classes)
    told = spread(rows, MOST_ANSWERS)
    confusion = torch.zeros((len(classes), len(classes)), dtype=torch.int64)
    for true, guess in zip(test.labels.tolist(), predicted):
        confusion[true, guess] += 1
    right, count = int(confusion.trace()), len(test.images)
    return {
        "val_accuracy": accuracy(val),
        "test_accuracy": _fraction(right, count),
        "interval": interval(right, count),
        "calibration": {
            "temperature": temperature,
            "before": calibration.measure(test, 1.0),
            "after": calibration.measure(test, temperature),
        },
        "confusion": confusion.tolist(),
        "per_class": _per_class(confusion, classes),
        "samples": _samples(rows, classes),
        "answers": [{key: row[key] for key in ("file", "predicted", "confidence")} for row in told],
        "answers_left_out": len(rows) - len(told),
    }


def accuracy(answers: Answers) -> Optional[float]:
    """Top-1; None without images."""
    return _fraction(int((answers.logits.argmax(1) == answers.labels).sum()), len(answers.images))


def interval(right: int, count: int) -> Optional[List[float]]:
    """[low, high] of Wilson's 95 % interval of right / count, which also holds for few images; None without any."""
    if count == 0:
        return None
    share, weight = right / count, _Z * _Z / count
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    # Where all or none are right, the end is exactly there; rounding would miss it.
    return [0.0 if right == 0 else centre - half, 1.0 if right == count else centre + half]


def _answers(answers: Answers, temperature: float) -> Tuple[List[float], List[int]]:
    """Confidence and index of the first class, for each image."""
    if not answers.images:
        return [], []
    confidences, predicted = (answers.logits.double() / temperature).softmax(1).max(1)
    return confidences.tolist(), predicted.tolist()


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


def _rows(
    test: Answers, predicted: List[int], confidences: List[float], classes: List[str]
) -> List[Dict[str, Any]]:
    """What is told of each image, in the order of the images."""
    return [
        {
            "file": image.file,
            "class": classes[image.label],
            "predicted": classes[guess],
            "confidence": round(confidence, 4),
        }
        for image, guess, confidence in zip(test.images, predicted, confidences)
    ]


def _samples(rows: List[Dict[str, Any]], classes: List[str]) -> List[Dict[str, Any]]:
    """The most confident mistakes first, then right answers taken evenly from each class's images."""
    wrong = [row for row in rows if row["class"] != row["predicted"]]
    samples = sorted(wrong, key=_confidence, reverse=True)[:WRONG_SAMPLES]
    for name in classes:
        right = [row for row in rows if row["class"] == row["predicted"] == name]
        step = max(1, len(right) // RIGHT_SAMPLES_A_CLASS)
        samples += right[::step][:RIGHT_SAMPLES_A_CLASS]
    return samples
