"""decision.py: which class is shown, with noise, with change, and while somebody moves the threshold."""

import math
import random

import nano_programs  # noqa: F401
import pytest

from jetson_nano.decision import NOTHING, Decision, Settings, changed, completed, wrong


def shown(settings: Settings, frames: list[list[float]], step_s: float = 1 / 30) -> list[int]:
    decision = Decision(settings)
    return [decision.look(frame, number * step_s) for number, frame in enumerate(frames)]


def changes(seen: list[int]) -> int:
    return sum(before != after for before, after in zip(seen, seen[1:], strict=False))


def test_without_smoothing_and_hysteresis_each_frame_stands_alone() -> None:
    frames = [[0.9, 0.1], [0.59, 0.41], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]
    assert shown(Settings(0.6), frames) == [0, NOTHING, 0, 1, NOTHING]


def test_hysteresis_keeps_what_is_shown_and_shows_nothing_sooner() -> None:
    frames = [[0.55, 0.45], [0.62, 0.38], [0.55, 0.45], [0.51, 0.49], [0.49, 0.51], [0.55, 0.45]]
    assert shown(Settings(0.6, hysteresis=0.1), frames) == [NOTHING, 0, 0, 0, NOTHING, NOTHING]


def test_a_class_that_is_ahead_takes_over_in_its_frame() -> None:
    """An LED changes in the frame that caused it."""
    assert shown(Settings(0.6, hysteresis=0.3), [[0.9, 0.1], [0.36, 0.64], [0.1, 0.9]]) == [0, 0, 1]
    assert shown(Settings(0.6, hysteresis=0.1), [[0.9, 0.1], [0.1, 0.9]]) == [0, 1]


def test_below_a_half_two_classes_do_not_take_turns() -> None:
    frames = [[0.42, 0.40, 0.18], [0.40, 0.42, 0.18]] * 10
    assert changes(shown(Settings(0.3), frames)) == 19
    assert changes(shown(Settings(0.3, hysteresis=0.1), frames)) == 0


def test_noise_around_the_threshold_does_not_flicker() -> None:
    noise = random.Random(6)
    frames = []
    for _ in range(600):
        value = min(1.0, max(0.0, noise.gauss(0.62, 0.06)))
        frames.append([value, 1 - value])
    assert changes(shown(Settings(0.6), frames)) > 100
    assert changes(shown(Settings(0.6, hysteresis=0.1, smoothing_s=0.2), frames)) == 0


@pytest.mark.parametrize("fps", [5, 30, 90])
def test_smoothing_is_a_time_not_a_number_of_frames(fps: int) -> None:
    """A step from 0 to 1 reaches 0.6 after smoothing_s * ln(1 / 0.4), at any frame rate, to within a frame."""
    decision = Decision(Settings(0.6, smoothing_s=0.5))
    decision.look([0.0, 1.0], 0.0)
    at = 0.0
    while decision.look([1.0, 0.0], at) != 0:
        at += 1 / fps
    assert at - 1 / fps <= 0.5 * math.log(1 / 0.4) <= at + 1e-9


def test_a_first_frame_counts_whole_and_a_gap_is_forgotten() -> None:
    decision = Decision(Settings(0.6, hysteresis=0.2, smoothing_s=10))
    assert decision.look([0.9, 0.1], 0.0) == 0
    assert decision.look([0.1, 0.9], 0.1) == 0
    decision.forget()
    assert decision.look([0.1, 0.9], 0.2) == 1
    assert decision.mean == [0.1, 0.9]


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    decision = Decision(Settings(0.6, smoothing_s=1))
    decision.look([1.0, 0.0], 100.0)
    decision.look([0.0, 1.0], 50.0)
    assert decision.mean == [1.0, 0.0]


def test_settings_may_change_between_two_frames() -> None:
    decision = Decision(Settings(0.6))
    assert decision.look([0.5, 0.5], 0) == NOTHING
    decision.settings = changed(decision.settings, {"type": "set", "threshold": 0.4, "hysteresis": "much", "smoothing_s": -1})
    assert decision.settings == Settings(0.4)
    assert decision.look([0.5, 0.5], 1) == 0
    assert changed(decision.settings, {"smoothing_s": 2, "hysteresis": 0.25}) == Settings(0.4, 0.25, 2.0)


@pytest.mark.parametrize(("params", "name"), [
    ({"threshold": 0.6}, None), ({"threshold": 0.6, "hysteresis": None}, None), ({"threshold": 7}, "threshold"),
    ({"threshold": 0.6, "hysteresis": True}, "hysteresis"), ({"smoothing_s": float("nan")}, "smoothing_s")])
def test_a_setting_that_makes_no_sense_is_named(params: dict[str, object], name: str | None) -> None:
    assert wrong(params) == name


def test_what_an_engine_does_not_tell_shares_the_rest() -> None:
    assert completed([None, 0.7, None]) == pytest.approx([0.15, 0.7, 0.15])
    assert completed([0.2, 0.8]) == [0.2, 0.8]
    assert completed([None, 1.1]) == [0.0, 1.1]


def test_a_hysteresis_as_large_as_the_threshold_lets_go_all_the_same() -> None:
    assert shown(Settings(0.5, hysteresis=1.0), [[1.0, 0.0], [0.0, 0.0]]) == [0, NOTHING]


def test_no_classes_show_nothing() -> None:
    assert shown(Settings(0.0), [[], []]) == [NOTHING, NOTHING]
