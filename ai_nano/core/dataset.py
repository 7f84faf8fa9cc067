"""The split: which image is for training, which for validation, which for the test.

A pure function of the images, the seed and the previous split, so that adding images keeps earlier ones where they were.
"""

import random
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from ai_nano.core.errors import BadInput, MissingPrerequisite
from ai_nano.core.workspace import PARTS, ImageFile

STRATEGIES = ("blocks", "random")
FEWEST_IMAGES = 3


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
          previous: Mapping[str, str] | None = None) -> dict[str, str]:
    """`{image key: "train" | "val" | "test"}`.

    `blocks` takes val and test as stretches of neighbouring frames at the ends of takes, from different takes where there
    are several, so that few near-identical frames stand on both sides of a border; `random` shuffles. Corrected frames are
    for training, all of them, and the fractions are of the others (doc/design/corrections.md). Raises
    MissingPrerequisite when a class has fewer than 3 images, BadInput when the fractions leave nothing for training.
    """
    check_fractions(val, test)
    by_class: dict[str, list[ImageFile]] = defaultdict(list)
    for image in images:
        by_class[image.class_name].append(image)
    assigned: dict[str, str] = {}
    for name, members in by_class.items():
        if len(members) < FEWEST_IMAGES:
            raise MissingPrerequisite("split.too_few", name=name, count=len(members), fewest=FEWEST_IMAGES)
        ordered = sorted(members, key=lambda image: (image.t, image.key))
        divided = [image for image in ordered if not image.corrected]
        if len(divided) < FEWEST_IMAGES:
            divided = ordered
        assigned.update({image.key: "train" for image in ordered})
        assigned.update(_split_class(divided, shares(len(divided), val, test), f"{seed}/{name}", strategy, previous or {}))
    return assigned


def _split_class(ordered: Sequence[ImageFile], wanted: Mapping[str, int], seed: str, strategy: str,
                 previous: Mapping[str, str]) -> dict[str, str]:
    kept = {image.key: previous[image.key] for image in ordered if previous.get(image.key) in PARTS}
    fresh = [image for image in ordered if image.key not in kept]
    missing = {part: max(0, wanted[part] - sum(1 for one in kept.values() if one == part)) for part in ("test", "val")}
    rng = random.Random(seed)
    pick = _pick_blocks if strategy == "blocks" else _pick_random
    chosen = pick(fresh, missing, rng)
    assigned = {**kept, **{image.key: chosen.get(image.key, "train") for image in fresh}}
    for part in PARTS:
        # Images removed since the last split can leave a part empty; it is refilled from the largest one.
        if part not in assigned.values():
            largest = max(PARTS, key=lambda one: sum(1 for value in assigned.values() if value == one))
            assigned[next(image.key for image in reversed(ordered) if assigned[image.key] == largest)] = part
    return assigned


def _pick_random(fresh: Sequence[ImageFile], missing: Mapping[str, int], rng: random.Random) -> dict[str, str]:
    order = sorted(image.key for image in fresh)
    rng.shuffle(order)
    chosen = {}
    for part, count in missing.items():
        for _ in range(min(count, len(order))):
            chosen[order.pop()] = part
    return chosen


def _pick_blocks(fresh: Sequence[ImageFile], missing: Mapping[str, int], rng: random.Random) -> dict[str, str]:
    by_take: dict[str, list[str]] = defaultdict(list)
    for image in fresh:
        by_take[image.take].append(image.key)
    shuffled = list(by_take.values())
    rng.shuffle(shuffled)
    takes = deque(shuffled)
    chosen: dict[str, str] = {}
    for part, count in missing.items():
        while count > 0 and takes:
            take = takes.popleft()
            size = min(count, len(take))
            # One end of a take for test, the other for val: where there is only one take, both borders are single.
            block, rest = (take[-size:], take[:-size]) if part == "test" else (take[:size], take[size:])
            chosen.update(dict.fromkeys(block, part))
            count -= size
            if rest:
                takes.append(rest)
    return chosen
