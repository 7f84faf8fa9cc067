"""Webcam-like frames of 1280x720: photographs of things, cut out, held up before a room that is out of focus.

    python -m tests.bench.photographs FOLDER [--seed 0]     a contact sheet of each task, to look at

The pictures come with Debian and are not kept here: `apt-get install tuxpaint-stamps-default plasma-workspace-wallpapers
lomiri-wallpapers-20.04` (about 270 MB). Things are Tux Paint's photographic stamps, with transparency around; rooms are
wallpapers. Pose, size, place, light, blur and noise are drawn anew for each frame, and say nothing about its class.

Three tasks, each with images that a student recorded and images for the test, which share no background and no interval of
angle or size:

    known    three things; the test shows the same three
    kinds    five kinds of things that ImageNet has much of; the test shows other ones of each kind than were recorded
    cards    five letters, drawn on cards, of which ImageNet knows nothing; the test shows other lettering, paper and ink
"""

import argparse
import functools
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tests.bench.cards import Card, cards

Image = npt.NDArray[np.uint8]
Interval = tuple[float, float]

PACKAGES = ("tuxpaint-stamps-default", "plasma-workspace-wallpapers", "lomiri-wallpapers-20.04")
STAMPS = Path("/usr/share/tuxpaint/stamps")
WALLPAPERS = (("/usr/share/wallpapers", "*/contents/images/*x*.*"), ("/usr/share/backgrounds", "*.jpg"))
# The first one shows a bird and the second a dragon, which would be things themselves.
NO_ROOM = ("Kleiber_by_Lukas_Baubkus", "FlyingKonqui")

WIDTH, HEIGHT = 1280, 720
QUALITY = 90
_ROOM_WIDTH = 1600
_NOISE_TILES, _NOISE_SPARE = 4, 128

KNOWN = {"camera": ("hobbies/camera_35mm",), "binoculars": ("hobbies/binoculars",), "kettle": ("household/kettle",)}
# Kinds, each a rule of files; what looks drawn, or is of another kind, is left out by name.
KINDS = {
    "bird": ("animals/birds/*",),
    "hooves": ("animals/mammals/bovines/*", "animals/mammals/camel/*", "animals/mammals/deer/*", "animals/mammals/equines/*",
               "animals/mammals/giraffe", "animals/mammals/pig*", "animals/mammals/wildboar"),
    "vegetable": ("food/vegetables/*", "food/spices/ginger"),
    "fruit": ("food/fruit/*",),
    "flower": ("plants/flowers/*",),
}
TASKS = ("known", "kinds", "cards")
HARDER = ("kinds", "cards")  # what the test shows was never recorded
PARTS = ("recorded", "test")


@dataclass(frozen=True)
class Ranges:
    """What one part draws from: `turn` in degrees, `size` of the thing's longer side as a part of the frame's height."""

    turn: tuple[Interval, ...]
    size: tuple[Interval, ...]


RANGES = {
    "recorded": Ranges(((-30, -20), (-9, 1), (12, 21)), ((0.34, 0.42), (0.50, 0.58), (0.66, 0.74))),
    "test": Ranges(((-19, -10), (2, 11), (22, 30)), ((0.43, 0.49), (0.59, 0.65), (0.75, 0.80))),
}
PLACE_X: Interval = (0.28, 0.72)
PLACE_Y: Interval = (0.34, 0.66)
TILT = 0.10  # how far a corner may come towards the camera or go away from it, as a part of the thing's size
GAIN: Interval = (0.6, 1.25)
WARMTH: Interval = (-0.18, 0.18)
SHADE: Interval = (0.0, 0.35)
DEFOCUS: Interval = (0.3, 1.6)  # pixels
STREAK = 9  # pixels that the thing moves while the shutter is open, at most
ROOM_BLUR: Interval = (3.0, 12.0)  # pixels
NOISE: Interval = (1.5, 5.0)  # standard deviation, of 255


class PicturesMissing(RuntimeError):
    """The packages with the pictures are not installed; says how to get them."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing. Install the pictures: apt-get install {' '.join(PACKAGES)}")


@dataclass(frozen=True)
class Task:
    """`things[part][class]` are cards or files of cut-outs, `rooms[part]` files of backgrounds, drawn with the seed."""

    name: str
    seed: int
    classes: tuple[str, ...]
    things: Mapping[str, Mapping[str, Sequence[Path | Card]]]
    rooms: Mapping[str, Sequence[Path]]


def task(name: str, seed: int) -> Task:
    """One of TASKS. PicturesMissing."""
    rng = random.Random(f"{name}/{seed}")
    rooms = _halves(_rooms(), rng)
    things: Mapping[str, Mapping[str, Sequence[Path | Card]]]
    if name == "cards":
        things = cards(PARTS, rng)
    elif name == "known":
        files = {kind: [_stamp(one) for one in patterns] for kind, patterns in KNOWN.items()}
        things = dict.fromkeys(PARTS, files)
    else:
        halves = {kind: _halves(_stamps(patterns), rng) for kind, patterns in KINDS.items()}
        things = {part: {kind: half[part] for kind, half in halves.items()} for part in PARTS}
    return Task(name, seed, tuple(things["test"]), things, rooms)


def frame(of: Task, part: str, kind: str, number: int) -> Image:
    """Uint8 BGR (720, 1280, 3), the same for the same arguments."""
    rng = random.Random(f"{of.name}/{of.seed}/{part}/{kind}/{number}")
    files = of.things[part][kind]
    image = _room(of.rooms[part][rng.randrange(len(of.rooms[part]))], rng)
    _hold_up(_cut_out(files[number % len(files)]), image, RANGES[part], rng, of.name != "cards")
    return _seen(image, rng)


def write(of: Task, folder: Path, part: str, numbers: range) -> None:
    """`folder/<class>/<number>.jpg` for each class; what is there already is kept."""
    cv2.setNumThreads(1)
    for kind in of.classes:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            path = folder / kind / f"{number:04d}.jpg"
            if not path.exists():
                cv2.imwrite(str(path), frame(of, part, kind, number), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _halves(files: Sequence[Path], rng: random.Random) -> dict[str, list[Path]]:
    shuffled = sorted(files)
    rng.shuffle(shuffled)
    middle = len(shuffled) // 2
    return {"recorded": shuffled[:middle], "test": shuffled[middle:]}


def _stamps(patterns: Sequence[str]) -> list[Path]:
    """Mirrored stamps are the same thing once more."""
    found = [path for pattern in patterns for path in STAMPS.glob(f"{pattern}.png") if "_mirror" not in path.stem]
    if not found:
        raise PicturesMissing(STAMPS / patterns[0])
    return found


def _stamp(name: str) -> Path:
    return _stamps([name])[0]


def _rooms() -> list[Path]:
    """One file of each wallpaper: the largest that is broad."""
    largest: dict[str, Path] = {}
    for top, pattern in WALLPAPERS:
        found = sorted(Path(top).glob(pattern), key=lambda path: path.stat().st_size)
        if not found:
            raise PicturesMissing(Path(top))
        for path in found:
            wide, _, high = path.stem.partition("x")
            if not (wide.isdigit() and high.isdigit() and int(wide) < int(high)):
                largest[path.relative_to(top).parts[0]] = path
    return [path for name, path in largest.items() if Path(name).stem not in NO_ROOM]


@functools.lru_cache(maxsize=64)
def _wallpaper(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
    assert image is not None, path
    height = round(image.shape[0] * _ROOM_WIDTH / image.shape[1])
    return _image(cv2.resize(image, (_ROOM_WIDTH, height), interpolation=cv2.INTER_AREA))


@functools.lru_cache(maxsize=256)
def _cut_out(thing: Path | Card) -> Image:
    """BGRA without the empty border, colours multiplied by alpha, so that edges mix well when it is turned."""
    if isinstance(thing, Card):
        return thing.picture()
    path = thing
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None and image.ndim == 3 and image.shape[2] == 4, path
    rows, columns = np.where(image[:, :, 3].max(axis=1) > 32)[0], np.where(image[:, :, 3].max(axis=0) > 32)[0]
    part = image[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].astype(np.uint16)
    part[:, :, :3] = part[:, :, :3] * part[:, :, 3:] // 255
    return part.astype(np.uint8)


def _room(path: Path, rng: random.Random) -> Image:
    """A part of a wallpaper, out of focus."""
    wall = _wallpaper(path)
    most = min(1.0, wall.shape[0] / (wall.shape[1] * HEIGHT / WIDTH))
    wide = int(wall.shape[1] * most * rng.uniform(0.45, 1.0))
    high = wide * HEIGHT // WIDTH
    left, top = rng.randint(0, wall.shape[1] - wide), rng.randint(0, wall.shape[0] - high)
    part = wall[top:top + high, left:left + wide]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    # Blurring a quarter of the size by a quarter of the radius looks the same and costs a tenth.
    small = cv2.resize(np.ascontiguousarray(part), (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), rng.uniform(*ROOM_BLUR) / 4)
    return _image(cv2.resize(blurred, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def _hold_up(thing: Image, image: Image, ranges: Ranges, rng: random.Random, mirror: bool) -> None:
    """Draws the thing into `image`: turned, tilted, with `mirror` perhaps mirrored, blurred by lens and motion."""
    high, wide = thing.shape[:2]
    longer = rng.choice(ranges.size)
    scale = rng.uniform(*longer) * HEIGHT / max(high, wide)
    turned = np.deg2rad(rng.uniform(*rng.choice(ranges.turn)))
    corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]], np.float32) * (scale / 2)
    if rng.random() < 0.5 and mirror:
        corners[:, 0] *= -1
    corners *= np.array([[1 + rng.uniform(-TILT, TILT)] for _ in range(4)], np.float32)
    rotation = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]], np.float32)
    centre = np.array([rng.uniform(*PLACE_X) * WIDTH, rng.uniform(*PLACE_Y) * HEIGHT], np.float32)
    corners = (corners @ rotation + centre).astype(np.float32)
    outline = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    shrunk = _shrunk(thing, scale)
    outline *= shrunk.shape[0] / high
    drawn = cv2.warpPerspective(shrunk, cv2.getPerspectiveTransform(outline, corners), (WIDTH, HEIGHT))
    drawn = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(*DEFOCUS))
    drawn = cv2.blur(drawn, (rng.randint(1, STREAK), rng.randint(1, 1 + STREAK // 2)))
    seen_through = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(drawn, 3)), cv2.COLOR_GRAY2BGR)
    behind = cv2.multiply(image, seen_through, scale=1 / 255)
    cv2.add(behind, cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR), dst=image)


def _shrunk(thing: Image, scale: float) -> Image:
    """What will be drawn much smaller is averaged first: warping takes single pixels."""
    if scale >= 0.7:
        return thing
    return _image(cv2.resize(thing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _seen(image: Image, rng: random.Random) -> Image:
    """As the camera gives it: light that is uneven and has a colour, then noise."""
    gain, warmth, shade = rng.uniform(*GAIN), rng.uniform(*WARMTH), rng.uniform(*SHADE)
    across = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None]
    fall = 1 - shade * (across if rng.random() < 0.5 else 1 - across)
    light = gain * fall * np.array([1 - warmth, 1.0, 1 + warmth], np.float32)
    cv2.multiply(image, np.clip(light * 160, 0, 255).astype(np.uint8).repeat(HEIGHT, axis=0), dst=image, scale=1 / 160)
    left, top = rng.randrange(_NOISE_SPARE), rng.randrange(_NOISE_SPARE)
    tile = _noise()[rng.randrange(_NOISE_TILES)][top:top + HEIGHT, left:left + WIDTH]
    return _image(cv2.add(image, tile * np.float32(rng.uniform(*NOISE)), dtype=cv2.CV_8U))


@functools.cache
def _noise() -> list[npt.NDArray[np.float32]]:
    """Fresh noise for each frame would cost more than all the rest."""
    random_numbers = np.random.default_rng(0)
    shape = (HEIGHT + _NOISE_SPARE, WIDTH + _NOISE_SPARE, 3)
    return [random_numbers.standard_normal(shape, dtype=np.float32) for _ in range(_NOISE_TILES)]


def _image(array: Any) -> Image:
    assert array.dtype == np.uint8, array.dtype
    image: Image = array
    return image


def contact_sheet(of: Task, columns: int = 8) -> Image:
    """Small frames: for each class a row that was recorded and a row of the test."""
    def small(part: str, kind: str, number: int) -> Image:
        size = (WIDTH // 6, HEIGHT // 6)
        shown = _image(cv2.resize(frame(of, part, kind, number), size, interpolation=cv2.INTER_AREA))
        cv2.putText(shown, f"{part} {kind}", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        return shown

    return np.vstack([np.hstack([small(part, kind, number) for number in range(columns)])
                      for kind in of.classes for part in PARTS])


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in TASKS:
            path = options.folder / f"{name}-{options.seed}.png"
            cv2.imwrite(str(path), contact_sheet(task(name, options.seed)))
            print(path)
    except PicturesMissing as error:
        print(error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
