"""Whether the Nano was right: what its own process wrote of its LEDs, against the stage's own record of what was shown.

Neither file passes through the laptop's program, so that a mistake anywhere between them cannot hide.
"""

import collections
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core.events import Prediction

# Time for a new picture to pass the stream, the network and the LEDs; what happens meanwhile counts for neither card.
SETTLE_S = 0.5
# A single wrong frame may flicker; a card counts as right when its pin alone is lit for most of its time.
RIGHT_SHARE = 0.5
ACCURACY_WANTED = 0.95
FRAMES_WANTED = 300
EMPTY = "nothing"


@dataclass(frozen=True)
class Showing:
    """One card (or the empty stage, `nothing`) held up between two unix times."""

    card: str
    start: float
    end: float


@dataclass(frozen=True)
class Row:
    """How one showing went: share of its time with exactly the right pins lit, and its frames with their top-1 class."""

    showing: Showing
    expected: frozenset[int]
    led_share: float
    seen: Mapping[str, int]

    @property
    def frames(self) -> int:
        return sum(self.seen.values())


@dataclass(frozen=True)
class Verdict:
    rows: Sequence[Row]

    @property
    def frames(self) -> int:
        return sum(row.frames for row in self.rows)

    @property
    def accuracy(self) -> float:
        """Top-1 over all frames of all showings, by class name."""
        right = sum(row.seen.get(row.showing.card, 0) for row in self.rows)
        return right / self.frames if self.frames else 0.0

    @property
    def led_share(self) -> float:
        """Share of all showings' time in which exactly the right pins were lit."""
        time = sum(row.showing.end - row.showing.start for row in self.rows)
        right = sum(row.led_share * (row.showing.end - row.showing.start) for row in self.rows)
        return right / time if time else 0.0

    @property
    def leds_agree(self) -> bool:
        return bool(self.rows) and all(row.led_share >= RIGHT_SHARE for row in self.rows)

    @property
    def accurate(self) -> bool:
        return self.frames >= FRAMES_WANTED and self.accuracy >= ACCURACY_WANTED

    def confusion(self, classes: Sequence[str]) -> list[list[int]]:
        """Rows: what was shown; columns: top-1 class."""
        table = {name: collections.Counter[str]() for name in classes}
        for row in self.rows:
            table[row.showing.card].update(row.seen)
        return [[table[shown][seen] for seen in classes] for shown in classes]

    def to_json(self) -> dict[str, Any]:
        return {"v": 1, "frames": self.frames, "accuracy": self.accuracy, "led_share": self.led_share,
                "leds_agree": self.leds_agree,
                "showings": [{"card": row.showing.card, "start": row.showing.start, "end": row.showing.end,
                              "expected": sorted(row.expected), "led_share": row.led_share, "seen": dict(row.seen)}
                             for row in self.rows]}


def read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def showings(record: Iterable[Mapping[str, Any]], camera: str = "nano", phase: str = "show") -> list[Showing]:
    """From the stage's record; the last entry only ends the one before it."""
    entries = [one for one in record if one["camera"] == camera and one.get("phase") == phase]
    return [Showing(one["show"] or EMPTY, one["t"] + SETTLE_S, after["t"]) for one, after in itertools.pairwise(entries)
            if after["t"] > one["t"] + SETTLE_S]


def lit_share(leds: Sequence[Mapping[str, Any]], expected: frozenset[int], start: float, end: float) -> float:
    """The share of [start, end] in which exactly the expected pins were lit, by leds.jsonl."""
    lit: set[int] = set()
    right = 0.0
    since = start
    for entry in leds:
        if entry["t"] > since:
            until = min(entry["t"], end)
            if lit == expected and until > since:
                right += until - since
            since = max(since, until)
        (lit.add if entry["on"] else lit.discard)(entry["pin"])
        if entry["t"] >= end:
            break
    else:
        if lit == expected:
            right += end - since
    return right / (end - start)


def judge(record: Iterable[Mapping[str, Any]], leds: Sequence[Mapping[str, Any]], predictions: Sequence[Prediction],
          pins: Mapping[str, int]) -> Verdict:
    """`pins`: class -> pin for the classes that have one, from the student's class order and the config."""
    rows = []
    # Without a line of the LEDs there is no witness, and darkness proves nothing.
    witnessed = bool(leds)
    for showing in showings(record):
        expected = frozenset({pins[showing.card]} if showing.card in pins else ())
        share = lit_share(leds, expected, showing.start, showing.end) if witnessed else 0.0
        seen = collections.Counter(max(one.probabilities, key=lambda name: one.probabilities[name])
                                   for one in predictions if showing.start <= one.t < showing.end)
        rows.append(Row(showing, expected, share, seen))
    return Verdict(rows)
