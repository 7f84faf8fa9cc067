"""The split: which image is for training, which for validation, which for the test.

A pure function of the images, their hashes, the seed and the previous split, so that adding images keeps earlier ones where
they were.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_nano.core.errors import BadInput, MissingPrerequisite
from ai_nano.core.project.workspace import PARTS, ImageFile
from ai_nano.core.split import blocks, reasons
from ai_nano.core.split.reasons import Reason
from ai_nano.core.split.twins import Twins

STRATEGIES = ("blocks", "random")
FEWEST_IMAGES = 3


@dataclass(frozen=True)
class Split:
    """`assigned`: `{image key: "train" | "val" | "test"}`; `why`: what a person should know of it."""

    assigned: dict[str, str]
    why: tuple[Reason, ...]


def shares(count: int, val: float, test: float) -> dict[str, int]:
    """How many of `count` images (3 or more) go where: val and test get at least one each, train the rest, at least one."""
    wanted = {"val": max(1, round(count * val)), "test": max(1, round(count * test))}
    while sum(wanted.values()) > count - 1:
        larger = max(wanted, key=lambda part: wanted[part])
        wanted[larger] -= 1
    return {"train": count - sum(wanted.values()), **wanted}


def check_fractions(val: float, test: float) -> None:
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise BadInput("split.fractions", val=val, test=test)


def split(images: Sequence[ImageFile], *, val: float = 0.1, test: float = 0.1, seed: int = 0, strategy: str = "blocks",
          previous: Mapping[str, str] | None = None, hashes: Mapping[str, int] | None = None) -> dict[str, str]:
    """`divide`, without its reasons."""
    return divide(images, val=val, test=test, seed=seed, strategy=strategy, previous=previous, hashes=hashes).assigned


def divide(images: Sequence[ImageFile], *, val: float = 0.1, test: float = 0.1, seed: int = 0, strategy: str = "blocks",
           previous: Mapping[str, str] | None = None, hashes: Mapping[str, int] | None = None) -> Split:
    """`blocks` sets whole takes aside for val and test, or stretches of takes (split_blocks.py); `random` shuffles.

    `hashes`: perceptual hashes by image key, as far as they are known. Corrected frames are for training, all of them, and
    the fractions are of the others (doc/design/corrections.md). Raises MissingPrerequisite when a class has fewer than 3
    images, BadInput when the fractions leave nothing for training.
    """
    check_fractions(val, test)
    before = previous or {}
    classes: dict[str, list[ImageFile]] = defaultdict(list)
    for image in sorted(images, key=lambda image: (image.class_name, image.t, image.key)):
        classes[image.class_name].append(image)
    assigned: dict[str, str] = {}
    twins: dict[str, Twins] = {}
    for name, ordered in classes.items():
        if len(ordered) < FEWEST_IMAGES:
            raise MissingPrerequisite("split.too_few", name=name, count=len(ordered), fewest=FEWEST_IMAGES)
        twins[name] = Twins([image.key for image in ordered], hashes or {})
        divided = [image for image in ordered if not image.corrected]
        if len(divided) < FEWEST_IMAGES:
            divided = ordered
        assigned.update({image.key: "train" for image in ordered})
        wanted = shares(len(divided), val, test)
        assigned.update(_split_class(divided, wanted, random.Random(f"{seed}/{name}"), strategy, before, twins[name]))
    return Split(assigned, reasons.reasons(classes, assigned, twins, strategy, before))


def _split_class(ordered: Sequence[ImageFile], wanted: Mapping[str, int], rng: random.Random, strategy: str,
                 previous: Mapping[str, str], twins: Twins) -> dict[str, str]:
    kept = {image.key: previous[image.key] for image in ordered if previous.get(image.key) in PARTS}
    if strategy == "blocks":
        fresh = blocks.pick(ordered, kept, wanted, twins, rng)
    else:
        fresh = _shuffled([image.key for image in ordered if image.key not in kept], kept, wanted, rng)
    assigned = {**kept, **fresh}
    for part in PARTS:
        # Images removed since the last split can leave a part empty; it is refilled from the largest one.
        if part not in assigned.values():
            largest = max(PARTS, key=lambda one: sum(1 for value in assigned.values() if value == one))
            assigned[next(image.key for image in reversed(ordered) if assigned[image.key] == largest)] = part
    return assigned


def _shuffled(fresh: Sequence[str], kept: Mapping[str, str], wanted: Mapping[str, int], rng: random.Random) -> dict[str, str]:
    order = sorted(fresh)
    rng.shuffle(order)
    chosen = dict.fromkeys(order, "train")
    for part in blocks.HELD_BACK:
        have = sum(1 for one in kept.values() if one == part)
        for _ in range(min(max(0, wanted[part] - have), len(order))):
            chosen[order.pop()] = part
    return chosen
