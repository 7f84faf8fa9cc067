"""Classes by folders, and which pictures are frames of one take."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_nano.core.importing.pictures import Glimpse
from ai_nano.core.importing.plan import Looked, arrange, class_folders, same_class

KNOWN = {"mug", "été"}


def classes(*folders: str, top: str = "pictures") -> list[str | None]:
    """Of pictures in these folders below `top`, written with slashes."""
    return class_folders([tuple(one.split("/")) if one else () for one in folders], top, lambda one: same_class(one) in KNOWN)


@pytest.mark.parametrize(("folders", "wanted"), [
    (["mug", "cat", "cat"], ["mug", "cat", "cat"]),
    (["mug"], ["mug"]),
    (["set/mug", "set/cat"], ["mug", "cat"]),
    (["a/b/c/mug", "a/b/c/cat"], ["mug", "cat"]),
    (["train/cat", "train/dog", "val/cat", "test/dog"], ["cat", "dog", "cat", "dog"]),
    (["set/Train/cat", "set/Test/cat", "set/Test/dog"], ["cat", "cat", "dog"]),
    (["mug/monday", "mug/tuesday"], ["mug", "mug"]),
    (["cat", "cat/more", "dog"], ["cat", "cat", "dog"]),
    (["", "mug", "cat"], [None, "mug", "cat"]),
    (["set", "set/mug", "set/cat", "set/cat"], [None, "mug", "cat", "cat"]),
    (["train", "test"], ["train", "test"]),
    (["", ""], ["pictures", "pictures"]),
    ([], []),
])
def test_the_folder_that_stands_for_the_class(folders: Sequence[str], wanted: Sequence[str | None]) -> None:
    assert classes(*folders) == wanted


def test_a_folder_with_the_name_of_a_class_keeps_what_lies_in_it() -> None:
    assert classes("", "more", top="MUG") == ["MUG", "more"]
    assert classes("", "E\u0301te\u0301", top="pictures") == [None, "E\u0301te\u0301"]


# ---- takes -----------------------------------------------------------------------------------------------------------


def takes(pictures: Sequence[tuple[str, float | None, tuple[int, int] | None]]) -> list[list[str]]:
    planned = arrange(Looked(name, name, "place", Glimpse(size, taken)) for name, taken, size in pictures)
    runs: dict[int, list[str]] = {}
    for one in planned:
        runs.setdefault(one.run, []).append(one.what)
    assert all(one.single == (len(runs[one.run]) == 1) for one in planned)
    return list(runs.values())


HD, VGA = (1280, 720), (640, 480)


def test_photographs_of_one_moment_are_a_take_whatever_they_are_called() -> None:
    found = takes([("z.jpg", 100.0, HD), ("b.jpg", 101.0, HD), ("q.jpg", 99.0, VGA), ("a.jpg", 500.0, HD),
                   ("c.jpg", 501.5, HD)])
    assert found == [["q.jpg", "z.jpg", "b.jpg"], ["a.jpg", "c.jpg"]]


def test_photographs_far_apart_are_single() -> None:
    assert takes([("1.jpg", 0.0, HD), ("2.jpg", 31.0, HD), ("3.jpg", 62.5, HD)]) == [["1.jpg"], ["2.jpg"], ["3.jpg"]]


def test_numbered_frames_of_one_size_are_a_take() -> None:
    assert takes([("frame 10.png", None, HD), ("frame 9.png", None, HD), ("frame 40.png", None, HD)]) == [
        ["frame 9.png", "frame 10.png", "frame 40.png"]]


@pytest.mark.parametrize(("first", "second"), [
    (("1.jpg", None, HD), ("2.jpg", None, VGA)), (("cat.jpg", None, HD), ("sofa.jpg", None, HD)),
    (("1.jpg", None, HD), ("200.jpg", None, HD)), (("a 1.jpg", None, HD), ("b 1.jpg", None, HD)),
    (("a1 1.jpg", None, HD), ("a2 2.jpg", None, HD)), (("1.jpg", 5.0, HD), ("2.jpg", None, HD)),
    (("1.jpg", None, HD), (f"{10**30}.jpg", None, HD)),
])
def test_unrelated_pictures_are_single(first: tuple[str, float | None, tuple[int, int]],
                                       second: tuple[str, float | None, tuple[int, int]]) -> None:
    assert len(takes([first, second])) == 2


def test_recordings_of_another_project_keep_their_takes() -> None:
    names = [f"20261121T10000{take}000-{number:05d}.jpg" for take in (1, 2) for number in range(1, 4)]
    assert takes([(name, None, HD) for name in names]) == [names[:3], names[3:]]


def test_places_are_never_mixed() -> None:
    planned = arrange([Looked("a", "1.jpg", "x", Glimpse(HD)), Looked("b", "2.jpg", "y", Glimpse(HD)),
                       Looked("c", "2.jpg", "x", Glimpse(HD))])
    assert [(one.what, one.run) for one in planned] == [("a", 0), ("c", 0), ("b", 1)]


@given(st.lists(st.tuples(st.text(max_size=8), st.one_of(st.none(), st.floats(-1e9, 1e12)), st.sampled_from([HD, VGA, None]),
                          st.integers(0, 2)), max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_picture_is_lost_or_twice(pictures: list[tuple[str, float | None, tuple[int, int] | None, int]]) -> None:
    planned = arrange(Looked(number, name, place, Glimpse(size, taken))
                      for number, (name, taken, size, place) in enumerate(pictures))
    assert sorted(one.what for one in planned) == list(range(len(pictures)))
    for run in {one.run for one in planned}:
        assert len({pictures[one.what][3] for one in planned if one.run == run}) == 1
