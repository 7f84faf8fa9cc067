"""Images through the frozen network, once: the features that the head learns from and is measured on."""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import torch

from gpu_server.dataset import Image, read_image
from gpu_server.evaluation import Answers
from gpu_server.networks import Classifier
from gpu_server.parallel import each
from gpu_server.reading import name_bad
from gpu_server.runtime import Engine, engine
from shared.preprocess import prepare
from shared.wire import Run

_BATCH = 4  # larger ones were slower on a CPU, and a batch under way delays a stop
_BATCH_ON_GPU = 16


class Features(NamedTuple):
    """`matrix` float32 (images, features) and `labels` int64 (images,), on the CPU, in the order of `images`."""

    matrix: torch.Tensor
    labels: torch.Tensor
    images: List[Image]


class _Rows(NamedTuple):
    """A batch's features, the images they belong to, and the images that could not be read."""

    matrix: Optional[np.ndarray[Any, Any]]
    images: List[Image]
    bad: List[Image]


def extract(
    run: Run,
    classifier: Classifier,
    images: Sequence[Image],
    spec: Dict[str, Any],
    device: torch.device,
    compute: Optional[Engine] = None,
    later_s: float = 0.0,
) -> Features:
    """Features of all images that can be read; the others are named in the warning `train.bad_image` and left out.

    Each thread takes a batch from its files to its features; the result is the same to the last bit for any number of
    them. `compute` is runtime.engine's; without it PyTorch computes. Sends progress `train.features`, whose time left ends
    `later_s` after the features. Failure `train.gpu_memory` when the GPU is full.
    """
    found = compute or engine(classifier, None, spec["shape"][2], device, None, "")
    size = _BATCH if device.type == "cpu" else _BATCH_ON_GPU
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    start = time.monotonic()
    run.progress("train.features", 0, len(images), "images")
    cv2.setNumThreads(1)

    def tick(batches_done: int) -> None:
        done = min(batches_done * size, len(images))
        eta = (time.monotonic() - start) / done * (len(images) - done) + later_s
        run.progress("train.features", done, len(images), "images", round(eta, 1))

    rows = each(lambda batch: _rows(found, batch, spec), batches, tick)
    name_bad(run, [image.file for row in rows for image in row.bad])
    kept = [image for row in rows for image in row.images]
    parts = [torch.from_numpy(row.matrix) for row in rows if row.matrix is not None]
    matrix = torch.cat([torch.empty((0, classifier.num_features)), *parts])
    return Features(matrix, torch.tensor([image.label for image in kept], dtype=torch.int64), kept)


def select(features: Features, split: str) -> Features:
    """The rows whose images lie in train/, val/ or test/."""
    rows = [row for row, image in enumerate(features.images) if image.file.startswith(split + "/")]
    return Features(features.matrix[rows], features.labels[rows], [features.images[row] for row in rows])


def answers(part: Features, weight: torch.Tensor, bias: torch.Tensor) -> Answers:
    """What a network with this last layer, weight (classes, features) and bias (classes,) on the CPU, says of them."""
    with torch.no_grad():
        return Answers(part.matrix @ weight.T + bias, part.labels, part.images)


def _rows(compute: Engine, images: Sequence[Image], spec: Dict[str, Any]) -> _Rows:
    frames = [(image, read_image(image.path)) for image in images]
    arrays = [prepare(frame, spec) for _, frame in frames if frame is not None]
    kept = [image for image, frame in frames if frame is not None]
    bad = [image for image, frame in frames if frame is None]
    return _Rows(compute(np.concatenate(arrays)) if arrays else None, kept, bad)
