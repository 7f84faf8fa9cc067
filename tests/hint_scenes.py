"""Scenes for the hints, what must raise each and what must not: on the stage, and as a webcam would see them.

`frames(hint, must, seed, count)` gives pictures for hints of frames; `poses` and `pairs` give what a class, or two of them,
would have recorded. The same numbers give the same scenes.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from ai_nano.demo.cards import CARDS, Image, photograph, printed_card
from ai_nano.demo.stage_ranges import PHASES
from ai_nano.demo.stage_scene import Scene

WIDTH, HEIGHT = 1280, 720
# What a class records is compared as a whole: half the size shows the same and is made four times as fast.
_HALF = (WIDTH // 2, HEIGHT // 2)
_PRINTS = ("chelsea.png", "coffee.png", "rocket.jpg", "coins.png", "motorcycle_left.png", "astronaut.png", "color.png")
_TEXTURES = ("gravel.png", "grass.png", "brick.png")

Kind = Callable[[random.Random], Image]


# ---- a webcam ----------------------------------------------------------------------------------------------------------


@functools.cache
def _noise_tile(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((height + 64, width + 64, 3), dtype=np.float32)


def sensor(image: Image, rng: random.Random, gain: float = 1.0, noise: float | None = None) -> Image:
    """`image` in other light, with noise of so many levels, through a webcam's JPEG."""
    noise = rng.uniform(1.0, 5.0) if noise is None else noise
    height, width = image.shape[:2]
    top, left = rng.randrange(64), rng.randrange(64)
    part = _noise_tile(width, height)[top:top + height, left:left + width]
    seen = cv2.addWeighted(image.astype(np.float32), gain, part, noise, 0.0, dtype=cv2.CV_8U)
    data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(75, 93)])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def lens(image: Image, sigma: float) -> Image:
    return cv2.GaussianBlur(image, (0, 0), sigma)  # type: ignore[return-value]


def out_of_focus(image: Image, rng: random.Random) -> Image:
    """Through a round aperture, or Gaussian as an average of all lenses."""
    if rng.random() < 0.5:
        return lens(image, rng.uniform(4.0, 9.0))
    radius = rng.randint(8, 16)
    disk = cv2.circle(np.zeros((2 * radius + 1,) * 2, np.float32), (radius, radius), radius, 1.0, -1)
    return cv2.filter2D(image, -1, disk / disk.sum())  # type: ignore[return-value]


def moved(image: Image, rng: random.Random) -> Image:
    """While the shutter was open, along any direction."""
    length = rng.randint(18, 50)
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1.0
    middle = ((length - 1) / 2, (length - 1) / 2)
    line = cv2.warpAffine(line, cv2.getRotationMatrix2D(middle, rng.uniform(0, 180), 1.0), (length, length))
    return cv2.filter2D(image, -1, line / line.sum())  # type: ignore[return-value]


# ---- what stands before it, in focus -----------------------------------------------------------------------------------


def plain(rng: random.Random, low: float, high: float) -> Image:
    """A wall or a sheet without texture, in uneven light that stays between these levels."""
    one, other = sorted(rng.uniform(low, high) for _ in range(2))
    angle = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :] * math.cos(angle)
    down = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None] * math.sin(angle)
    ramp = 0.5 + (across + down) / (2 * (abs(math.cos(angle)) + abs(math.sin(angle))))
    tint = np.array([rng.uniform(0.94, 1.0) for _ in range(3)], np.float32)
    return ((one + (other - one) * ramp)[:, :, None] * tint).clip(0, 255).astype(np.uint8)


def _place(image: Image, part: Image, rng: random.Random, x: float, y: float, turn: float) -> None:
    """Lay `part` on `image`, its centre at the fractions x and y, turned by `turn` degrees."""
    height, width = part.shape[:2]
    shift = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1.0)
    shift[:, 2] += (x * image.shape[1] - (width - 1) / 2, y * image.shape[0] - (height - 1) / 2)
    padded = cv2.copyMakeBorder(part, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    mask = cv2.copyMakeBorder(np.full((height, width), 255, np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    shift[:, 2] -= shift[:, :2] @ (2.0, 2.0)
    size = (image.shape[1], image.shape[0])
    seen = cv2.warpAffine(padded, shift, size).astype(np.float32)
    opaque = cv2.warpAffine(mask, shift, size).astype(np.float32)[:, :, None] / 255
    image[:] = (seen * opaque + image * (1 - opaque)).clip(0, 255).astype(np.uint8)


def _print(rng: random.Random, height: int) -> Image:
    """A photograph, smaller than it is, so that it stays sharp."""
    whole = photograph(rng.choice(_PRINTS))
    height = min(height, whole.shape[0])
    return cv2.resize(whole, (round(whole.shape[1] * height / whole.shape[0]), height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _colour(rng: random.Random, low: int = 20, high: int = 235) -> tuple[int, int, int]:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def things(image: Image, rng: random.Random, count: int) -> Image:
    """Boxes, balls, prints and writing, wherever they come to lie."""
    for _ in range(count):
        x, y = rng.uniform(0.15, 0.85), rng.uniform(0.2, 0.8)
        kind = rng.randrange(4)
        if kind == 0:
            _place(image, _print(rng, rng.randint(150, 330)), rng, x, y, rng.uniform(-40, 40))
        elif kind == 1:
            box = np.full((rng.randint(80, 300), rng.randint(80, 300), 3), _colour(rng), np.uint8)
            _place(image, box, rng, x, y, rng.uniform(-40, 40))
        elif kind == 2:
            centre, axes = (round(x * WIDTH), round(y * HEIGHT)), (rng.randint(40, 150), rng.randint(40, 150))
            cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, _colour(rng), -1, cv2.LINE_AA)
        else:
            where = (round(x * 0.5 * WIDTH), round(y * HEIGHT))
            cv2.putText(image, rng.choice(("ai nano", "Classe 3", "17 + 4")), where, cv2.FONT_HERSHEY_DUPLEX,
                        rng.uniform(1.5, 4.0), _colour(rng), rng.randint(3, 8), cv2.LINE_AA)
    return image


def desk(rng: random.Random) -> Image:
    """A table or wall with some things on it."""
    ground = rng.randrange(3)
    if ground == 0:
        image = plain(rng, 70, 200)
    elif ground == 1:
        image = lens(_texture(rng, 1.0), rng.uniform(3, 12))
    else:
        image = _texture(rng, rng.uniform(0.5, 1.0))
    return lens(things(image, rng, rng.randint(2, 5)), rng.uniform(0.4, 1.1))


def _texture(rng: random.Random, contrast: float) -> Image:
    """Gravel, grass or brick, twice side by side so that it is not enlarged."""
    whole = photograph(rng.choice(_TEXTURES))
    tiled = np.hstack([np.vstack([whole, whole[::-1]])] * 3)
    top, left = rng.randrange(tiled.shape[0] - HEIGHT), rng.randrange(tiled.shape[1] - WIDTH)
    part = tiled[top:top + HEIGHT, left:left + WIDTH].astype(np.float32)
    return ((part - part.mean()) * contrast + rng.uniform(100, 150)).clip(0, 255).astype(np.uint8)


def card_before(ground: Image, rng: random.Random, low: int, high: int) -> Image:
    """A print of a height between these, held before `ground`."""
    image = ground.copy()
    card = printed_card(rng.choice(list(CARDS)), rng.randint(low, high))
    _place(image, card, rng, rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.6), rng.uniform(-35, 35))
    return lens(image, rng.uniform(0.4, 1.1))


def _stage(rng: random.Random) -> Scene:
    return Scene(rng.randrange(10**6), rng.choice(PHASES), rng.randrange(12), rng.choice(list(CARDS)))


def stage(rng: random.Random) -> Image:
    """The demo's own camera, with a card."""
    return _stage(rng).frame(rng.randrange(600))


def room(rng: random.Random) -> Image:
    """Something that is well lit and sharp."""
    return rng.choice((desk, lambda one: card_before(plain(one, 90, 200), one, 200, 380)))(rng)


def to_mean(image: Image, rng: random.Random, low: float, high: float) -> Image:
    """In light that makes its mean one between these."""
    return (image * np.float32(rng.uniform(low, high) / image.mean())).clip(0, 255).astype(np.uint8)


def blinds(rng: random.Random) -> Image:
    """Stripes, level or upright: nothing changes along them, and yet they are sharp."""
    period, low, high = rng.randint(24, 90), rng.uniform(40, 90), rng.uniform(140, 210)
    level = rng.random() < 0.5
    places = np.arange(HEIGHT if level else WIDTH)
    stripes = np.where(places % period < period * rng.uniform(0.3, 0.6), low, high).astype(np.float32)
    image = np.broadcast_to(stripes[:, None] if level else stripes[None, :], (HEIGHT, WIDTH))
    return lens(np.dstack([image] * 3).astype(np.uint8), rng.uniform(0.5, 1.1))


def _share(image: Image, rng: random.Random, low: float, high: float, colour: float) -> Image:
    """A share of the frame between these, at one side or before its middle, becomes a plain `colour`."""
    image = image.copy()
    share = rng.uniform(low, high)
    if rng.random() < 0.5:
        size = (round(HEIGHT * share**0.5), round(WIDTH * share**0.5))
        top, left = (round(rng.uniform(0.3, 0.7) * room) for room in (HEIGHT - size[0], WIDTH - size[1]))
        image[top:top + size[0], left:left + size[1]] = colour
    else:
        image[:, :round(WIDTH * share)] = colour
    return lens(image, rng.uniform(0.5, 1.5))


def _lamp(image: Image, rng: random.Random) -> Image:
    light = cv2.circle(np.zeros((HEIGHT, WIDTH), np.float32), (rng.randrange(WIDTH), rng.randrange(HEIGHT // 2)),
                       rng.randint(15, 70), 1.0, -1)
    glow = cv2.GaussianBlur(light, (0, 0), 25)
    return (image + 260 * (light + 0.4 * glow)[:, :, None]).clip(0, 255).astype(np.uint8)


def _exposed(image: Image, rng: random.Random) -> Image:
    """As a camera with automatic exposure would have it, and then much more."""
    return sensor(to_mean(image, rng, 105, 135), rng, rng.uniform(2.1, 3.5))


def _lit_on_black(rng: random.Random) -> Image:
    image = plain(rng, 10, 28)
    return card_before(image, rng, 260, 420)


def _small_thing(rng: random.Random) -> Image:
    return card_before(plain(rng, 60, 170), rng, 110, 170)


def _page(rng: random.Random) -> Image:
    """A sheet of paper that fills the frame, with writing, exposed as paper should be."""
    image = plain(rng, 195, 238)
    for line in range(rng.randint(0, 8)):
        cv2.putText(image, "Lorem ipsum dolor sit amet", (rng.randint(40, 300), 90 + 75 * line), cv2.FONT_HERSHEY_SIMPLEX,
                    rng.uniform(1.0, 1.8), (40, 40, 45), 3, cv2.LINE_AA)
    return lens(image, rng.uniform(0.4, 1.1))


FRAMES: dict[tuple[str, bool], dict[str, Kind]] = {
    ("hint.dark", True): {
        "stage, dim": lambda rng: sensor(stage(rng), rng, rng.uniform(0.10, 0.26)),
        "desk, dim": lambda rng: sensor(to_mean(desk(rng), rng, 12, 36), rng),
        "night, noise": lambda rng: sensor(to_mean(room(rng), rng, 5, 20), rng, 1.0, rng.uniform(8, 18)),
        "night, lamp": lambda rng: sensor(_lamp(to_mean(room(rng), rng, 6, 20), rng), rng, 1.0, rng.uniform(3, 10)),
        "dark wall": lambda rng: sensor(plain(rng, 8, 45), rng),
    },
    ("hint.dark", False): {
        "stage": stage,
        "desk": lambda rng: sensor(to_mean(desk(rng), rng, 90, 140), rng),
        "evening": lambda rng: sensor(to_mean(desk(rng), rng, 65, 85), rng, 1.0, rng.uniform(3, 7)),
        "dark card, bright room": lambda rng: sensor(_share(to_mean(room(rng), rng, 110, 150), rng, 0.4, 0.7, 25), rng),
        "lit thing, black cloth": lambda rng: sensor(_lit_on_black(rng), rng),
        "wall": lambda rng: sensor(plain(rng, 90, 220), rng),
    },
    ("hint.bright", True): {
        "stage, glaring": lambda rng: _exposed(stage(rng), rng),
        "desk, glaring": lambda rng: _exposed(desk(rng), rng),
        "window": lambda rng: sensor(_share(room(rng), rng, 0.5, 0.8, 255), rng, 1.1),
        "sheet in the lamp": lambda rng: sensor(_page(rng), rng, rng.uniform(1.3, 1.8)),
    },
    ("hint.bright", False): {
        "stage": stage,
        "desk": lambda rng: sensor(to_mean(desk(rng), rng, 100, 150), rng),
        "white sheet": lambda rng: sensor(_page(rng), rng),
        "white wall": lambda rng: sensor(plain(rng, 180, 236), rng),
        "small window": lambda rng: sensor(_share(room(rng), rng, 0.06, 0.22, 255), rng),
        "light desk": lambda rng: sensor(to_mean(desk(rng), rng, 150, 175), rng),
    },
    ("hint.blurred", True): {
        "stage, out of focus": lambda rng: sensor(out_of_focus(stage(rng), rng), rng),
        "stage, moved": lambda rng: sensor(moved(stage(rng), rng), rng),
        "desk, out of focus": lambda rng: sensor(out_of_focus(desk(rng), rng), rng),
        "desk, moved": lambda rng: sensor(moved(desk(rng), rng), rng),
        "card, moved": lambda rng: sensor(moved(card_before(plain(rng, 60, 180), rng, 200, 380), rng), rng),
        "evening, moved": lambda rng: sensor(moved(to_mean(desk(rng), rng, 85, 110), rng), rng, 1.0, rng.uniform(4, 8)),
    },
    ("hint.blurred", False): {
        "stage": stage,
        "desk": lambda rng: sensor(desk(rng), rng),
        "desk, noise": lambda rng: sensor(desk(rng), rng, 1.0, rng.uniform(7, 12)),
        "card before a plain wall": lambda rng: sensor(card_before(plain(rng, 60, 190), rng, 200, 380), rng),
        "small thing": lambda rng: sensor(_small_thing(rng), rng),
        "card before a blurred room": lambda rng: sensor(card_before(lens(desk(rng), rng.uniform(5, 12)), rng, 180, 380), rng),
        "wall": lambda rng: sensor(plain(rng, 60, 220), rng),
        "sheet": lambda rng: sensor(_page(rng), rng),
        "blinds": lambda rng: sensor(blinds(rng), rng),
        "dark card, bright room": lambda rng: sensor(_share(room(rng), rng, 0.4, 0.7, 25), rng),
    },
}


def frames(hint: str, must: bool, seed: int, count: int) -> Iterator[tuple[str, Image]]:
    """`count` scenes, each kind in its turn: (kind, picture)."""
    kinds = list(FRAMES[hint, must].items())
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        yield name, make(random.Random(f"{hint}/{must}/{seed}/{number}"))


# ---- what a class records ----------------------------------------------------------------------------------------------


def half(image: Image) -> Image:
    return cv2.resize(image, _HALF, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _still(image: Image, rng: random.Random, count: int, shake: float = 0.0) -> list[Image]:
    """Frames of something that stands still, or is held still: pixels (of 1280) and tenths of a degree of shaking."""
    image, noise = half(image), rng.uniform(0.7, 3.0)
    found = []
    for _ in range(count):
        move = cv2.getRotationMatrix2D((_HALF[0] / 2, _HALF[1] / 2), rng.uniform(-shake, shake) / 10, 1.0)
        move[:, 2] += (rng.uniform(-shake, shake) / 2, rng.uniform(-shake, shake) / 2)
        shaken = cv2.warpAffine(image, move, _HALF, borderMode=cv2.BORDER_REPLICATE) if shake else image
        found.append(sensor(shaken, rng, rng.uniform(0.97, 1.03), noise))
    return found


def _turned(rng: random.Random, count: int) -> list[Image]:
    """A card of the stage that is turned in the hand for a quarter of a minute."""
    scene, start = _stage(rng), rng.randrange(300)
    return [half(scene.frame(start + number * 450 // count)) for number in range(count)]


def _takes(rng: random.Random, count: int) -> list[Image]:
    """Three short takes in different places."""
    seed, phase, card = rng.randrange(10**6), rng.choice(PHASES), rng.choice(list(CARDS))
    found: list[Image] = []
    for take in range(3):
        scene = Scene(seed, phase, take, card)
        found += [half(scene.frame(5 * number)) for number in range(count // 3)]
    return found


def _about(rng: random.Random, count: int) -> list[Image]:
    """A card that is carried about before a wall, nearer and farther."""
    ground, card = half(plain(rng, 60, 190)), rng.choice(list(CARDS))
    x, y, height, turn = 0.5, 0.5, 270.0, 0.0
    found = []
    for _ in range(count):
        x = min(0.75, max(0.25, x + rng.uniform(-0.08, 0.08)))
        y = min(0.65, max(0.35, y + rng.uniform(-0.08, 0.08)))
        height, turn = min(400.0, max(160.0, height * rng.uniform(0.85, 1.18))), turn + rng.uniform(-12, 12)
        image = ground.copy()
        _place(image, printed_card(card, round(height / 2)), rng, x, y, turn)
        found.append(sensor(image, rng, 1.0, 1.5))
    return found


def _around(rng: random.Random, count: int) -> list[Image]:
    """The same things while the camera goes around them."""
    image = desk(rng)
    found = []
    for number in range(count):
        away = number / count
        move = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 25 * away, 1.0 + 0.5 * away)
        move[:, 2] += (160 * math.sin(5 * away), 60 * math.cos(7 * away))
        found.append(sensor(half(cv2.warpAffine(image, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)), rng, 1.0, 1.5))  # type: ignore[arg-type]
    return found


Poses = Callable[[random.Random, int], list[Image]]

POSES: dict[bool, dict[str, Poses]] = {
    True: {
        "on the table": lambda rng, count: _still(desk(rng), rng, count),
        "stage, still": lambda rng, count: _still(stage(rng), rng, count),
        "card before a wall": lambda rng, count: _still(card_before(plain(rng, 60, 190), rng, 200, 380), rng, count),
        "held still": lambda rng, count: _still(room(rng), rng, count, 3.0),
        "bare wall": lambda rng, count: _still(plain(rng, 60, 220), rng, count),
    },
    False: {"turned in the hand": _turned, "three takes": _takes, "carried about": _about, "walked around": _around},
}


def poses(must: bool, seed: int, count: int, images: int = 20) -> Iterator[tuple[str, list[Image]]]:
    """`count` classes of so many images."""
    kinds = list(POSES[must].items())
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        yield name, make(random.Random(f"poses/{must}/{seed}/{number}"), images)


def class_counts(must: bool, seed: int, count: int) -> Iterator[tuple[str, dict[str, int]]]:
    """How many images two to five classes have: one of them far fewer than another, or none."""
    kinds = ("few of many", "few of some", "not begun") if must else ("alike", "half as many", "all just begun")
    for number in range(count):
        kind, rng = kinds[number % 3], random.Random(f"counts/{must}/{seed}/{number}")
        most = {"few of some": 30, "all just begun": 29}.get(kind, rng.randint(60, 500))
        least = {"few of many": rng.randint(1, most // 4), "few of some": 9, "not begun": 0, "alike": round(0.8 * most),
                 "half as many": most // 2, "all just begun": 0}[kind]
        counts = [most, least, *(rng.randint(most // 2, most) for _ in range(rng.randrange(4)))]
        rng.shuffle(counts)
        yield kind, {f"class {place}": one for place, one in enumerate(counts)}


# ---- what two classes have ---------------------------------------------------------------------------------------------

Pair = tuple[list[Image], list[Image]]


def _one_in_both(rng: random.Random, count: int) -> Pair:
    """One frame of the one class is among the other's, in other light and a pixel or two away."""
    one, other = _about(rng, count), _turned(rng, count)
    move = np.array([[1, 0, rng.uniform(-1, 1)], [0, 1, rng.uniform(-1, 1)]])
    twin = cv2.warpAffine(rng.choice(one), move, _HALF, borderMode=cv2.BORDER_REPLICATE)
    other[rng.randrange(len(other))] = sensor(twin, rng, rng.uniform(0.95, 1.05), 1.5)  # type: ignore[arg-type]
    return one, other


def _same_in_both(make: Kind) -> Callable[[random.Random, int], Pair]:
    def pair(rng: random.Random, count: int) -> Pair:
        image = make(rng)
        return _still(image, rng, count), _still(image, rng, count)

    return pair


def _other_card(rng: random.Random, count: int) -> Pair:
    """On the stage, in the same place, pose and light."""
    seed, phase, take = rng.randrange(10**6), rng.choice(PHASES), rng.randrange(12)
    one, other = (Scene(seed, phase, take, card) for card in rng.sample(list(CARDS), 2))
    return tuple([half(scene.frame(20 * number)) for number in range(count)] for scene in (one, other))  # type: ignore[return-value]


def _thing_on_table(rng: random.Random, count: int, colours: Sequence[tuple[int, int, int] | None]) -> Pair:
    """The same table with a box of one colour or the other (None: without)."""
    table = lens(things(plain(rng, 80, 190), rng, rng.randint(0, 3)), 0.7)
    x, y, turn, size = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(-40, 40), rng.randint(130, 260)
    found = []
    for colour in colours:
        image = table.copy()
        if colour is not None:
            _place(image, np.full((size, size, 3), colour, np.uint8), rng, x, y, turn)
        found.append(_still(image, rng, count, 2.0))
    return found[0], found[1]


def _red_and_green(rng: random.Random, count: int) -> Pair:
    return _thing_on_table(rng, count, ((40, 50, 190), (60, 120, 50)))


def _thing_and_nothing(rng: random.Random, count: int) -> Pair:
    return _thing_on_table(rng, count, (rng.choice(((25, 30, 35), (235, 235, 240), (30, 40, 200))), None))


def _other_things(rng: random.Random, count: int) -> Pair:
    return _still(desk(rng), rng, count, 2.0), _still(desk(rng), rng, count, 2.0)


PAIRS: dict[bool, dict[str, Callable[[random.Random, int], Pair]]] = {
    True: {"one image in both": _one_in_both, "same things": _same_in_both(room), "stage, same card": _same_in_both(stage),
           "bare wall": _same_in_both(lambda rng: plain(rng, 60, 220))},
    False: {"stage, other card": _other_card, "red and green": _red_and_green, "thing and nothing": _thing_and_nothing,
            "other things": _other_things, "two rooms": lambda rng, count: (_turned(rng, count), _about(rng, count))},
}


def pairs(must: bool, seed: int, count: int, images: int = 10) -> Iterator[tuple[str, Pair]]:
    """`count` pairs of classes of so many images."""
    kinds = list(PAIRS[must].items())
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        yield name, make(random.Random(f"pairs/{must}/{seed}/{number}"), images)
