"""What holds for the split of any images: hypothesis draws classes, takes, hashes, seeds and what was there before."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_nano.core.project.workspace import PARTS, ImageFile
from ai_nano.core.split import blocks, dataset
from ai_nano.core.split.twins import TWIN_BITS, Twins

drawing = settings(deadline=None, max_examples=80, derandomize=True, database=None,
                   suppress_health_check=[HealthCheck.too_slow])
FRACTIONS = st.sampled_from([(0.1, 0.1), (0.2, 0.2), (0.05, 0.3), (0.33, 0.33)])


@dataclass(frozen=True)
class Drawn:
    """`kinds` of hashes: none are known, all alike, each take its own colour, or each image another."""

    images: list[ImageFile]
    hashes: dict[str, int]


@st.composite
def drawn(draw: st.DrawFn, fewest: int = 3, classes: int = 3) -> Drawn:
    images: list[ImageFile] = []
    hashes: dict[str, int] = {}
    for number in range(draw(st.integers(1, classes))):
        name = f"class{number}"
        sizes = draw(st.lists(st.integers(1, 25), min_size=1, max_size=9))
        while sum(sizes) < fewest:
            sizes.append(1)
        kind = draw(st.sampled_from(["none", "alike", "takes", "images", "drifting"]))
        dice = random.Random(draw(st.integers(0, 99)))
        clock = 0.0
        for take, size in enumerate(sizes):
            single = draw(st.integers(0, 5)) == 0
            noted = "" if draw(st.integers(0, 7)) == 0 else f"t{take}"
            colour = dice.getrandbits(64)
            for place in range(size):
                clock += 1.0 + (60.0 if place == 0 else 0.0)
                image = ImageFile(Path(f"t{take}-{place:04d}.jpg"), name, noted, clock, False, single)
                images.append(image)
                if kind == "drifting":
                    colour ^= 1 << dice.randrange(64)
                value = {"alike": 7, "takes": colour, "drifting": colour, "images": dice.getrandbits(64)}.get(kind)
                if value is not None:
                    hashes[image.key] = value
    return Drawn(images, hashes)


def by_class(images: list[ImageFile]) -> dict[str, list[ImageFile]]:
    found = defaultdict(list)
    for image in images:
        found[image.class_name].append(image)
    return found


def counts(images: list[ImageFile], assigned: Mapping[str, str]) -> Counter[str]:
    return Counter(assigned[image.key] for image in images)


@drawing
@given(drawn(), st.integers(0, 3), st.sampled_from(dataset.STRATEGIES), FRACTIONS)
def test_every_image_is_in_one_part_and_every_class_in_all(one: Drawn, seed: int, strategy: str,
                                                           fractions: tuple[float, float]) -> None:
    val, test = fractions
    assigned = dataset.split(one.images, val=val, test=test, seed=seed, strategy=strategy, hashes=one.hashes)
    assert set(assigned) == {image.key for image in one.images} and set(assigned.values()) <= set(PARTS)
    for images in by_class(one.images).values():
        assert set(counts(images, assigned)) == set(PARTS)


@drawing
@given(drawn(), st.integers(0, 3), st.sampled_from(dataset.STRATEGIES), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_nothing_is_left_to_chance(one: Drawn, seed: int, strategy: str,
                                                             dice: random.Random) -> None:
    shuffled = list(one.images)
    dice.shuffle(shuffled)
    first = dataset.divide(one.images, seed=seed, strategy=strategy, hashes=one.hashes)
    assert first == dataset.divide(shuffled, seed=seed, strategy=strategy, hashes=dict(reversed(one.hashes.items())))


@drawing
@given(drawn(), st.integers(0, 3), st.integers(0, 3), st.sampled_from(dataset.STRATEGIES), st.data())
def test_earlier_images_stay_where_they_were(one: Drawn, seed: int, later_seed: int, strategy: str,
                                             data: st.DataObject) -> None:
    """Whatever is added: whole takes, single images, images of takes that were there."""
    earlier = []
    for images in by_class(one.images).values():
        kept = data.draw(st.sets(st.sampled_from(range(len(images))), min_size=3))
        earlier += [images[place] for place in sorted(kept)]
    before = dataset.split(earlier, seed=seed, strategy=strategy, hashes=one.hashes)
    after = dataset.split(one.images, seed=later_seed, strategy=strategy, previous=before, hashes=one.hashes)
    assert all(after[key] == part for key, part in before.items())
    assert set(after) == {image.key for image in one.images}
    again = dataset.split(one.images, seed=later_seed, strategy=strategy, previous=after, hashes=one.hashes)
    assert again == after


@drawing
@given(drawn(), st.integers(0, 3), FRACTIONS)
def test_shares_are_kept_within_a_block(one: Drawn, seed: int, fractions: tuple[float, float]) -> None:
    val, test = fractions
    assigned = dataset.split(one.images, val=val, test=test, seed=seed, hashes=one.hashes)
    for images in by_class(one.images).values():
        wanted, found = dataset.shares(len(images), val, test), counts(images, assigned)
        for part in blocks.HELD_BACK:
            assert wanted[part] / 2 <= found[part] <= blocks.most(wanted[part])
        assert found["train"] >= wanted["train"] / 2


@drawing
@given(st.integers(5, 9), st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_no_take_is_on_both_sides_where_there_are_five(takes: int, size: int, seed: int, hashed: bool) -> None:
    images = [ImageFile(Path(f"t{take}-{place:03d}.jpg"), "cat", f"t{take}", take * 100.0 + place)
              for take in range(takes) for place in range(size)]
    dice = random.Random(seed)
    colours = [dice.getrandbits(64) for _ in range(takes)]
    hashes = {image.key: colours[int(image.take[1:])] for image in images} if hashed else {}
    divided = dataset.divide(images, seed=seed, hashes=hashes)
    parts = defaultdict(set)
    for image in images:
        parts[image.take].add(divided.assigned[image.key])
    assert all(len(of_take) == 1 for of_take in parts.values())
    assert divided.why[0].code == "split.why.takes"


@drawing
@given(st.lists(st.integers(1, 4), min_size=12, max_size=30), st.integers(0, 5))
def test_takes_with_twins_in_each_other_go_together(copies: list[int], seed: int) -> None:
    """Imported pictures, some of which are there more than once."""
    dice = random.Random(seed)
    images, hashes = [], {}
    for number, count in enumerate(copies):
        colour = dice.getrandbits(64)
        for copy in range(count):
            image = ImageFile(Path(f"p{number:02d}-{copy}.jpg"), "cat", "import", float(len(images)), single=True)
            images.append(image)
            hashes[image.key] = colour ^ (1 << copy)
    divided = dataset.divide(images, seed=seed, hashes=hashes)
    parts = defaultdict(set)
    for image in images:
        parts[image.path.name[:3]].add(divided.assigned[image.key])
    assert all(len(of_picture) == 1 for of_picture in parts.values())
    assert not any(reason.code == "split.why.twins" for reason in divided.why)


@drawing
@given(st.integers(3, 120), st.integers(0, 5), st.sampled_from(["one", "none"]))
def test_where_everything_is_alike_it_is_split_by_time_and_said(count: int, seed: int, take: str) -> None:
    noted = "" if take == "none" else "t"
    images = [ImageFile(Path(f"{place:04d}.jpg"), "nothing", noted, float(place)) for place in range(count)]
    divided = dataset.divide(images, seed=seed, hashes={image.key: 5 for image in images})
    order = [divided.assigned[image.key] for image in images]
    assert sum(one != other for one, other in zip(order, order[1:], strict=False)) <= 4
    assert [reason for reason in divided.why if reason.code == "split.why.alike" and reason.warning]


@drawing
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40))
def test_twins_are_those_whose_hashes_are_near(values: list[int]) -> None:
    keys = [f"c/{number}" for number in range(len(values))]
    twins = Twins(keys, dict(zip(keys, values, strict=True)))
    for place, one in enumerate(values):
        near = {other for other in range(len(values)) if other != place and (one ^ values[other]).bit_count() <= TWIN_BITS}
        assert twins.of(keys[place]) == sum(1 << other for other in near)


@pytest.mark.parametrize("groups", [[["a"], ["b"], ["c"], ["d"]], [["a", "b"], ["c"], ["d"]]])
def test_groups_are_joined_through_others(groups: list[list[str]]) -> None:
    """a is near b, b near c, a not near c; d is near nobody."""
    twins = Twins("abcd", {"a": 0, "b": 0b111, "c": 0b111111, "d": 1 << 63 | 0xFF << 40})
    assert [sorted(group) for group in twins.joined(groups)] == [["a", "b", "c"], ["d"]]
