"""The demo's verdict: it must catch a wrong pin, a wrong class, darkness and a missing witness."""

from typing import Any

import pytest

from ai_nano.core.events import Prediction
from ai_nano.demo.verdict import SETTLE_S, Verdict, judge, lit_share, showings

PINS = {"cat": 12, "coffee": 16}
CLASSES = ("cat", "coffee", "nothing")


def record(*cards: str | None) -> list[dict[str, Any]]:
    """A card every 10 s, from t = 100."""
    return [{"t": 100.0 + 10 * number, "camera": "nano", "phase": "show", "show": card} for number, card in enumerate(cards)]


def leds(*lit: tuple[int, ...]) -> list[dict[str, Any]]:
    """The pins lit from 0.1 s after each change of the card."""
    written: list[dict[str, Any]] = [{"t": 90.0, "pin": pin, "on": False} for pin in (12, 16)]
    before: tuple[int, ...] = ()
    for number, pins in enumerate(lit):
        t = 100.1 + 10 * number
        written += [{"t": t, "pin": pin, "on": False} for pin in before if pin not in pins]
        written += [{"t": t, "pin": pin, "on": True} for pin in pins if pin not in before]
        before = pins
    return written


def seen(*names: str, frames: int = 150) -> list[Prediction]:
    made = []
    for number, name in enumerate(names):
        for frame in range(frames):
            t = 100.0 + 10 * number + frame * 10 / frames
            probabilities = {one: 0.8 if one == name else 0.1 for one in CLASSES}
            made.append(Prediction("nano1", frame, t, name, CLASSES.index(name), 0.8, probabilities, ()))
    return made


def judged(pins: list[tuple[int, ...]], names: tuple[str, ...] = ("cat", "coffee", "nothing")) -> Verdict:
    return judge(record("cat", "coffee", None, "cat"), leds(*pins), seen(*names), PINS)


def test_right_is_right() -> None:
    verdict = judged([(12,), (16,), ()])
    assert verdict.leds_agree and verdict.accurate and verdict.accuracy == 1.0 and verdict.led_share == pytest.approx(1.0)
    assert [row.showing.card for row in verdict.rows] == ["cat", "coffee", "nothing"]
    assert verdict.frames == pytest.approx(3 * 150 * (10 - SETTLE_S) / 10, abs=3)
    assert verdict.confusion(CLASSES) == [[142, 0, 0], [0, 142, 0], [0, 0, 142]]


@pytest.mark.parametrize("pins", [
    [(16,), (12,), ()],  # two labels swapped
    [(12,), (16,), (18,)],  # lit before the empty stage
    [(12,), (12, 16), ()],  # one too many
    [(12,), (), ()],  # dark
    [(), (), ()],
])
def test_wrong_leds_are_caught(pins: list[tuple[int, ...]]) -> None:
    assert not judged(pins).leds_agree


def test_wrong_classes_are_caught_though_the_leds_agree() -> None:
    verdict = judged([(12,), (16,), ()], ("coffee", "cat", "nothing"))
    assert verdict.leds_agree and not verdict.accurate and verdict.accuracy == pytest.approx(1 / 3)


def test_without_a_witness_nothing_agrees() -> None:
    verdict = judge(record(None, None), [], seen("nothing"), PINS)
    assert len(verdict.rows) == 1 and not verdict.leds_agree
    assert not judge([], leds((12,)), [], PINS).leds_agree


def test_too_few_frames_prove_nothing() -> None:
    verdict = judge(record("cat", "coffee"), leds((12,)), seen("cat", frames=50), PINS)
    assert verdict.leds_agree and verdict.accuracy == 1.0 and not verdict.accurate


def test_only_the_nanos_camera_in_the_final_showing_counts() -> None:
    lines = record("cat", "coffee", None)
    lines[0]["camera"] = "laptop"
    lines[1]["phase"] = "record"
    assert showings(lines) == []


@pytest.mark.parametrize(("start", "end", "share"), [
    (100.1, 110.1, 1.0), (95.0, 105.2, 0.5), (110.1, 120.1, 0.0), (105.1, 115.1, 0.5)])
def test_shares_of_time(start: float, end: float, share: float) -> None:
    assert lit_share(leds((12,), (16,)), frozenset({12}), start, end) == pytest.approx(share, abs=0.01)
