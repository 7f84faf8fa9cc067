"""The split, as a pure function."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from ai_nano.core.errors import BadInput, MissingPrerequisite
from ai_nano.core.project.workspace import ImageFile
from ai_nano.core.split import dataset


def make(name: str, takes: dict[str, int]) -> list[ImageFile]:
    clock = itertools.count()
    return [ImageFile(Path(f"{take}-{number:04d}.jpg"), name, take, float(next(clock)))
            for take, count in takes.items() for number in range(count)]


@pytest.mark.parametrize("count", range(3, 60))
@pytest.mark.parametrize("strategy", dataset.STRATEGIES)
def test_every_class_of_three_or_more_gets_all_parts(count: int, strategy: str) -> None:
    parts = Counter(dataset.split(make("cat", {"a": count}), strategy=strategy).values())
    assert all(parts[part] >= 1 for part in ("train", "val", "test")) and sum(parts.values()) == count
    assert parts["val"] == parts["test"] == max(1, round(0.1 * count))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_are_refused(count: int) -> None:
    images = make("cat", {"a": 9}) + make("dog", {"b": count})
    if count == 0:
        assert set(dataset.split(images)) == {image.key for image in images}  # the step looks for classes without images
        return
    with pytest.raises(MissingPrerequisite) as caught:
        dataset.split(images)
    assert (caught.value.params["name"], caught.value.params["count"], caught.value.exit_code) == ("dog", count, 4)


def test_it_is_a_pure_function_of_images_and_seed() -> None:
    images = make("cat", {"a": 30, "b": 30})
    assert dataset.split(images, seed=1) == dataset.split(list(reversed(images)), seed=1)
    seeds = {tuple(sorted(dataset.split(images, seed=seed).items())) for seed in range(8)}
    assert len(seeds) > 1


def test_blocks_keep_neighbours_together() -> None:
    """One border for each of val and test: a shuffle of 100 frames has dozens."""
    images = make("cat", {"a": 100})

    def borders(strategy: str) -> int:
        assigned = dataset.split(images, strategy=strategy)
        return sum(assigned[one.key] != assigned[other.key] for one, other in itertools.pairwise(images))

    assert borders("blocks") == 2
    assert borders("random") > 20


def test_blocks_of_val_and_test_come_from_different_takes() -> None:
    assigned = dataset.split(make("cat", {"a": 30, "b": 30, "c": 30}))
    takes = {part: {key.split("/")[1].split("-")[0] for key, where in assigned.items() if where == part}
             for part in ("val", "test")}
    assert len(takes["val"]) == len(takes["test"]) == 1 and takes["val"] != takes["test"]


@pytest.mark.parametrize("strategy", dataset.STRATEGIES)
def test_added_images_leave_earlier_ones_where_they_were(strategy: str) -> None:
    before = dataset.split(make("cat", {"a": 40}), strategy=strategy)
    after = dataset.split(make("cat", {"a": 40, "b": 40}), strategy=strategy, previous=before)
    assert all(after[key] == part for key, part in before.items())
    assert Counter(after.values()) == {"train": 64, "val": 8, "test": 8}


def test_removed_images_do_not_leave_a_part_empty() -> None:
    images = make("cat", {"a": 20})
    before = dataset.split(images)
    left = [image for image in images if before[image.key] == "train"]
    after = dataset.split(left, previous=before)
    assert set(after.values()) == {"train", "val", "test"}


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.5, 0.5), (-1, 0.1), (0.1, 1.5), (float("nan"), 0.1)])
def test_fractions_that_leave_nothing(val: float, test: float) -> None:
    with pytest.raises(BadInput):
        dataset.split(make("cat", {"a": 9}), val=val, test=test)
