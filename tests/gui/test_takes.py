"""The order of takes, with a step that ends when the test says so."""

from __future__ import annotations

import pytest
from PyQt5.QtWidgets import QApplication
from user import User

from ai_nano.core.errors import CameraError, Cancelled
from ai_nano.gui import takes
from ai_nano.gui.takes import BURST, CLICK, HOLD, Take, Takes


class Step:
    """`told`: what was asked of it, in order."""

    def __init__(self, qapp: QApplication) -> None:
        self.told: list[tuple[str, str]] = []
        self.refuses = False
        self.takes = Takes(self._begin, lambda: self.told.append(("end", "")))

    def _begin(self, take: Take) -> bool:
        if not self.refuses:
            self.told.append((take.kind, take.class_name))
        return not self.refuses

    @property
    def now(self) -> tuple[str, str] | None:
        take = self.takes.now
        return (take.kind, take.class_name) if take is not None else None


@pytest.fixture
def step(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setattr(takes, "SHORTEST_S", 0.0)
    return Step(qapp)


def test_held_and_let_go(step: Step) -> None:
    step.takes.hold("a")
    assert step.now == (HOLD, "a")
    step.takes.let_go()
    step.takes.let_go()
    assert step.told == [(HOLD, "a"), ("end", "")] and step.now is None
    step.takes.over(None)
    assert len(step.told) == 2


def test_a_press_while_the_last_one_ends_is_kept(step: Step) -> None:
    step.takes.hold("a")
    step.takes.let_go()
    step.takes.hold("b")
    assert step.told == [(HOLD, "a"), ("end", "")]
    step.takes.over(None)
    assert step.now == (HOLD, "b")
    step.takes.let_go()
    assert step.told[2:] == [(HOLD, "b"), ("end", "")]


def test_a_tap_while_the_last_one_ends_is_recorded_too(step: Step) -> None:
    step.takes.hold("a")
    step.takes.let_go()
    step.takes.hold("a")
    step.takes.let_go()
    step.takes.over(None)
    assert step.told == [(HOLD, "a"), ("end", ""), (HOLD, "a"), ("end", "")]


def test_many_quick_taps_are_as_many_takes(step: Step) -> None:
    """They come all at once where the computer is busy."""
    for _ in range(4):
        step.takes.hold("a")
        step.takes.let_go()
    for _ in range(4):
        step.takes.over(None)
    assert step.told == [(HOLD, "a"), ("end", "")] * 4 and step.now is None


def test_a_hold_after_taps_is_held(step: Step) -> None:
    for name in ("a", "b"):
        step.takes.hold(name)
        step.takes.let_go()
    step.takes.hold("c")
    step.takes.over(None)
    assert step.told[2:] == [(HOLD, "b"), ("end", "")]
    step.takes.over(None)
    assert step.now == (HOLD, "c")


def test_a_tap_lasts_a_moment(qapp: QApplication, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step(qapp)
    monkeypatch.setattr(takes, "SHORTEST_S", 0.2)
    step.takes.hold("a")
    step.takes.let_go()
    assert step.told == [(HOLD, "a")]
    user.wait(0.4)
    assert step.told == [(HOLD, "a"), ("end", "")]


def test_start_stop_and_another_class(step: Step) -> None:
    step.takes.toggle("a")
    step.takes.let_go()  # of a key that has nothing to do with it
    assert step.now == (CLICK, "a")
    step.takes.toggle("b")
    step.takes.over(None)
    assert step.now == (CLICK, "b")
    step.takes.toggle("b")
    step.takes.over(None)
    assert step.told == [(CLICK, "a"), ("end", ""), (CLICK, "b"), ("end", "")]


def test_after_an_error_nothing_is_begun(step: Step) -> None:
    step.takes.hold("a")
    step.takes.hold("b")
    step.takes.over(CameraError("camera.lost", uri="webcam:0"))
    assert step.now is None and step.told == [(HOLD, "a"), ("end", "")]
    step.takes.burst("a", 0)
    step.takes.toggle("b")
    step.takes.over(Cancelled())
    assert step.now == (CLICK, "b"), "a burst that was stopped is no error"


def test_a_burst_counts_down(step: Step, user: User) -> None:
    seconds: list[int] = []
    step.takes.counted.connect(seconds.append)
    step.takes.burst("a", 2)
    assert step.takes.counting is not None and step.told == []
    user.wait(2.3)
    assert seconds == [2, 1, 0] and step.told == [(BURST, "a")] and step.takes.counting is None
    step.takes.burst("a", 2)
    assert step.told[1:] == [("end", "")], "the same button ends it"


@pytest.mark.parametrize("end", ["burst", "toggle", "stop", "hold"])
def test_a_countdown_can_be_ended(step: Step, user: User, end: str) -> None:
    step.takes.burst("a", 1)
    if end == "burst":
        step.takes.burst("a", 1)
    elif end == "stop":
        step.takes.stop()
    else:
        getattr(step.takes, end)("a")
    assert step.takes.counting is None
    user.wait(1.2)
    assert step.told == ([(HOLD, "a")] if end == "hold" else [])


def test_a_step_that_does_not_start_leaves_nothing_behind(step: Step) -> None:
    step.refuses = True
    step.takes.hold("a")
    assert step.now is None
    step.refuses = False
    step.takes.hold("a")
    assert step.now == (HOLD, "a")


def test_stop_forgets_what_waits(step: Step) -> None:
    step.takes.hold("a")
    step.takes.hold("b")
    step.takes.stop()
    step.takes.over(None)
    assert step.now is None and step.told == [(HOLD, "a"), ("end", "")]
