"""What is measured of a frame for the hints: brightness, edges and a signature; why so is in doc/design/hints.md."""

from __future__ import annotations

import math
from typing import Any

from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.look import CELLS, Look

# The longer side of the frame in which edges are measured; twice as long would take four times as long.
LENGTH = 640
# The frame for brightness: an average of at least 16 pixels of a webcam's, so that noise does not count as light.
SMALL = (160, 90)
# Luma from which a place is white without detail. A sheet of paper that is exposed well stays below.
WHITE = 248

_TILE = 8
_HALF = _TILE // 2
# A tile's edge is measured where luma changes by so much around it, and by so many times the noise.
_CONTRAST = 30.0
_OVER_NOISE = 10.0
# So many tiles (of 3600) must have such an edge, and so many of them must be sharp; fewer are noise or a caption.
_FEWEST = 30
_SHARPEST = 10
# Of the kernels for slopes: what a slope of one level a pixel gives, and noise of one level, in levels a pixel.
_SLOPE = 8.0
_NOISE_SLOPE = 0.21
_DIRECTIONS = tuple((math.cos(math.pi * n / 6), math.sin(math.pi * n / 6)) for n in range(6))
# A direction is judged where so many places of the small frame change along it: by 6 levels (Sobel 3x3: times 8) at least.
_PLACES = 60
_CHANGE = 48
_ALONG = 0.8


def measure(image: Any) -> Look:
    """`image`: uint8, (height, width, 3) BGR, also (height, width, 4) or (height, width); of any size."""
    import numpy as np

    cv2 = load_cv2()
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif image.shape[2] == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    scale = LENGTH / max(image.shape[:2])
    if scale < 1.0:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    rows, columns = (side // _TILE for side in image.shape[:2])
    large_enough = min(rows, columns) >= 3
    if large_enough:
        image = image[:rows * _TILE, :columns * _TILE]
        # Halves of halves are what OpenCV is quick at.
        half = cv2.resize(image, (columns * _HALF, rows * _HALF), interpolation=cv2.INTER_AREA)
    small = cv2.resize(half if large_enough else image, SMALL, interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    height, width = luma.shape
    whole = _shares(luma)
    middle = _shares(luma[height // 4:height - height // 4, width // 4:width - width // 4])
    signature = cv2.cvtColor(cv2.resize(small, CELLS, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2YCrCb)
    edge = streak = None
    if large_enough:
        grey, soft = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in (image, half))
        edge, streak = _edges(grey, soft, luma)
    return Look(lit=float(max(np.searchsorted(whole, 0.9), np.searchsorted(middle, 0.9))),
                middle=float(np.searchsorted(whole, 0.5)), clipped=round(float(1.0 - whole[WHITE - 1]), 4),
                width=edge, streak=streak, signature=signature.transpose(2, 0, 1).tobytes())


def _shares(luma: Any) -> Any:
    """For each level, the share of the pixels that are as dark or darker: float64 (256,)."""
    import numpy as np

    return np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size


def _edges(grey: Any, soft: Any, small: Any) -> tuple[float | None, float | None]:
    """Look.width and Look.streak of uint8 (height, width); `soft` has half that size, `small` is SMALL.

    An edge of contrast C and slope s is about 0.4 C / s wide (exactly its sigma, if it is Gaussian), whatever its contrast and
    whatever texture is around it. What counts is the sharpest tiles: behind a sharp card everything may be out of focus.
    Motion blurs along one direction and leaves edges parallel to it sharp, so the slope is also asked for in each direction:
    of no edge can it be steeper along the motion than the motion allows.
    """
    import numpy as np

    cv2 = load_cv2()
    noise = _noise(grey)
    tiles = _of_tiles(soft)
    shape = (grey.shape[0] // _TILE, grey.shape[1] // _TILE)
    around = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(tiles.max(axis=0).reshape(shape), around).astype(np.float32)
    lowest = cv2.erode(tiles.min(axis=0).reshape(shape), around).astype(np.float32)
    contrast = (highest - lowest - 2.5 * noise).ravel()
    there = np.flatnonzero(contrast > max(_CONTRAST, _OVER_NOISE * noise))
    if len(there) < _FEWEST:
        return None, None
    contrast = contrast[there]
    # Together Sobel's 5x5 kernels, at a quarter of their cost. They spread a step over four pixels, so that every second
    # pixel sees its full slope.
    slopes = cv2.spatialGradient(cv2.GaussianBlur(grey, (3, 3), 0))
    across, down = (np.take(_of_tiles(slope[::2, ::2]), there, axis=1).astype(np.float32) for slope in slopes)
    steepest = np.zeros(len(there), np.float32)
    streak = 0.0
    for (x, y), judge in zip(_DIRECTIONS, _directions_to_judge(small), strict=True):
        slope = np.abs(np.float32(x) * across + np.float32(y) * down).max(axis=0)
        np.maximum(steepest, slope, out=steepest)
        if judge:
            streak = max(streak, _sharpest(contrast, slope, noise))
    width = _sharpest(contrast, steepest, noise)
    return round(width, 2), round(max(streak, width), 2)


def _sharpest(contrast: Any, slope: Any, noise: float) -> float:
    """Width of the edges of the sharpest tiles, in pixels."""
    import numpy as np

    clear = np.maximum(slope / _SLOPE - 3.0 * _NOISE_SLOPE * noise, 0.25)
    return float(np.partition(0.4 * contrast / clear, _SHARPEST)[_SHARPEST])


def _noise(grey: Any) -> float:
    """Its standard deviation in levels: the median of what a kernel blind to edges and slopes finds (Immerkaer 1996)."""
    import numpy as np

    height, width = grey.shape

    def at(y: int, x: int) -> Any:
        return grey[1 + y:height - 1 + y:8, 1 + x:width - 1 + x:4].astype(np.int16)

    found = 4 * at(0, 0) - 2 * (at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1))
    found += at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    return max(0.5, float(np.median(np.abs(found))) / (0.6745 * 6))


def _of_tiles(values: Any) -> Any:
    """(pixels of a tile, tiles) of (height, width) in tiles of _HALF x _HALF: what numpy reduces many at a time."""
    rows, columns = (side // _HALF for side in values.shape)
    return values.reshape(rows, _HALF, columns, _HALF).transpose(1, 3, 0, 2).reshape(_HALF * _HALF, rows * columns)


def _directions_to_judge(small: Any) -> list[bool]:
    """Whether enough of the frame changes along each direction, also when it is blurred: stripes do along one only."""
    import numpy as np

    cv2 = load_cv2()
    across, down = (cv2.Sobel(small, cv2.CV_32F, x, y, ksize=3) for x, y in ((1, 0), (0, 1)))
    clear = np.maximum(_ALONG * np.sqrt(across**2 + down**2), _CHANGE)
    return [int(np.count_nonzero(np.abs(x * across + y * down) >= clear)) >= _PLACES for x, y in _DIRECTIONS]
