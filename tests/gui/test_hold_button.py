"""The button that is held, and the keys of the recording page, by themselves."""

from __future__ import annotations

import pytest
from PyQt5.QtCore import Qt
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication

from ai_nano.gui.widgets.hold_button import HoldButton
from ai_nano.gui.widgets.record_keys import FRENCH_ROW, _digit


@pytest.fixture
def told(qapp: QApplication) -> tuple[HoldButton, list[str]]:
    button, heard = HoldButton(), list[str]()
    button.held.connect(lambda: heard.append("held"))
    button.let_go.connect(lambda: heard.append("let go"))
    button.clicked.connect(lambda: heard.append("clicked"))
    button.show()
    return button, heard


def test_it_is_held_until_the_mouse_comes_up(told: tuple[HoldButton, list[str]]) -> None:
    button, heard = told
    QTest.mousePress(button, Qt.LeftButton)
    assert heard == ["held"] and button.isDown()
    QTest.mouseMove(button, button.rect().bottomRight() * 3)
    assert heard == ["held"], "a hand that slips off does not let go"
    QTest.mouseRelease(button, Qt.LeftButton)
    assert heard == ["held", "let go"] and not button.isDown()


@pytest.mark.parametrize("end", ["disabled", "hidden"])
def test_a_button_that_goes_away_is_let_go(told: tuple[HoldButton, list[str]], end: str) -> None:
    """Nobody would hear of the mouse coming up."""
    button, heard = told
    QTest.mousePress(button, Qt.LeftButton)
    if end == "disabled":
        button.setEnabled(False)
    else:
        button.hide()
    assert heard == ["held", "let go"]


def test_other_buttons_of_the_mouse_do_nothing(told: tuple[HoldButton, list[str]]) -> None:
    button, heard = told
    QTest.mouseClick(button, Qt.RightButton)
    assert heard == []


def test_who_cannot_hold_clicks(told: tuple[HoldButton, list[str]]) -> None:
    """As a screen reader does it."""
    button, heard = told
    button.click()
    assert heard == ["clicked"]


def test_digits_of_two_keyboards() -> None:
    assert [_digit(key, 0) for key in range(Qt.Key_1, Qt.Key_9 + 1)] == list(range(1, 10))
    assert [_digit(key, 0) for key in FRENCH_ROW] == list(range(1, 10))
    assert _digit(Qt.Key_3, int(Qt.ShiftModifier)) == 3
    assert _digit(Qt.Key_3, int(Qt.ControlModifier)) == _digit(Qt.Key_0, 0) == _digit(Qt.Key_A, 0) == 0
