"""One take of a scene as a camera sees it: a printed card held up in front of a room, in some light.

`Scene(seed, phase, take, card).frame(i)` is a pure function of its arguments, so the same frames can be made again
without a server. Pose, light and room are drawn from (seed, phase, take) alone, never from the card: they say nothing
about the class.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ai_nano.demo.cards import CARDS, PAPER, Image, centre_crop, photograph, printed_card, resized
from ai_nano.demo.stage_ranges import (
    BACKGROUND_BLUR,
    CONTRAST,
    DEFOCUS,
    GRADIENT,
    NOISE,
    PHASES,
    RANGES,
    TILT,
    Interval,
    Ranges,
)

_T = TypeVar("_T")

WIDTH, HEIGHT, FPS = 1280, 720, 30
FOCAL_LENGTH = 1100.0  # pixels: about 60 degrees across, a usual webcam
SHUTTER = 1 / 60  # seconds
_MARGIN = 32  # pixels of background beyond the frame, for the camera's own motion
_PADDING = 4  # transparent pixels around the print, so that its edges come out smooth
_UNIT_LIGHT = 160.0  # in the map of light, the value that leaves a photograph as it is
_NOISE_ROOM = 256  # a noise tile is larger than the frame by this much; each frame uses another part of it


@dataclass(frozen=True)
class Pose:
    """What a frame is drawn with; the fields are explained in stage_ranges.Ranges, tilts are in degrees."""

    rotation: float
    size: float
    x: float
    y: float
    yaw: float
    pitch: float
    gain: float


class _Wander:
    """A smooth way through an interval: a sum of three slow sines, always inside it."""

    def __init__(self, rng: random.Random, interval: Interval) -> None:
        weights = [rng.uniform(0.3, 1.0) for _ in range(3)]
        self._low, self._high = interval
        self._parts = [
            (weight / sum(weights), rng.uniform(*band) * 2 * math.pi, rng.uniform(0, 2 * math.pi))
            for weight, band in zip(weights, ((0.05, 0.15), (0.15, 0.35), (0.35, 0.6)), strict=True)
        ]

    def at(self, t: float) -> float:
        """The value at `t` seconds."""
        swing = sum(weight * math.sin(speed * t + phase) for weight, speed, phase in self._parts)
        return (self._low + self._high + (self._high - self._low) * swing) / 2


@functools.cache
def _noise_tile(sigma: float) -> tuple[Image, Image]:
    """Sensor noise in two parts, what it adds and what it takes away (fresh Gaussian noise costs 34 ms a frame)."""
    rng = np.random.default_rng(round(sigma * 1000))
    shape = (HEIGHT + _NOISE_ROOM, WIDTH + _NOISE_ROOM)
    # A sensor's colours come from interpolation: most of the noise is common to the channels.
    noise = rng.standard_normal((*shape, 3), dtype=np.float32) * 0.5
    noise += rng.standard_normal((*shape, 1), dtype=np.float32)
    noise = np.rint(noise * (sigma / math.sqrt(1.25)))
    return noise.clip(0, 255).astype(np.uint8), (-noise).clip(0, 255).astype(np.uint8)


def warm_up() -> None:
    """Prepares what all scenes share, so that no first frame waits for it. Raises cards.PhotographMissing."""
    for file in {*CARDS.values(), *(file for ranges in RANGES.values() for file in ranges.backgrounds)}:
        photograph(file)
    for sigma in NOISE:
        _noise_tile(sigma)


def _nth(choices: Sequence[_T], take: int, purpose: str) -> _T:
    """The choice for `take`: each round of len(choices) takes sees every choice once, shuffled for `purpose`."""
    rounds, place = divmod(take, len(choices))
    order = list(choices)
    random.Random(f"{purpose}/{rounds}").shuffle(order)
    return order[place]


def _surface(file: str, width: int, height: int, rng: random.Random) -> Image:
    """A part of a photograph in the wanted size, perhaps mirrored, tinted, lighter or darker."""
    whole = photograph(file)
    if file == "retina.jpg":  # the eye's black surround is cut off
        whole = whole[210:-210, 210:-210]
    cut_height, cut_width = centre_crop(whole, width / height).shape[:2]
    share = rng.uniform(0.45, 1.0)
    part_height, part_width = round(cut_height * share), round(cut_width * share)
    top, left = rng.randint(0, whole.shape[0] - part_height), rng.randint(0, whole.shape[1] - part_width)
    part = resized(whole[top : top + part_height, left : left + part_width], width, height)
    if rng.random() < 0.5:
        part = part[:, ::-1]
    tint = np.array([rng.uniform(0.86, 1.12) for _ in range(3)]) * rng.uniform(0.7, 1.0)
    return (part * tint + rng.uniform(5, 55)).clip(0, 255).astype(np.uint8)


def card_homography(pose: Pose, texture_width: int, texture_height: int) -> npt.NDArray[np.float64]:
    """3x3 matrix from pixels of the card's texture (padding included) to pixels of the frame."""
    z, y, x = (math.radians(angle) for angle in (pose.rotation, pose.yaw, pose.pitch))
    about_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    turn = about_z @ about_y @ about_x
    # The card's centre lies at distance 1; `scale` is the length there of one pixel of the texture.
    scale = pose.size * HEIGHT / FOCAL_LENGTH / (texture_height - 2 * _PADDING)
    centre = np.array([(pose.x - 0.5) * WIDTH / FOCAL_LENGTH, (pose.y - 0.5) * HEIGHT / FOCAL_LENGTH, 1.0])
    plane = np.column_stack([turn[:, 0] * scale, turn[:, 1] * scale, centre])
    to_middle = np.array([[1, 0, -(texture_width - 1) / 2], [0, 1, -(texture_height - 1) / 2], [0, 0, 1]])
    camera = np.array([[FOCAL_LENGTH, 0, WIDTH / 2], [0, FOCAL_LENGTH, HEIGHT / 2], [0, 0, 1]])
    to_frame: npt.NDArray[np.float64] = camera @ plane @ to_middle
    return to_frame


class Scene:
    """One take: `card` (a key of cards.CARDS, or None for the empty stage) as seen in `phase` ("record" or "show").

    `ranges`: other ones than the phase's own.

    Making one costs some thirty milliseconds, mostly for the room; a frame costs about five. Raises ValueError for an
    unknown card or phase, cards.PhotographMissing where scikit-image's pictures are not installed.
    """

    def __init__(self, seed: int, phase: str, take: int, card: str | None, ranges: Ranges | None = None) -> None:
        if phase not in PHASES:
            raise ValueError(f"unknown phase {phase!r}")
        if card is not None and card not in CARDS:
            raise ValueError(f"unknown card {card!r}")
        self.seed, self.phase, self.take, self.card = seed, phase, take, card
        self._ranges = ranges = ranges or RANGES[phase]
        rng = random.Random(f"{seed}/{phase}/{take}")
        x, y = _nth(ranges.cells, take, f"{seed}/{phase}/cells")
        self._wanders = {
            "rotation": _Wander(rng, _nth(ranges.rotation, take, f"{seed}/{phase}/rotation")),
            "size": _Wander(rng, _nth(ranges.size, take, f"{seed}/{phase}/size")),
            "x": _Wander(rng, x),
            "y": _Wander(rng, y),
            "yaw": _Wander(rng, TILT),
            "pitch": _Wander(rng, TILT),
            "gain": _Wander(rng, _nth(ranges.gain, take, f"{seed}/{phase}/gain")),
        }
        self._camera = [_Wander(rng, (-0.4 * _MARGIN, 0.4 * _MARGIN)) for _ in range(2)]
        self.warmth = rng.uniform(*_nth(ranges.warmth, take, f"{seed}/{phase}/warmth"))
        wall = _nth(ranges.backgrounds, take, f"{seed}/{phase}/backgrounds")
        self.backgrounds = (wall, rng.choice([file for file in ranges.backgrounds if file != wall]))
        contrast = rng.uniform(*CONTRAST)
        self._defocus = rng.uniform(*DEFOCUS)
        self._noise = rng.choice(NOISE)
        self._light = self._light_map(rng)
        curve = np.clip((np.arange(256) - 118.0) * contrast + 118.0, 0, 255).astype(np.uint8)
        self._room: Image = cv2.LUT(self._room_image(rng), curve)  # type: ignore[assignment]
        self._card = None if card is None else self._card_texture(card, curve)

    def pose(self, index: int) -> Pose:
        """What frame `index` is drawn with."""
        return Pose(**{name: wander.at(index / FPS) for name, wander in self._wanders.items()})

    def frame(self, index: int) -> Image:
        """Frame `index` of the take (30 a second): uint8 (720, 1280, 3), BGR, an array of its own."""
        pose = self.pose(index)
        # Whole pixels are enough for a room out of focus; a subpixel shift costs 6 ms.
        left, top = (_MARGIN + round(wander.at(index / FPS)) for wander in self._camera)
        image: Image = self._room[top : top + HEIGHT, left : left + WIDTH].copy()
        if self._card is not None:
            self._hold_up(self._card, image, pose, self.pose(index - 1))
        cv2.multiply(image, self._light, dst=image, scale=pose.gain / _UNIT_LIGHT)
        added, taken = _noise_tile(self._noise)
        place = random.Random(f"{self.seed}/{self.phase}/{self.take}/{index}")
        left, top = place.randrange(_NOISE_ROOM), place.randrange(_NOISE_ROOM)
        part = np.s_[top : top + HEIGHT, left : left + WIDTH]
        cv2.add(image, added[part], dst=image)
        cv2.subtract(image, taken[part], dst=image)
        return image

    def _hold_up(self, card: Image, image: Image, pose: Pose, before: Pose) -> None:
        """Draws `card` into `image`, blurred by defocus and by its motion since `before`."""
        height, width = card.shape[:2]
        to_frame = card_homography(pose, width, height)
        corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
        outline = cv2.perspectiveTransform(corners, to_frame)[0]
        left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 8, 0)
        right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 8, (WIDTH, HEIGHT))
        to_patch = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ to_frame
        size = (int(right - left), int(bottom - top))
        patch = cv2.warpPerspective(card, to_patch, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(*PAPER, 0))
        motion = SHUTTER * FPS * np.array([abs(pose.x - before.x) * WIDTH, abs(pose.y - before.y) * HEIGHT])
        streak = (1 + round(motion[0]), 1 + round(motion[1]))
        if self._defocus > 0.5:
            patch = cv2.GaussianBlur(patch, (5, 5), self._defocus)
        if max(streak) > 1:
            patch = cv2.blur(patch, streak)
        part = image[top:bottom, left:right]
        opaque = cv2.cvtColor(cv2.extractChannel(patch, 3), cv2.COLOR_GRAY2BGR)
        print_ = cv2.multiply(cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR), opaque, scale=1 / 255)
        part[:] = cv2.add(print_, cv2.multiply(part, cv2.bitwise_not(opaque), scale=1 / 255))

    def _card_texture(self, card: str, curve: Image) -> Image:
        """BGRA: the print at about the size at which it is seen, transparent around."""
        largest = max(high for _, high in self._ranges.size)
        height = round(min(self.pose(0).size * 1.1, largest) * HEIGHT)
        print_ = cv2.LUT(printed_card(card, height), curve)
        opaque = np.full(print_.shape[:2], 255, np.uint8)
        texture = np.dstack([print_, opaque])
        p = _PADDING
        padded = cv2.copyMakeBorder(texture, p, p, p, p, cv2.BORDER_CONSTANT, value=(*PAPER, 0))
        return padded  # type: ignore[return-value]

    def _room_image(self, rng: random.Random) -> Image:
        """A wall and a table in front of it, out of focus, larger than the frame by the margin on each side."""
        width, height = WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN
        # Blurring a quarter of the size by a quarter of the radius looks the same and costs a tenth.
        room, table = (_surface(file, width // 4, height // 4, rng) for file in self.backgrounds)
        edge, slope = rng.uniform(0.6, 0.85) * height / 4, rng.uniform(-0.06, 0.06)
        rows, columns = np.mgrid[: height // 4, : width // 4]
        below = rows > edge + slope * (columns - width / 8)
        room[below] = table[below]
        blurred = cv2.GaussianBlur(room, (0, 0), rng.uniform(*BACKGROUND_BLUR) / 4)
        return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]

    def _light_map(self, rng: random.Random) -> Image:
        """Uneven light times colour temperature, for each pixel: _UNIT_LIGHT leaves a photograph as it is."""
        angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(*GRADIENT)
        across = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :] * math.cos(angle)
        down = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None] * math.sin(angle)
        ramp = (across + down) / (abs(math.cos(angle)) + abs(math.sin(angle)))
        light = 1 - depth / 2 + ramp * depth / 2
        channels = np.array([1 - self.warmth, 1.0, 1 + self.warmth], np.float32)
        return (light[:, :, None] * channels * _UNIT_LIGHT).clip(0, 255).astype(np.uint8)
