"""Photographs of the demo: what is printed on the cards, and what stands behind them.

All come from scikit-image's wheel (folder `skimage/data`), so nothing is downloaded and nothing is committed here.
Their origins and terms (public domain, CC0 or "no known restrictions") stand in the docstrings of `skimage.data`.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

CARDS = {
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "coins": "coins.png",
}

# Every card has the same shape, whatever its photograph: the outline must not tell the class.
PHOTO_ASPECT = 1.5
BORDER = 0.05  # of the card's height, on each side
CARD_ASPECT = (1 - 2 * BORDER) * PHOTO_ASPECT + 2 * BORDER
PAPER = (232, 236, 238)  # BGR


class PhotographMissing(Exception):
    """A photograph is not where scikit-image's wheel keeps it; carries (code, params)."""

    code = "stage.no_photographs"

    def __init__(self, file: str) -> None:
        super().__init__(f"{self.code}: {file}")
        self.params = {"file": file}


def photograph_folder() -> Path:
    """Folder of scikit-image's pictures, found without importing the package. Raises PhotographMissing."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise PhotographMissing("skimage/data")
    return Path(spec.submodule_search_locations[0]) / "data"


@functools.cache
def photograph(file: str) -> Image:
    """The picture as uint8 (height, width, 3), BGR; one read-only array for all callers. Raises PhotographMissing."""
    image = cv2.imread(str(photograph_folder() / file), cv2.IMREAD_COLOR)
    if image is None:
        raise PhotographMissing(file)
    image.setflags(write=False)
    return image  # type: ignore[return-value]


def centre_crop(image: Image, aspect: float) -> Image:
    """The largest centred part of `image` with width / height = `aspect`."""
    height, width = image.shape[:2]
    crop_width, crop_height = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return image[top : top + crop_height, left : left + crop_width]


def resized(image: Image, width: int, height: int) -> Image:
    """`image` in another size: averaged when it shrinks, bicubic when it grows."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]


def printed_card(card: str, height: int) -> Image:
    """The card `card` as a print, `height` pixels high: its photograph on white paper, uint8 (height, width, 3), BGR.

    Raises KeyError for a card that is not in CARDS.
    """
    border = max(2, round(BORDER * height))
    inner = height - 2 * border
    photo = resized(centre_crop(photograph(CARDS[card]), PHOTO_ASPECT), round(inner * PHOTO_ASPECT), inner)
    # Paper reflects less than the full range of a screen: black ink is not black, white is not 255.
    ink = np.clip(np.linspace(18, 234, 256), 0, 255).astype(np.uint8)
    return cv2.copyMakeBorder(  # type: ignore[return-value]
        cv2.LUT(photo, ink), border, border, border, border, cv2.BORDER_CONSTANT, value=PAPER
    )
