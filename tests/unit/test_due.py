"""Which frames of a camera are due, at 10 and at 30 a second."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_nano.core.recording.due import CATCH_UP_S, DueFrames

SECONDS = 60


def camera(fps: float, jitter_s: float = 0.0, seconds: float = SECONDS, seed: int = 0) -> Iterator[float]:
    """Times of its frames, each by up to `jitter_s` too early or late, in order."""
    chance, t = random.Random(seed), 1e9
    for number in range(round(seconds * fps)):
        t = max(t, 1e9 + number / fps + chance.uniform(-jitter_s, jitter_s))
        yield t


def due(times: Iterator[float], fps: float) -> list[float]:
    rule = DueFrames(fps)
    return [t for t in times if rule.is_due(t)]


@pytest.mark.parametrize("jitter_s", [0.0, 0.008, 0.015])
@pytest.mark.parametrize("gives", [15.0, 24.0, 25.0, 29.97, 30.0, 30.03, 60.0])
def test_ten_a_second_are_ten_in_each_second(gives: float, jitter_s: float) -> None:
    taken = due(camera(gives, jitter_s), 10)
    assert len(taken) in (10 * SECONDS, 10 * SECONDS + 1)
    for second in range(SECONDS - 1):
        assert sum(second <= t - 1e9 - 0.05 < second + 1 for t in taken) in (9, 10, 11)
    gaps = [later - earlier for earlier, later in zip(taken, taken[1:], strict=False)]
    assert max(gaps) < 0.101 + 1 / gives + 2 * jitter_s


@pytest.mark.parametrize("jitter_s", [0.0, 0.008, 0.015])
@pytest.mark.parametrize("gives", [15.0, 25.0, 29.97, 30.0])
def test_every_frame_is_due_where_the_camera_gives_no_more_than_is_asked(gives: float, jitter_s: float) -> None:
    times = list(camera(gives, jitter_s))
    assert due(iter(times), 30) == times


def test_thirty_of_a_faster_camera_are_thirty() -> None:
    assert len(due(camera(60.0, 0.003), 30)) == pytest.approx(30 * SECONDS, abs=1)
    assert len(due(camera(30.3, 0.003), 30)) == pytest.approx(30 * SECONDS, abs=2)


def test_frames_that_come_all_at_once_are_due_as_if_in_time() -> None:
    """Five that a network held back for a sixth of a second."""
    times = [0.0, 1 / 30, 2 / 30, *(7 / 30 + number * 0.002 for number in range(5)), 8 / 30, 9 / 30]
    assert due(iter(times), 30) == times


def test_a_pause_is_not_followed_by_a_burst() -> None:
    times = [*(number / 30 for number in range(30)), *(5 + number / 30 for number in range(60))]
    after = [t for t in due(iter(times), 10) if t >= 5]
    assert 20 <= len(after) <= 23 and after[-10:] == pytest.approx([6.0 + number / 10 for number in range(10)], abs=0.04)


def test_a_clock_that_is_set_back_does_not_end_the_recording() -> None:
    times = [*(1000 + number / 30 for number in range(30)), *(400 + number / 30 for number in range(30))]
    assert len(due(iter(times), 10)) == 20


def test_due_times_that_nobody_took_in_time_are_counted() -> None:
    rule = DueFrames(10)
    assert rule.is_due(0.0) and not rule.is_due(1 / 30)
    # 0.1, 0.2 and 0.3 went by in the 9 frames that were lost; 0.4 is due.
    assert rule.is_due(0.4, missed=10) and rule.passed_over == 3
    assert not rule.is_due(0.45) and rule.is_due(0.5) and rule.passed_over == 3
    assert not rule.is_due(0.54, missed=1) and rule.passed_over == 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.floats(1, 60))
def test_never_more_than_were_asked_for(gaps: list[float], fps: float) -> None:
    times = [sum(gaps[:count]) for count in range(len(gaps))]
    taken = due(iter(times), fps)
    assert taken[0] == times[0]
    # The first one, what is made up for, and one that comes early.
    assert len(taken) <= (times[-1] - times[0] + DueFrames(fps).early + max(CATCH_UP_S, 1 / fps)) * fps + 2
