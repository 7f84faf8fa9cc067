"""Which images of a class go to val and test, so that training has seen nothing like them (doc/design/split.md).

Whole takes where a class has enough of a fitting size; else a stretch of neighbouring frames, cut where neighbours differ
most. What looks nearly the same stays on one side of a border as far as the images allow.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ai_nano.core.project.workspace import PARTS, ImageFile
from ai_nano.core.split.twins import Twins

# In the order in which they choose: of both, test is what others are told.
HELD_BACK = ("test", "val")
# How many cuts inside a take are tried, those between the least alike neighbours.
CUTS = 24


def take_of(image: ImageFile) -> str:
    """What was recorded in one go; an image that came alone is a take of its own."""
    return image.key if image.single else image.take


def most(wanted: int) -> int:
    """How many images a part may have for the sake of whole takes: with 10 % each, one of five equal takes fits."""
    return 2 * wanted + 1


def pick(ordered: Sequence[ImageFile], kept: Mapping[str, str], wanted: Mapping[str, int], twins: Twins,
         rng: random.Random) -> dict[str, str]:
    """The part of each of `ordered` that is not in `kept`, by key; `wanted` images of each part, of all."""
    placed = {**kept, **_followers(ordered, kept, wanted, twins)}
    have = {part: sum(1 for one in placed.values() if one == part) for part in PARTS}
    missing = {part: max(0, wanted[part] - have[part]) for part in HELD_BACK}
    free = len(ordered) - len(placed)
    room = _Room({part: most(wanted[part]) - have[part] for part in HELD_BACK},
                 spare=free + have["train"] - (wanted["train"] + 1) // 2, leave=0 if have["train"] else 1)
    whole = _whole_takes(ordered, placed, missing, room, twins, rng)
    placed |= whole
    taken = set(whole.values())
    missing = {part: 0 if part in taken else count for part, count in missing.items()}
    half = (wanted["train"] + 1) // 2 - have["train"]
    placed |= _stretches(ordered, placed, missing, (max(half, room.leave), room.leave), twins, rng)
    return {image.key: placed.get(image.key, "train") for image in ordered if image.key not in kept}


# ---- what follows what is there already ----------------------------------------------------------------------------------


def _followers(ordered: Sequence[ImageFile], kept: Mapping[str, str], wanted: Mapping[str, int],
               twins: Twins) -> dict[str, str]:
    """New images of takes that are in one part already, or of which at least half have twins in one part: they go there.

    Not where that would make a part too large, or leave too few images for val and test.
    """
    masks = {part: twins.mask(key for key, one in kept.items() if one == part) for part in PARTS}
    begun: dict[str, set[str]] = defaultdict(set)
    fresh: dict[str, list[str]] = defaultdict(list)
    for image in ordered:
        # Of images that nobody noted it is not known whether they belong together.
        take = take_of(image) or image.key
        if image.key in kept:
            begun[take].add(kept[image.key])
        else:
            fresh[take].append(image.key)
    wish: dict[str, list[str]] = {part: [] for part in PARTS}
    for take, keys in fresh.items():
        parts = begun.get(take) or _parts_of_twins(keys, masks, twins)
        if len(parts) == 1:
            wish[next(iter(parts))] += keys
    have = {part: sum(1 for one in kept.values() if one == part) for part in PARTS}
    missing = 0
    for part in HELD_BACK:
        if have[part] + len(wish[part]) > most(wanted[part]):
            wish[part] = []
        missing += max(0, wanted[part] - have[part] - len(wish[part]))
    if len(ordered) - len(kept) - sum(map(len, wish.values())) < missing:
        wish["train"] = []
    return {key: part for part, keys in wish.items() for key in keys}


def _parts_of_twins(keys: Sequence[str], masks: Mapping[str, int], twins: Twins) -> set[str]:
    """The parts in which images have twins, if at least half of them have any."""
    found = [{part for part, mask in masks.items() if twins.of(key) & mask} for key in keys]
    return set().union(*found) if 2 * sum(map(bool, found)) >= len(keys) else set()


# ---- whole takes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Room:
    """`most` images more for each part, `spare` for both so that train keeps half of its share, and `leave` takes for it."""

    most: Mapping[str, int]
    spare: int
    leave: int


def _whole_takes(ordered: Sequence[ImageFile], placed: Mapping[str, str], missing: Mapping[str, int], room: _Room, twins: Twins,
                 rng: random.Random) -> dict[str, str]:
    """Takes for the parts that whole takes can fill. Takes with twins in each other go together; where that leaves too
    few, each goes by itself, those with the fewest twins elsewhere first."""
    begun = {take_of(image) for image in ordered if image.key in placed}
    by_take: dict[str, list[str]] = defaultdict(list)
    for image in ordered:
        if take_of(image) not in begun:
            by_take[take_of(image)].append(image.key)
    takes = list(by_take.values())
    rng.shuffle(takes)
    wanted = [part for part in HELD_BACK if missing[part]]
    if not takes or not wanted:
        return {}
    there = twins.mask(placed)
    groups = [group for group in twins.joined(takes) if not twins.shared(group, there)]
    together = _fill(groups, missing, room)
    if all(part in together.values() for part in wanted):
        return together
    everything = twins.mask(image.key for image in ordered)
    takes.sort(key=lambda take: twins.shared(take, everything & ~twins.mask(take)) / len(take))
    alone = _fill(takes, missing, room)
    return max(together, alone, key=lambda one: len(set(one.values())))


def _fill(units: Sequence[Sequence[str]], missing: Mapping[str, int], room: _Room) -> dict[str, str]:
    left, spare = list(units), room.spare
    chosen: dict[str, str] = {}
    for number, part in enumerate(HELD_BACK):
        if missing[part]:
            later = sum(missing[one] for one in HELD_BACK[number + 1:])
            some = _fitting(left, missing[part], min(room.most[part], spare - later))
            if some and len(left) - len(some) >= room.leave:
                firsts = {unit[0] for unit in some}
                left = [unit for unit in left if unit[0] not in firsts]
                spare -= sum(map(len, some))
                chosen |= {key: part for unit in some for key in unit}
    return chosen


def _fitting(units: Sequence[Sequence[str]], need: int, limit: int) -> list[Sequence[str]]:
    """Units of about `need` images in all, from half of it up to `limit`; empty where there are none."""
    chosen: list[Sequence[str]] = []
    left: list[Sequence[str]] = []
    total = 0
    for unit in units:
        fits = total + len(unit) <= min(need, limit)
        (chosen if fits else left).append(unit)
        total += len(unit) if fits else 0
    others = [unit for unit in left if total + len(unit) <= limit]
    if others:
        closest = min(others, key=lambda unit: abs(total + len(unit) - need))
        if not chosen or abs(total + len(closest) - need) < need - total:
            chosen.append(closest)
            total += len(closest)
    return chosen if 2 * total >= need else []


# ---- stretches of takes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """Neighbouring images of a take that have no part yet; `begins`, `ends`: nothing of the take is before or after them."""

    take: str
    keys: Sequence[str]
    begins: bool
    ends: bool

    def without(self, start: int, stop: int) -> list["_Run"]:
        rest = [_Run(self.take, self.keys[:start], self.begins, False), _Run(self.take, self.keys[stop:], False, self.ends)]
        return [run for run in rest if run.keys]


def _stretches(ordered: Sequence[ImageFile], placed: Mapping[str, str], missing: Mapping[str, int], leave: tuple[int, int],
               twins: Twins, rng: random.Random) -> dict[str, str]:
    """`leave`: how many images train is to keep, and how few where a part would get nothing otherwise."""
    runs = _runs(ordered, placed)
    everything = twins.mask(image.key for image in ordered)
    chosen: dict[str, str] = {}
    used: set[str] = set()
    for number, part in enumerate(HELD_BACK):
        later = sum(missing[one] for one in HELD_BACK[number + 1:])
        need = missing[part]
        while need > 0:
            left = sum(len(run.keys) for run in runs) - later
            room = next((left - few for few in leave if left > few), 0)
            if room <= 0:
                break
            need = min(need, room)
            best = min(_candidates(runs, need, room, twins), default=None,
                       key=lambda one: (*_cost(one, need, everything, used, twins), rng.random()))
            if best is None:
                # No run is as long as that: all of the longest.
                longest = max(runs, key=lambda run: len(run.keys))
                best = _Stretch(longest, 0, len(longest.keys))
            chosen |= dict.fromkeys(best.keys, part)
            used.add(best.run.take)
            runs = [run for run in runs if run is not best.run] + best.run.without(best.start, best.stop)
            need = 0 if len(best.keys) >= need - need // 4 else need - len(best.keys)
    return chosen


def _runs(ordered: Sequence[ImageFile], placed: Mapping[str, str]) -> list[_Run]:
    by_take: dict[str, list[str]] = defaultdict(list)
    for image in ordered:
        by_take[take_of(image)].append(image.key)
    runs = []
    for take, keys in by_take.items():
        start = 0
        for place in range(len(keys) + 1):
            if place == len(keys) or keys[place] in placed:
                if place > start:
                    runs.append(_Run(take, keys[start:place], start == 0, place == len(keys)))
                start = place + 1
    return runs


@dataclass(frozen=True)
class _Stretch:
    run: _Run
    start: int
    stop: int

    @property
    def keys(self) -> Sequence[str]:
        return self.run.keys[self.start:self.stop]


def _candidates(runs: Sequence[_Run], need: int, room: int, twins: Twins) -> Iterator[_Stretch]:
    """Stretches of `need` images at the ends of runs; of about as many where the cut is between images that differ."""
    fewest, largest = need - need // 4, min(need + need // 4, room)
    for run in runs:
        length = len(run.keys)
        differences = {place: twins.difference(run.keys[place - 1], run.keys[place]) or 0 for place in range(1, length)}
        cuts = sorted((place for place in differences if differences[place]), key=lambda place: (-differences[place], place))
        ends = sorted({0, length, *cuts[:CUTS]})
        spans = {(start, stop) for start in ends for stop in ends if fewest <= stop - start <= largest}
        for start, stop in sorted(spans | {(0, need), (length - need, length)}):
            if 0 <= start and stop <= length:
                yield _Stretch(run, start, stop)


def _cost(one: _Stretch, need: int, everything: int, used: set[str], twins: Twins) -> tuple[float, ...]:
    """The lower, the better: how much of it has twins elsewhere, another take than the other part's, how many borders it
    has, how alike the images at them are, how far its size is from `need`."""
    run = one.run
    elsewhere = twins.shared(one.keys, everything & ~twins.mask(one.keys)) / len(one.keys)
    borders = []
    for place, open_end in ((one.start, run.begins), (one.stop, run.ends)):
        if 0 < place < len(run.keys):
            borders.append(twins.difference(run.keys[place - 1], run.keys[place]) or 0)
        elif not open_end:
            borders.append(0)
    return elsewhere, run.take in used, len(borders), -min(borders, default=0), abs(len(one.keys) - need)
