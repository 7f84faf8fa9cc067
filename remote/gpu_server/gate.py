"""The gate of the export: what was written is read back, as the Nano will read it, and has to answer like the checkpoint.

The same frames go once through the checkpoint's network (PyTorch, the checkpoint's own input specification and classes) and
once through the written files (model.onnx by ONNX Runtime, prepared by bundle.json's specification, named by labels.txt).
Nothing is handed from one side to the other, so a wrong weight, label or mean shows as an answer that differs.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import onnxruntime
import torch
from torch import nn

from gpu_server.dataset import SPLITS, Image, read_image, spread
from gpu_server.parallel import each
from shared.files import sha256
from shared.preprocess import prepare
from shared.wire import Failure

MODEL, LABELS, BUNDLE = "model.onnx", "labels.txt", "bundle.json"
MOST_IMAGES = 500
# Enough to show what half precision does; each takes as long as both sides together.
MOST_HALVED = 32
TOLERANCE = 1e-4
# Where the network is sure, softmax hides what happened to its logits; the logarithms of small probabilities do not.
LOG_TOLERANCE = 1e-2
_SMALLEST = 1e-12
_BATCH = 4
_TIMED_RUNS = 10


class Written(NamedTuple):
    """The files of an export as they are on the disk; `mismatch` is the first that is not what bundle.json says of it."""

    session: Any
    labels: List[str]
    bundle: Dict[str, Any]
    mismatch: Optional[str]

    def probabilities(self, frame: np.ndarray[Any, Any], classes: Sequence[str]) -> np.ndarray[Any, Any]:
        """Of one BGR frame, in the order of `classes`, found by name; NaN for a class that has none here."""
        spec = self.bundle["input"]
        (outputs,) = self.session.run([self.bundle["output"]["name"]], {spec["name"]: prepare(frame, spec)})
        named = dict(zip(self.labels, outputs.reshape(-1).tolist()))
        return np.array([named.get(name, np.nan) for name in classes])


class Reference(NamedTuple):
    """The checkpoint's side: `network` gives logits of images prepared by `spec`; `halved` its probabilities in fp16."""

    network: nn.Module
    spec: Dict[str, Any]
    classes: List[str]
    temperature: float
    halved: nn.Module


class Row(NamedTuple):
    """Probabilities of one image, each of shape (classes,); `halved` is None for images that were not rehearsed."""

    image: Image
    expected: np.ndarray[Any, Any]
    actual: np.ndarray[Any, Any]
    halved: Optional[np.ndarray[Any, Any]]


class Comparison(NamedTuple):
    """`difference` is the largest of any probability (1 for what is no number), `agreement` the share of images with the
    same first class, `refused` the files of the images that keep the model from being published."""

    images: int
    difference: float
    agreement: float
    refused: List[str]


def read_back(folder: Path) -> Written:
    """What is written in `folder`; Failure `export.damaged` {model, file} for what cannot be run at all."""
    model = folder.parent.name
    try:
        bundle = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))
        labels = (folder / LABELS).read_text(encoding="utf-8").split("\n")
        prepare(np.zeros((2, 2, 3), np.uint8), bundle["input"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure("export.damaged", model=model, file=BUNDLE) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # images are what runs side by side
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common class in its API
        raise Failure("export.damaged", model=model, file=MODEL) from error
    for side, given in (("input", session.get_inputs()), ("output", session.get_outputs())):
        if [(one.name, list(one.shape)) for one in given] != [(bundle[side]["name"], bundle[side]["shape"])]:
            raise Failure("export.damaged", model=model, file=BUNDLE)
    wrong = [name for name in (MODEL, LABELS) if sha256(folder / name) != bundle["sha256"][name]]
    wrong += [LABELS] if labels != bundle["classes"] else []
    return Written(session, labels, bundle, wrong[0] if wrong else None)


def choose(splits: Dict[str, List[Image]], most: int = MOST_IMAGES) -> List[Image]:
    """Up to `most` images spread evenly over test/, or else val/ or train/."""
    for split in reversed(SPLITS):
        if splits[split]:
            return spread(splits[split], most)
    return []


def run(
    written: Written, reference: Reference, images: Sequence[Image], tick: Callable[[int], None] = lambda done: None
) -> List[Row]:
    """Every image that can be read through both sides, and some of them in half precision; `tick` hears how many are done."""
    cv2.setNumThreads(1)
    network = reference.network.to(memory_format=torch.channels_last)
    halved = reference.halved.to(memory_format=torch.channels_last)
    rehearsed = {image.file for image in spread(images, MOST_HALVED)}

    def compare(batch: Sequence[Image]) -> List[Row]:
        frames = [(image, frame) for image in batch for frame in [read_image(image.path)] if frame is not None]
        if not frames:
            return []
        actual = [written.probabilities(frame, reference.classes) for _, frame in frames]
        prepared = torch.from_numpy(np.concatenate([prepare(frame, reference.spec) for _, frame in frames]))
        chosen = [place for place, (image, _) in enumerate(frames) if image.file in rehearsed]
        with torch.inference_mode():
            logits = network(prepared.contiguous(memory_format=torch.channels_last))
            expected = (logits.double() / reference.temperature).softmax(1).numpy()
            rounded = halved(prepared[chosen].contiguous(memory_format=torch.channels_last)).numpy() if chosen else []
        in_half = dict(zip(chosen, rounded))
        return [
            Row(image, expected[place], actual[place], in_half.get(place)) for place, (image, _) in enumerate(frames)
        ]

    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    made = each(compare, batches, lambda done: tick(min(done * _BATCH, len(images))))
    return [row for rows in made for row in rows]


def judge(rows: Sequence[Row]) -> Comparison:
    """Of at least one row: an image is refused when a probability differs by more than TOLERANCE (its logarithm by more
    than LOG_TOLERANCE), or when another class is first and the two best are not that close on both sides."""
    differences = [_difference(row.expected, row.actual) for row in rows]
    same = [int(row.expected.argmax()) == int(row.actual.argmax()) for row in rows]
    refused = [
        row.image.file
        for row, difference, agrees in zip(rows, differences, same)
        if difference > TOLERANCE
        or not _log_difference(row.expected, row.actual) <= LOG_TOLERANCE
        or not (agrees or (_lead(row.expected) <= TOLERANCE and _lead(row.actual) <= TOLERANCE))
    ]
    return Comparison(len(rows), max(differences), sum(same) / len(rows), refused)


def in_half(rows: Sequence[Row]) -> Optional[Dict[str, Any]]:
    """`fp16` of report.json, of the rows that were rehearsed; None where none was."""
    pairs = [(row, row.halved) for row in rows if row.halved is not None]
    if not pairs:
        return None
    first = [(row, int(np.nan_to_num(halved, nan=-1.0).argmax()), halved) for row, halved in pairs]
    return {
        "images": len(first),
        "accuracy": sum(guess == row.image.label for row, guess, _ in first) / len(first),
        "max_difference": max(_difference(row.expected, halved) for row, _, halved in first),
        "agreement": sum(guess == int(row.expected.argmax()) for row, guess, _ in first) / len(first),
    }


def milliseconds(written: Written) -> float:
    """The median of one image's time through model.onnx, on one core, without its preparation."""
    spec = written.bundle["input"]
    image = np.zeros(spec["shape"], dtype=np.float32)
    taken = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        written.session.run(None, {spec["name"]: image})
        taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken), 3)


def _difference(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> float:
    largest = float(np.abs(expected - actual).max())
    return largest if largest <= 1 else 1.0  # also where it is no number


def _log_difference(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> float:
    logs = [np.log(np.maximum(side, _SMALLEST)) for side in (expected, actual)]
    return float(np.abs(logs[0] - logs[1]).max())


def _lead(probabilities: np.ndarray[Any, Any]) -> float:
    """How far the best is before the second best."""
    second, best = np.sort(probabilities)[-2:]
    return float(best - second)
