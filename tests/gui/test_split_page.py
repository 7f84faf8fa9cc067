"""Step 3 in the window: the bars, why it split so, where it flatters; and the lesson, with a double of its trainings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from furnished import CLASSES, DoubleLab, furnished_window
from user import User

from ai_nano.core import texts
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MissingPrerequisite
from ai_nano.core.events import Listener, Log, Progress
from ai_nano.core.split.lesson import LessonOptions, LessonResult, Outcome
from ai_nano.gui.main_window import MainWindow

pytestmark = pytest.mark.timeout(120)

Shown = tuple[MainWindow, DoubleLab, User]


class DoubleLesson:
    """Records and trains until `go_on` is set; then its figures are there, or its error."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = 0
        self.cancelled = 0
        self.error: MissingPrerequisite | None = None

    def __call__(self, options: LessonOptions, emit: Listener, cancel: CancelToken) -> LessonResult:
        self.begun += 1
        emit(Progress("lesson", 1, 9, "steps", what="lesson.training"))
        while not self.go_on.wait(0.01):
            if cancel.cancelled:
                self.cancelled += 1
                raise Cancelled()
        if self.error is not None:
            raise self.error
        emit(Log("lesson.trained", {"round": 1, "rounds": 1, "strategy": "Shuffled", "promised": "100.0 %", "real": "71.0 %"}))
        outcomes = (Outcome("random", 0, 1.0, 0.712, 35, 180), Outcome("blocks", 0, 0.743, 0.704, 60, 180))
        return LessonResult(outcomes, CLASSES, 6, 12, 40.0)


@pytest.fixture
def lesson() -> DoubleLesson:
    return DoubleLesson()


@pytest.fixture
def shown(tmp_path: Path, lesson: DoubleLesson) -> Iterator[Shown]:
    with furnished_window(tmp_path) as (window, lab), User() as user:
        window.opening = replace(window.opening, lesson=lesson)
        window.show_page("split")
        yield window, lab, user
        lesson.go_on.set()


def test_the_page_says_how_it_split_and_what_to_think_of_it(shown: Shown) -> None:
    window, _, user = shown
    user.wait_for("3 · Split into train, val and test")
    user.click("Split")
    user.wait_for(re.compile("^There are too few recordings"), 20)
    user.wait_for(re.compile("^(Nearly all images look the same|Val or test has fewer than 5 images)"))
    assert user.sees("pieces of recordings")
    texts.set_language("fr")
    window.retranslate()
    user.wait_for(re.compile("^Il y a trop peu d'enregistrements"))
    assert user.sees("des morceaux d'enregistrements")
    texts.set_language("en")
    window.retranslate()
    assert window.session.workspace is not None
    receipt = window.session.workspace.done("split")
    assert receipt is not None and receipt.facts["why"]


def test_a_shuffle_is_another_split_and_called_flattering(shown: Shown) -> None:
    window, _, user = shown
    user.click("Split")
    user.wait_for("pieces of recordings", 20)
    user.choose("How", "Shuffled (flatters accuracy)")
    user.click("Split")
    user.wait_for(re.compile("^The images were shuffled"), 20)
    assert user.sees("shuffled images") and not user.sees("pieces of recordings")


def test_the_lesson_shows_what_each_split_promises_and_keeps(shown: Shown, lesson: DoubleLesson) -> None:
    window, _, user = shown
    user.click("Why not shuffle?")
    user.wait_for(re.compile("^Two networks learn from the same recordings"))
    user.click("Try both")
    user.wait_for("A network learns…")
    lesson.go_on.set()
    user.wait_for(re.compile("^Shuffled, the test promises 100.0 %, and new recordings give 71.2 %"))
    assert user.sees("70.4 %") and user.sees("Recordings kept together")
    user.click("Back")
    user.wait_for("3 · Split into train, val and test")
    user.click("Why not shuffle?")
    assert user.sees(re.compile("^Shuffled, the test promises")) and lesson.begun == 1


def test_the_lesson_is_cancelled_and_says_what_is_missing(shown: Shown, lesson: DoubleLesson) -> None:
    window, _, user = shown
    user.click("Why not shuffle?")
    user.click("Try both")
    user.wait_for("A network learns…")
    user.click("Cancel")
    user.wait_until_gone("A network learns…", 20)
    assert lesson.cancelled == 1 and not user.sees(re.compile("cannot train"))
    lesson.error = MissingPrerequisite("lesson.missing", libraries=["torch"])
    lesson.go_on.set()
    user.click("Try both")
    user.wait_for("The lesson cannot train on this computer.")
    assert user.sees(re.compile(re.escape('pip install "ai-nano[demo]"')))


def test_a_window_that_is_closed_ends_the_lesson(tmp_path: Path, lesson: DoubleLesson) -> None:
    with furnished_window(tmp_path) as (window, _), User() as user:
        window.opening = replace(window.opening, lesson=lesson)
        window.show_page("lesson")
        user.click("Try both")
        user.wait_for("A network learns…")
    assert lesson.cancelled == 1
