"""The few numbers of a frame by which hints are made, and how alike two frames are by them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

# The signature is the frame in so many cells, each with luma, red and blue difference.
CELLS = (16, 9)
SIGNATURE_BYTES = 3 * CELLS[0] * CELLS[1]

# Luma to which every signature is brightened before two are compared: a camera's exposure wanders by itself.
_GREY = 128.0
# Darker means are noise more than picture, and are not brightened further.
_DARKEST = 16.0
# What twice the light counts, in levels of luma: little, but black paper is not white paper.
_EXPOSURE = 15.0
# Colour counts half: a camera's white balance wanders too.
_COLOUR = 0.5
# Levels of luma by which a picture must vary at least to be measured by its own contrast: those of a bare wall are noise.
_PLAIN = 12.0


@dataclass(frozen=True)
class Look:
    """What was measured of one frame (cameras/looks.py); luma is 0 to 255.

    lit        luma that a tenth of the frame, or a tenth of its middle, exceeds: whichever is more
    middle     median of luma
    clipped    share of the frame that is white and without detail, 0 to 1
    width      pixels over which the sharpest edges change, of a frame 640 pixels long; None where there are none
    streak     the same across the direction in which the edges are widest: larger than `width` when something moved
    signature  SIGNATURE_BYTES bytes: the frame in CELLS, all luma, then all Cr, then all Cb
    """

    lit: float
    middle: float
    clipped: float
    width: float | None
    streak: float | None
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        return {"lit": self.lit, "middle": self.middle, "clipped": self.clipped, "width": self.width, "streak": self.streak,
                "signature": base64.b64encode(self.signature).decode("ascii")}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Look:
        """Raises KeyError, TypeError or ValueError for what is none."""
        signature = base64.b64decode(document["signature"], validate=True)
        if len(signature) != SIGNATURE_BYTES:
            raise ValueError("signature")
        width, streak = (None if document[key] is None else float(document[key]) for key in ("width", "streak"))
        return cls(float(document["lit"]), float(document["middle"]), float(document["clipped"]), width, streak, signature)


class Album:
    """Looks made ready to be compared with each other: as many as a class has."""

    def __init__(self, looks: Sequence[Look]) -> None:
        # numpy takes a tenth of a second to load: not for commands that compare nothing.
        import numpy as np

        cells = CELLS[0] * CELLS[1]
        data = np.frombuffer(b"".join(look.signature for look in looks), np.uint8).reshape(-1, 3, cells).astype(np.float32)
        mean = np.maximum(data[:, 0].mean(axis=1), _DARKEST)
        gain = (_GREY / mean)[:, None]
        self.luma: Floats = data[:, 0] * gain - _GREY
        colour = (data[:, 1:] - 128.0).reshape(len(looks), -1) * gain * _COLOUR**0.5
        light = (_EXPOSURE * np.log(mean))[:, None]
        self._points = np.concatenate([self.luma / cells**0.5, colour / cells**0.5, light], axis=1)
        detail = np.sqrt(self.luma.var(axis=1) + colour.reshape(len(looks), 2, cells).var(axis=2).sum(axis=1))
        self._detail = np.maximum(detail, _PLAIN)
        self._squares = (self._points**2).sum(axis=1)

    def __len__(self) -> int:
        return len(self.luma)

    def distances(self, other: Album, rows: slice = slice(None)) -> Floats:
        """(rows, len(other)): how far apart two frames are, as a share of their contrast; 0 for the same, 1.4 for strangers."""
        import numpy as np

        squared = self._squares[rows, None] + other._squares[None, :] - 2 * (self._points[rows] @ other._points.T)
        apart: Floats = np.sqrt(np.maximum(squared, 0.0)) / np.sqrt(self._detail[rows, None] * other._detail[None, :])
        return apart

    def largest_difference(self, row: int, other: Album, column: int) -> float:
        """Of any cell of two frames, in levels of luma."""
        return float(abs(self.luma[row] - other.luma[column]).max())
