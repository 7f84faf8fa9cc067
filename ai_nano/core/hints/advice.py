"""Hints for who records: what is wrong with the picture or the images, and what to do. They advise and never stop anything.

Pure functions of looks and counts. Where the thresholds come from is in doc/design/hints.md; `python -m tests.bench.hints`
prints how often each hint is right.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ai_nano.core.look import Album as Album
from ai_nano.core.look import Look as Look
from ai_nano.core.texts import t

# Of a frame, in the order in which they matter: nothing else can be told of a frame that is too dark.
OF_FRAMES = ("hint.dark", "hint.bright", "hint.blurred")
# The second number of a pair holds while the hint is shown, so that it does not come and go at the border.
LIT = (70.0, 77.0)
CLIPPED = (0.28, 0.24)
WIDTH = (1.75, 1.65)
STREAK = (2.15, 2.05)
# So much is enough where half of the frame is nearly white besides.
CLIPPED_IN_WHITE = (0.12, 0.09)
WHITE = 215.0

# A fault of a frame is shown when it has lasted so long, and goes when it has been away as long.
LASTS_S = 1.0
# One look counts for at most this long, and after a longer silence everything begins anew.
MOST_STEP_S = 0.5
SILENCE_S = 3.0

# So many of a class's images must have a fault of frames for it to be said of the class.
FAULTY_SHARE = 0.25
FAULTY_FEWEST = 5
# A class is small below this share of the largest one, once that has so many images.
SMALL_SHARE = 1 / 3
LARGE_ENOUGH = 30
# Frames that are as near as this show the same pose; if this share of a class's images does, so does the class.
SAME_POSE = 0.16
SAME_SHARE = 0.8
SAME_FEWEST = 20
_POSES = 60
# Frames that are as near as this, and nowhere differ by more levels, are nearly the same image.
TWINS = 0.10
TWINS_LEVELS = 20.0
_ROWS = 500
_PAIRS = 500

MOST_SHOWN = 2


@dataclass(frozen=True)
class Hint:
    """`class_name`: the class that it is about, or the first of two; `images`: keys of images that show it."""

    code: str
    params: Mapping[str, object] = field(default_factory=dict)
    class_name: str | None = None
    images: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is so."""
        return t(self.code, **self.params)

    @property
    def advice(self) -> str:
        """What to do."""
        return t(self.code + ".do", **self.params)

    def to_json(self) -> dict[str, object]:
        return {"code": self.code, "class": self.class_name, "text": self.text, "advice": self.advice,
                "images": list(self.images)}


@dataclass(frozen=True)
class Seen:
    """The look of a recorded image; `key` is `<class>/<file>`."""

    key: str
    look: Look


# ---- frames ------------------------------------------------------------------------------------------------------------


def faults(look: Look, shown: frozenset[str] = frozenset()) -> frozenset[str]:
    """Which of OF_FRAMES hold of one frame, while those in `shown` are shown."""
    found = set()
    if look.lit < LIT["hint.dark" in shown]:
        found.add("hint.dark")
    held = "hint.bright" in shown
    if look.clipped > CLIPPED[held] or (look.middle > WHITE and look.clipped > CLIPPED_IN_WHITE[held]):
        found.add("hint.bright")
    held = "hint.blurred" in shown
    if not found and look.width is not None and (look.width > WIDTH[held] or (look.streak or 0.0) > STREAK[held]):
        found.add("hint.blurred")
    return frozenset(found)


class Steady:
    """The hints of a camera's frames, without flicker."""

    def __init__(self) -> None:
        self._levels = dict.fromkeys(OF_FRAMES, 0.0)
        self._shown: frozenset[str] = frozenset()
        self._last: float | None = None

    def update(self, look: Look, at: float) -> list[Hint]:
        """What to show after a look at the time `at`, in seconds."""
        if self._last is None or not 0 <= at - self._last <= SILENCE_S:
            self._levels = dict.fromkeys(OF_FRAMES, 0.0)
            self._shown, self._last = frozenset(), at
        step = min(at - self._last, MOST_STEP_S) / LASTS_S
        self._last = at
        found = faults(look, self._shown)
        for code, level in self._levels.items():
            level = min(1.0, level + step) if code in found else max(0.0, level - step)
            # Of ten tenths the sum is less than one.
            if level > 0.999:
                self._shown |= {code}
            elif level < 0.001:
                self._shown -= {code}
            self._levels[code] = level
        return [Hint(code) for code in OF_FRAMES if code in self._shown]


# ---- images of classes -------------------------------------------------------------------------------------------------


def of_images(classes: Mapping[str, Sequence[Seen]], counts: Mapping[str, int]) -> list[Hint]:
    """All hints about the recorded images, most important first.

    `classes`: images in the order of their recording, which may be a part of them; `counts`: how many there are.
    """
    return [*twins(classes), *_each(same_pose, classes), *_each(_faulty, classes), *small_classes(counts)]


def first(hints: Sequence[Hint], most: int = MOST_SHOWN) -> list[Hint]:
    """Those to show at once: of each kind one before any second."""
    kinds: dict[str, int] = {}
    ranked = []
    for place, hint in enumerate(hints):
        kinds[hint.code] = kinds.get(hint.code, 0) + 1
        ranked.append((kinds[hint.code], place, hint))
    return [hint for _, _, hint in sorted(ranked, key=lambda one: one[:2])[:most]]


def small_classes(counts: Mapping[str, int]) -> list[Hint]:
    """Classes with far fewer images than the largest, smallest first."""
    if not counts:
        return []
    largest = max(counts, key=lambda name: counts[name])
    most = counts[largest]
    small = [name for name, count in counts.items() if most >= LARGE_ENOUGH and count < SMALL_SHARE * most]
    return [Hint("hint.small", {"name": name, "count": counts[name], "largest": largest, "most": most,
                                "wanted": max(1, most // 2 - counts[name])}, name)
            for name in sorted(small, key=lambda name: counts[name])]


def same_pose(name: str, seen: Sequence[Seen]) -> list[Hint]:
    """Whether most of a class's images show the same."""
    if len(seen) < SAME_FEWEST:
        return []
    some = _spread(seen, _POSES)
    album = Album([one.look for one in some])
    alike = album.distances(album) < SAME_POSE
    popular = int(alike.sum(axis=1).argmax())
    if alike[popular].mean() < SAME_SHARE:
        return []
    members = [one.key for one, like in zip(some, alike[popular], strict=True) if like]
    return [Hint("hint.same_pose", {"name": name}, name, (members[0], members[-1]))]


def twins(classes: Mapping[str, Sequence[Seen]]) -> list[Hint]:
    """Pairs of classes that have nearly the same image; `images` are the nearest two."""
    albums = {name: Album([one.look for one in seen]) for name, seen in classes.items() if seen}
    found = []
    for one, other in itertools.combinations(albums, 2):
        pairs = _near(albums[one], albums[other])
        if pairs:
            keys = classes[one][pairs[0][0]].key, classes[other][pairs[0][1]].key
            count = len({row for row, _ in pairs}) + len({column for _, column in pairs})
            found.append((count, Hint("hint.twins", {"first": one, "second": other, "count": count}, one, keys)))
    return [hint for _, hint in sorted(found, key=lambda one: -one[0])]


def _near(one: Album, other: Album) -> list[tuple[int, int]]:
    """(row, column) of frames that are nearly the same, nearest first; at most _PAIRS of each _ROWS rows."""
    import numpy as np

    found = []
    for start in range(0, len(one), _ROWS):
        apart = one.distances(other, slice(start, start + _ROWS))
        rows, columns = np.nonzero(apart < TWINS)
        nearest = np.argsort(apart[rows, columns])[:_PAIRS]
        for row, column in zip(rows[nearest].tolist(), columns[nearest].tolist(), strict=True):
            if one.largest_difference(start + row, other, column) <= TWINS_LEVELS:
                found.append((float(apart[row, column]), start + row, column))
    return [(row, column) for _, row, column in sorted(found)]


def _faulty(name: str, seen: Sequence[Seen]) -> list[Hint]:
    """Faults of frames that many images of a class have."""
    by_code: dict[str, list[str]] = {code: [] for code in OF_FRAMES}
    for one in seen:
        for code in faults(one.look):
            by_code[code].append(one.key)
    return [Hint(f"{code}.images", {"name": name, "count": len(keys), "total": len(seen)}, name, tuple(keys[:2]))
            for code, keys in by_code.items() if len(keys) >= max(FAULTY_FEWEST, FAULTY_SHARE * len(seen))]


def _each(ask: Callable[[str, Sequence[Seen]], list[Hint]], classes: Mapping[str, Sequence[Seen]]) -> list[Hint]:
    return [hint for name, seen in classes.items() for hint in ask(name, seen)]


def _spread(seen: Sequence[Seen], most: int) -> list[Seen]:
    """At most `most` of them, evenly."""
    if len(seen) <= most:
        return list(seen)
    return [seen[place * (len(seen) - 1) // (most - 1)] for place in range(most)]
