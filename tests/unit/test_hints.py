"""Hints from looks and counts: what is said of which, when it appears and goes, and what comes first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ai_nano.core import texts
from ai_nano.core.hints import advice
from ai_nano.core.hints.advice import Hint, Seen, Steady, faults
from ai_nano.core.look import CELLS, SIGNATURE_BYTES, Album, Look

GOOD = Look(lit=180, middle=110, clipped=0.01, width=1.2, streak=1.5, signature=bytes([128] * SIGNATURE_BYTES))
DARK, BRIGHT, BLURRED = replace(GOOD, lit=40), replace(GOOD, clipped=0.6), replace(GOOD, width=2.6, streak=2.7)
CODES = [*advice.OF_FRAMES, *(f"{code}.images" for code in advice.OF_FRAMES), "hint.same_pose", "hint.small", "hint.twins"]


def picture(seed: int, noise: float = 0.0, gain: float = 1.0) -> Look:
    """A look at one of many different pictures; `noise` in levels, of one of many frames of it."""
    dice = np.random.default_rng(seed)
    cells = dice.uniform(30, 200, (3, CELLS[0] * CELLS[1])) * [[1], [0.2], [0.2]] + [[0], [105], [105]]
    cells[0] = cells[0] * gain + np.random.default_rng(random.randrange(10**9)).normal(0, noise, cells[0].shape)
    return replace(GOOD, signature=cells.clip(0, 255).astype(np.uint8).tobytes())


def seen(name: str, looks: Sequence[Look]) -> list[Seen]:
    return [Seen(f"{name}/{number:04d}.jpg", look) for number, look in enumerate(looks)]


# ---- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("code", CODES)
def test_every_hint_says_what_is_so_and_what_to_do(code: str, language: str) -> None:
    for one in (code, f"{code}.do"):
        assert texts.catalogue(language).gettext(one) != one


def test_hints_have_the_parameters_of_their_sentences() -> None:
    classes = {"cat": seen("cat", [replace(picture(1, 1), lit=30)] * 40), "cup": seen("cup", [picture(1, 1)] * 5)}
    found = advice.of_images(classes, {"cat": 40, "cup": 5})
    assert {hint.code for hint in found} == {"hint.twins", "hint.same_pose", "hint.dark.images", "hint.small"}
    for hint in found:
        assert "{" not in hint.text + hint.advice and "=" not in hint.text + hint.advice


# ---- frames ------------------------------------------------------------------------------------------------------------


def test_faults_of_a_frame() -> None:
    assert faults(GOOD) == frozenset()
    assert faults(DARK) == {"hint.dark"} and faults(BRIGHT) == {"hint.bright"} and faults(BLURRED) == {"hint.blurred"}
    assert faults(replace(GOOD, streak=4.0)) == {"hint.blurred"}, "one direction is enough"
    assert faults(replace(DARK, width=9.0)) == {"hint.dark"}, "in the dark nothing else can be told"
    assert faults(replace(GOOD, width=None, streak=None)) == frozenset(), "where there are no edges, none are blurred"


def test_a_hint_that_is_shown_holds_a_little_longer() -> None:
    between = replace(GOOD, lit=sum(advice.LIT) / 2)
    assert faults(between) == frozenset() and faults(between, frozenset({"hint.dark"})) == {"hint.dark"}


def shown(steady: Steady, looks: Sequence[Look], start: float, step: float = 0.2) -> list[tuple[str, ...]]:
    return [tuple(hint.code for hint in steady.update(look, start + step * number)) for number, look in enumerate(looks)]


@pytest.mark.parametrize("step", [0.1, 0.2, 0.5])
def test_a_hint_appears_after_a_second_and_goes_after_one(step: float) -> None:
    steady, second = Steady(), round(1 / step)
    before = shown(steady, [GOOD] * 5, 0.0, step)
    rising = shown(steady, [DARK] * (second + 5), 5 * step, step)
    assert not any(before)
    assert rising == [()] * (second - 1) + [("hint.dark",)] * 6
    falling = shown(steady, [GOOD] * (second + 3), (second + 10) * step, step)
    assert falling == [("hint.dark",)] * (second - 1) + [()] * 4


def test_a_hint_does_not_flicker() -> None:
    for odds in (0.2, 0.8):
        dice, steady = random.Random(3), Steady()
        told = shown(steady, [DARK if dice.random() < odds else GOOD for _ in range(300)], 0.0)[50:]
        assert sum(one != other for one, other in zip(told, told[1:], strict=False)) <= 2
        assert (told.count(("hint.dark",)) > 240) is (odds > 0.5)


def test_a_camera_that_was_away_begins_anew() -> None:
    steady = Steady()
    assert shown(steady, [DARK] * 8, 0.0)[-1] == ("hint.dark",)
    assert steady.update(DARK, 60.0) == [] and steady.update(DARK, 60.2) == []
    assert shown(steady, [DARK] * 8, 60.4)[-1] == ("hint.dark",)
    assert steady.update(DARK, 1.0) == [], "a clock that was put back"


# ---- classes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(20))
def test_small_classes(number: int) -> None:
    dice = random.Random(number)
    most = dice.randint(advice.LARGE_ENOUGH, 500)
    counts = {"most": most, "half": -(-most // 2), "third": -(-most // 3), "few": dice.randint(0, (most - 1) // 3),
              "fewer": 0}
    names = list(counts)
    dice.shuffle(names)
    found = advice.small_classes({name: counts[name] for name in names})
    assert {hint.class_name for hint in found} == {"few", "fewer"}
    assert [counts[hint.class_name] for hint in found if hint.class_name] == sorted(counts[name] for name in ("few", "fewer"))
    most = dice.randint(1, advice.LARGE_ENOUGH - 1)
    assert advice.small_classes({"most": most, "few": 0}) == [], "nobody has begun yet"


def test_small_classes_of_none() -> None:
    assert advice.small_classes({}) == [] and advice.small_classes({"only": 200}) == []


def test_images_that_nearly_all_look_the_same() -> None:
    still = [picture(1, 1.5, random.uniform(0.97, 1.03)) for _ in range(30)]
    varied = [picture(number) for number in range(30)]
    assert [hint.params["name"] for hint in advice.same_pose("cat", seen("cat", still))] == ["cat"]
    assert advice.same_pose("cat", seen("cat", varied)) == []
    assert advice.same_pose("cat", seen("cat", still[:10] + varied[:10])) == [], "half of them are others"
    assert advice.same_pose("cat", seen("cat", still + varied[:5])), "a few others are too few"
    assert advice.same_pose("cat", seen("cat", still[:advice.SAME_FEWEST - 1])) == [], "too early to say"


def test_nearly_the_same_image_in_two_classes() -> None:
    one, other = [picture(number) for number in range(20)], [picture(100 + number) for number in range(20)]
    assert advice.twins({"cat": seen("cat", one), "cup": seen("cup", other), "empty": []}) == []
    found = advice.twins({"cat": seen("cat", one), "cup": seen("cup", [*other, picture(7, 1.0, 1.02)])})
    assert [hint.images for hint in found] == [("cat/0007.jpg", "cup/0020.jpg")]
    assert (found[0].params["first"], found[0].params["second"]) == ("cat", "cup")


def test_one_cell_that_is_another_keeps_two_images_apart() -> None:
    look = picture(3)
    cells = bytearray(look.signature)
    cells[50] += 40 if cells[50] < 128 else -40
    other = replace(look, signature=bytes(cells))
    assert Album([look]).distances(Album([other]))[0, 0] < advice.TWINS, "as a whole they are alike"
    assert advice.twins({"cat": seen("cat", [look]), "cup": seen("cup", [other])}) == []


def test_black_paper_is_not_white_paper_and_red_is_not_blue() -> None:
    def plain(luma: int, red: int, blue: int) -> Look:
        cells = CELLS[0] * CELLS[1]
        return replace(GOOD, signature=bytes([luma] * cells + [red] * cells + [blue] * cells))

    grey = [plain(60, 128, 128), plain(61, 128, 128), plain(220, 128, 128), plain(60, 150, 128), plain(60, 128, 150)]
    apart = Album(grey).distances(Album(grey))[0]
    assert apart[1] < advice.TWINS and all(apart[2:] > advice.SAME_POSE)


def test_a_fault_of_many_images_is_said_of_the_class() -> None:
    looks = [replace(picture(number), lit=40 if number < 12 else 180) for number in range(40)]
    assert [(hint.code, hint.params["count"], hint.params["total"]) for hint in advice.of_images({"cat": seen("cat", looks)},
            {"cat": 40})] == [("hint.dark.images", 12, 40)]
    assert advice.of_images({"cat": seen("cat", looks[8:])}, {"cat": 32}) == []


def test_thousands_of_images_are_compared_in_moments() -> None:
    classes = {f"class {number}": seen(f"class {number}", [picture(1000 * number + one) for one in range(100)])
               for number in range(20)}
    assert advice.of_images(classes, {name: len(images) for name, images in classes.items()}) == []


def test_first_shows_each_kind_before_a_second_of_one() -> None:
    found = [Hint("a", {"n": 1}), Hint("a", {"n": 2}), Hint("b"), Hint("c")]
    assert advice.first(found) == [found[0], found[2]]
    assert advice.first(found[:2]) == found[:2] and advice.first([]) == []


def test_a_look_survives_json() -> None:
    for look in (GOOD, replace(GOOD, width=None, streak=None)):
        assert Look.from_json(look.to_json()) == look
    with pytest.raises(ValueError):
        Look.from_json({**GOOD.to_json(), "signature": "AAAA"})
