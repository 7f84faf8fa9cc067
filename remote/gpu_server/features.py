"""Images through the frozen network, once: the features that the head learns from and is measured on."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Sequence

import cv2
import numpy as np
import torch

from gpu_server.dataset import Image, read_image
from gpu_server.folding import fold
from gpu_server.networks import Classifier
from shared.preprocess import prepare
from shared.wire import Failure, Run

_BATCH = 4  # larger ones were slower on a CPU, and a batch under way delays a stop
_NAMED_BAD_IMAGES = 20


class Features(NamedTuple):
    """`matrix` float32 (images, features) and `labels` int64 (images,), on the CPU, in the order of `images`."""

    matrix: torch.Tensor
    labels: torch.Tensor
    images: List[Image]


class _Rows(NamedTuple):
    """A batch's features, the images they belong to, and the images that could not be read."""

    matrix: torch.Tensor
    images: List[Image]
    bad: List[Image]


def extract(
    run: Run, classifier: Classifier, images: Sequence[Image], spec: Dict[str, Any], device: torch.device
) -> Features:
    """Features of all images that can be read; the others are named in the warning `train.bad_image` and left out.

    Each thread takes a batch from its files to its features on one core: threads that share the work inside each layer
    wait for one another, which costs far more where other students compute. It also makes the result, to the last bit,
    the same for any number of cores. Sends progress `train.features`. Failure `train.gpu_memory` when the GPU is full.
    """
    network = fold(classifier, spec["shape"][2]).to(device).to(memory_format=torch.channels_last)
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    rows: List[_Rows] = []
    start, done = time.monotonic(), 0
    run.progress("train.features", 0, len(images), "images")
    cv2.setNumThreads(1)
    threads = min(16, _cores())
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [pool.submit(_batch_features, network, batch, spec, device) for batch in batches]
        try:
            for batch, future in zip(batches, futures):
                rows.append(future.result())
                done += len(batch)
                eta = (time.monotonic() - start) / done * (len(images) - done)
                run.progress("train.features", done, len(images), "images", round(eta, 1))
        finally:
            for future in futures:
                future.cancel()
    _name_bad(run, [image.file for row in rows for image in row.bad])
    kept = [image for row in rows for image in row.images]
    matrix = torch.cat([torch.empty((0, classifier.network.num_features))] + [row.matrix for row in rows])
    return Features(matrix, torch.tensor([image.label for image in kept], dtype=torch.int64), kept)


def select(features: Features, split: str) -> Features:
    """The rows whose images lie in train/, val/ or test/."""
    rows = [row for row, image in enumerate(features.images) if image.file.startswith(split + "/")]
    return Features(features.matrix[rows], features.labels[rows], [features.images[row] for row in rows])


def _batch_features(network: Classifier, images: Sequence[Image], spec: Dict[str, Any], device: torch.device) -> _Rows:
    frames = [(image, read_image(image.path)) for image in images]
    arrays = [prepare(frame, spec) for _, frame in frames if frame is not None]
    kept = [image for image, frame in frames if frame is not None]
    bad = [image for image, frame in frames if frame is None]
    if not arrays:
        return _Rows(torch.empty((0, network.network.num_features)), kept, bad)
    batch = torch.from_numpy(np.concatenate(arrays)).to(device).to(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            matrix = network.features(batch).cpu()
    except torch.cuda.OutOfMemoryError as error:
        raise Failure("train.gpu_memory", device=torch.cuda.get_device_name(device)) from error
    return _Rows(matrix.clone(), kept, bad)


def _cores() -> int:
    """How many cores this process may use; a shared server or a container often grants fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name_bad(run: Run, files: List[str]) -> None:
    for file in files[:_NAMED_BAD_IMAGES]:
        run.log("train.bad_image", level="warning", file=file)
    if len(files) > _NAMED_BAD_IMAGES:
        run.log("train.more_bad_images", level="warning", count=len(files) - _NAMED_BAD_IMAGES)
