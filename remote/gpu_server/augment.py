"""Images as they might have been taken: other places, sizes and light, from a seed.

What val and test see is never changed; it is prepared as on the Nano.
"""

from __future__ import annotations

import math
from typing import Any, Sequence, Tuple

import cv2
import numpy as np

from shared.preprocess import squash

Frame = np.ndarray[Any, Any]  # uint8 BGR (H, W, 3)

# RandomResizedCrop of torchvision and of the reference recipe: share of the area, and width by height.
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_ATTEMPTS = 10
# For copies that a network is tuned on: the object should stay in the picture.
_COPY_SIDE = (0.5, 1.0)
_COPY_GAIN = (0.6, 1.5)
_COPY_TINT = 0.2


def generator(*seeds: int) -> np.random.Generator:
    """Its own for each image and epoch, so that neither threads nor a resumed training change what comes out."""
    return np.random.default_rng(seeds)


def copies(frame: Frame, resolution: int, count: int, seeds: Sequence[int], mirror: bool = True) -> Frame:
    """uint8 (count, resolution, resolution, 3): the frame as the Nano takes it, then parts of it in other light.

    With `mirror` the second is the frame in the mirror, and so is half of the others.
    """
    whole = squash(frame, resolution, resolution)
    made = [whole, whole[:, ::-1]][:count] if mirror else [whole]
    for number in range(len(made), count):
        random = generator(*seeds, number)
        part = squash(_part(frame, random), resolution, resolution)
        made.append(_other_light(part[:, ::-1] if mirror and random.random() < 0.5 else part, random))
    return np.stack(made)


def _part(frame: Frame, random: np.random.Generator) -> Frame:
    height, width = frame.shape[:2]
    rows, columns = (max(1, round(size * random.uniform(*_COPY_SIDE))) for size in (height, width))
    top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
    return frame[top : top + rows, left : left + columns]


def _other_light(frame: Frame, random: np.random.Generator) -> Frame:
    gains = random.uniform(*_COPY_GAIN) * random.uniform(1 - _COPY_TINT, 1 + _COPY_TINT, 3)
    table = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(frame), table.reshape(1, 256, 3))


def random_resized_crop(frame: Frame, resolution: int, random: np.random.Generator) -> Frame:
    """As torchvision's transform of that name, then a horizontal flip half the time: uint8 (resolution, resolution, 3)."""
    top, left, rows, columns = crop_box(frame.shape[0], frame.shape[1], random)
    part = frame[top : top + rows, left : left + columns]
    # torchvision filters when it makes smaller; of OpenCV's interpolations INTER_AREA does.
    shrinks = rows > resolution or columns > resolution
    size = (resolution, resolution)
    made: Frame = cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return made[:, ::-1] if random.random() < 0.5 else made


def crop_box(height: int, width: int, random: np.random.Generator) -> Tuple[int, int, int, int]:
    """top, left, rows, columns by torchvision's rule (transforms.RandomResizedCrop.get_params)."""
    for _ in range(_ATTEMPTS):
        area = height * width * random.uniform(*_AREA)
        ratio = math.exp(random.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        columns, rows = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < columns <= width and 0 < rows <= height:
            return int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1)), rows, columns
    rows, columns = height, width
    if width / height < _RATIO[0]:
        rows = max(1, round(width / _RATIO[0]))
    elif width / height > _RATIO[1]:
        columns = max(1, round(height * _RATIO[1]))
    return (height - rows) // 2, (width - columns) // 2, rows, columns
