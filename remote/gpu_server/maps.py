"""What comes out of the part of a network that `fine` leaves as it is, for each image and altered copies of it, once."""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import torch

from gpu_server import runtime
from gpu_server.augment import copies
from gpu_server.dataset import SPLITS, Image, read_image
from gpu_server.parallel import each
from gpu_server.reading import name_bad
from gpu_server.training import Training
from shared.preprocess import prepare, squash

_ROOM = 1 << 30  # bytes for the maps of training images, in half precision
_MIRRORED = 60  # images that are looked at in the mirror, at most
_MIRRORED_WRONG = 0.1  # of them may be taken for another class than before


class Stopped(Exception):
    """Asked to stop while copies are prepared."""


class Maps(NamedTuple):
    """`values` (copies, n, h, w, c) of what comes before the cut; training's are float16, the others' float32 for figures
    that agree with a run through the whole network."""

    values: torch.Tensor
    images: List[Image]

    def batch(self, copy: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """float32 (n, c, h, w), with the channels last in memory as convolutions like it."""
        return self.values[copy, rows].float().permute(0, 3, 1, 2)


def of_splits(training: Training, stage: int, readable: Dict[str, List[Image]], wanted: int, mirror: bool) -> Dict[str, Maps]:
    """Maps before the cut at `stage`; of training images `wanted` copies, or as many as there is room for. Stopped."""
    compute = training.engine(stage)
    many = _copies_that_fit(compute, training.spec, len(readable["train"]), wanted)
    if many < wanted:
        training.run.log("train.fewer_copies", copies=many, wanted=wanted)
    return {split: _maps(training, compute, readable[split], many if split == "train" else 1, mirror) for split in SPLITS}


def may_mirror(training: Training, val: Sequence[Image]) -> bool:
    """Whether images of val mean the same in the mirror, to the quick model: an arrow to the left does not.

    Says so where they do not. Without val nothing speaks against it.
    """
    some = val[:: max(1, -(-len(val) // _MIRRORED))]
    compute, head = training.engine(None), training.classifier.head
    side = training.spec["shape"][2]

    def right(image: Image) -> Optional[List[bool]]:
        frame = read_image(image.path)
        if frame is None:
            return None
        whole = squash(frame, side, side)
        both = np.concatenate([prepare(np.ascontiguousarray(one), training.spec) for one in (whole, whole[:, ::-1])])
        with torch.no_grad():
            logits = head(torch.from_numpy(compute(both)).to(head.weight.device))
        return [bool(answer == image.label) for answer in logits.argmax(1).tolist()]

    cv2.setNumThreads(1)
    looked = [answers for answers in each(right, some) if answers is not None]
    lost = sum(plain for plain, _ in looked) - sum(mirrored for _, mirrored in looked)
    harmless = lost <= max(1, _MIRRORED_WRONG * len(looked))
    if not harmless:
        training.run.log("train.mirror_differs", images=len(looked), wrong=lost)
    return harmless


def _copies_that_fit(compute: runtime.Engine, spec: Dict[str, Any], count: int, wanted: int) -> int:
    one = compute(np.zeros(spec["shape"], np.float32)).size * 2
    return max(1, min(wanted, _ROOM // (one * count)))


def _maps(training: Training, compute: runtime.Engine, images: Sequence[Image], many: int, mirror: bool) -> Maps:
    """The maps of all images that can be read, a thread for an image and its copies."""
    spec, seed = training.spec, training.settings.seed
    channels, height, width = compute(np.zeros(spec["shape"], np.float32)).shape[1:]
    kind = np.float16 if many > 1 else np.float32
    values = np.empty((many, len(images), height, width, channels), kind)
    cv2.setNumThreads(1)
    start = time.monotonic()

    def work(number: int) -> bool:
        frame = read_image(images[number].path)
        if frame is None:
            return False
        for copy, altered in enumerate(copies(frame, spec["shape"][2], many, (seed, number), mirror)):
            values[copy, number] = compute(prepare(altered, spec))[0].transpose(1, 2, 0)
        return True

    def tick(done: int) -> None:
        eta = (time.monotonic() - start) / done * (len(images) - done) + training.later_s
        training.run.progress("train.maps", done, len(images), "images", round(eta, 1))
        if training.asked_to_stop():
            raise Stopped()

    made = each(work, range(len(images)), tick)
    name_bad(training.run, [image.file for image, good in zip(images, made) if not good])
    if not all(made):
        values = values[:, made]
    return Maps(torch.from_numpy(values), [image for image, good in zip(images, made) if good])
