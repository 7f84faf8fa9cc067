"""The watchdog over the window's thread, on a window of plain widgets."""

from __future__ import annotations

import time
from pathlib import Path

from plain import Window
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import (
    QApplication,
    QLabel,
)
from user import User
from watchdog import Watchdog


def test_watchdog_finds_a_stall_and_where_it_was(window: Window, qapp: QApplication) -> None:
    def stall_of_this_test() -> None:
        time.sleep(0.1)

    button = window.button("Work")
    button.clicked.connect(stall_of_this_test)
    window.add(button)
    window.show()
    with Watchdog() as dog, User(watchdog=dog) as user:
        user.click("Work")
        time.sleep(0.1)  # in the test, not in the window
        user.wait(0.05)
    long = [stall for stall in dog.report().stalls if "stall_of_this_test" in stall.stack]
    assert len(long) == 1 and 0.08 < long[0].seconds < 0.5
    assert dog.report().longest_s >= long[0].seconds
    assert not any("in the test" in stall.stack for stall in dog.report().stalls)


def test_watchdog_finds_nothing_in_an_idle_window(window: Window, qapp: QApplication) -> None:
    window.add(QLabel("idle"))
    window.show()
    with Watchdog() as dog, User(watchdog=dog) as user:
        user.wait_for("idle")
        user.wait(0.5)
    report = dog.report()
    assert report.seconds > 0.4
    # Others may take the machine away for a moment: then the GUI thread did not compute.
    assert [stall for stall in report.stalls if stall.cpu_s > 0.05] == []


def test_each_test_is_a_new_user(home: Path, qapp: QApplication) -> None:
    assert qapp.platformName() == "xcb"
    assert Path.home() == home and list((home / ".config").iterdir()) == []
    assert QFontDatabase().families(), "no font is installed: every letter would be an empty box"
