"""Cards with a letter, as a class writes them: other lettering, paper and ink on each.

OpenCV's own letterings draw them, so they need no package.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

LETTERS = "ABCDE"
LETTERINGS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX,
              cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX_SMALL, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
              cv2.FONT_HERSHEY_SCRIPT_COMPLEX)
PER_PART = 12
_WIDTH, _HEIGHT, _LETTER = 300, 360, 220  # pixels
_STROKES = (8, 14, 22)  # pixels
_PAPER, _INK = (150, 255), (0, 110)  # each of blue, green and red

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Card:
    letter: str
    lettering: int
    stroke: int
    paper: Colour
    ink: Colour

    def picture(self) -> npt.NDArray[np.uint8]:
        """BGRA (360, 300, 4), no part of it transparent."""
        drawn = np.full((_HEIGHT, _WIDTH, 3), self.paper, np.uint8)
        (wide, high), _ = cv2.getTextSize(self.letter, self.lettering, 1.0, 1)
        scale = _LETTER / max(wide, high)
        (wide, high), _ = cv2.getTextSize(self.letter, self.lettering, scale, self.stroke)
        place = ((_WIDTH - wide) // 2, (_HEIGHT + high) // 2)
        cv2.putText(drawn, self.letter, place, self.lettering, scale, self.ink, self.stroke, cv2.LINE_AA)
        return np.dstack([drawn, np.full((_HEIGHT, _WIDTH), 255, np.uint8)])


def cards(parts: Sequence[str], rng: random.Random) -> Mapping[str, Mapping[str, Sequence[Card]]]:
    """By part and letter; no two parts share a lettering."""
    letterings = list(LETTERINGS)
    rng.shuffle(letterings)
    share = len(letterings) // len(parts)
    return {part: {letter: [_card(letter, letterings[number * share + copy % share], rng) for copy in range(PER_PART)]
                   for letter in LETTERS}
            for number, part in enumerate(parts)}


def _card(letter: str, lettering: int, rng: random.Random) -> Card:
    return Card(letter, lettering, rng.choice(_STROKES), _colour(rng, _PAPER), _colour(rng, _INK))


def _colour(rng: random.Random, between: tuple[int, int]) -> Colour:
    return rng.randint(*between), rng.randint(*between), rng.randint(*between)
