"""How often hints are right on the scenes of hint_scenes.py: what the bench prints and the tests demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import hint_scenes
import numpy as np

from ai_nano.cameras.looks import measure
from ai_nano.core.hints.advice import OF_FRAMES, Seen, faults, same_pose, small_classes, twins
from ai_nano.core.look import Album
from ai_nano.demo.cards import Image

HINTS = (*OF_FRAMES, "hint.same_pose", "hint.small", "hint.twins")


@dataclass(frozen=True)
class Outcome:
    """Of one scene: whether the hint must be raised, was, and by which numbers."""

    hint: str
    must: bool
    kind: str
    raised: bool
    why: str


def outcomes(hint: str, must: bool, seed: int, count: int) -> Iterator[Outcome]:
    if hint in OF_FRAMES:
        for kind, image in hint_scenes.frames(hint, must, seed, count):
            look = measure(image)
            yield Outcome(hint, must, kind, hint in faults(look), str(replace(look, signature=b"")))
    elif hint == "hint.same_pose":
        for kind, images in hint_scenes.poses(must, seed, count):
            seen = _seen("one", images)
            yield Outcome(hint, must, kind, bool(same_pose("one", seen)), f"median distance {_median(seen):.3f}")
    elif hint == "hint.small":
        for kind, counts in hint_scenes.class_counts(must, seed, count):
            yield Outcome(hint, must, kind, bool(small_classes(counts)), str(counts))
    else:
        for kind, (one, other) in hint_scenes.pairs(must, seed, count):
            both = {"one": _seen("one", one), "other": _seen("other", other)}
            apart = Album([seen.look for seen in both["one"]]).distances(Album([seen.look for seen in both["other"]]))
            yield Outcome(hint, must, kind, bool(twins(both)), f"least distance {apart.min():.3f}")


def rates(found: Sequence[Outcome], must: bool) -> tuple[int, int]:
    """How many scenes raised their hint, of how many."""
    of = [one.raised for one in found if one.must is must]
    return sum(of), len(of)


def _seen(name: str, images: Sequence[Image]) -> list[Seen]:
    return [Seen(f"{name}/{number:03d}.jpg", measure(image)) for number, image in enumerate(images)]


def _median(seen: Sequence[Seen]) -> float:
    album = Album([one.look for one in seen])
    return float(np.median(album.distances(album)))
