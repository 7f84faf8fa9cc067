"""The doctor's page: a state for each machine, what is wrong with its mend, the command copied; nobody waits for a slow one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from furnished import DoubleLab, furnished_window
from PyQt5.QtWidgets import QApplication, QLineEdit
from user import User

from ai_nano.core import texts
from ai_nano.core.doctor.findings import FAILURE, LAPTOP, OK, WARNING, Finding, Mend, Tell
from ai_nano.gui.main_window import MainWindow

pytestmark = pytest.mark.timeout(120)

GROUP = Mend("sudo usermod -aG gpio nano", "nano1")
WRONG = [
    Finding("nano1", "swap", WARNING, "doctor.swap.none", "0 MB", {"total": 3956}, (Mend("sudo swapon /swapfile", "nano1"),)),
    Finding("nano1", "gpio", FAILURE, "doctor.gpio.group", "", {"login": "nano"}, (GROUP,)),
    Finding("nano1", "jetpack", OK, None, "JetPack 4.6.1, Jetson Linux 32.7.1"),
]

Shown = tuple[MainWindow, DoubleLab, User, threading.Event]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """nano2 does not answer before the event is set; the deep look of nano1 finds one thing more."""
    go_on = threading.Event()
    with furnished_window(tmp_path) as (window, lab), User() as user:
        lab.found = list(WRONG)  # type: ignore[attr-defined]

        def examine(name: str, tell: Tell, deep: bool = False) -> None:
            if name == "nano2":
                assert go_on.wait(60)
            elif name == "nano1" and deep:
                tell(Finding(name, "deep_camera", OK, None, "1280 x 720"))
            elif name == "nano1":
                for finding in lab.found:  # type: ignore[attr-defined]
                    tell(finding)
            else:
                tell(Finding(name, "disk" if name == LAPTOP else "torch", OK, None, "68.1 GB / 270.6 GB"))

        lab.examine = examine  # type: ignore[attr-defined]
        yield window, lab, user, go_on
        go_on.set()


def commands(window: MainWindow) -> list[str]:
    return [line.text() for line in window.page.findChildren(QLineEdit)]  # type: ignore[attr-defined]


def choose(shown: Shown, row: int) -> None:
    shown[0].page.machineList.setCurrentRow(row)  # type: ignore[attr-defined]


def test_what_is_wrong_is_seen_while_another_machine_is_still_asked(shown: Shown) -> None:
    window, lab, user, go_on = shown
    window.show_page("machines")
    user.click("Check the room")
    user.wait_for("All fine: 1 checks.")
    choose(shown, 2)
    user.wait_for(re.compile("nano may not switch the LEDs"))
    assert user.sees("1 not working, 1 to look at, of 3 checks") and user.sees("as administrator on nano1:")
    assert user.sees("JetPack 4.6.1, Jetson Linux 32.7.1")
    assert commands(window) == ["sudo usermod -aG gpio nano", "sudo swapon /swapfile"], "the failure comes first"
    user.click("Copy the command", nth=1)
    assert QApplication.clipboard().text() == GROUP.command and user.sees("Copied")
    choose(shown, 3)
    user.wait_for("nano2 is being asked…")
    assert not window.page.again.isEnabled()  # type: ignore[attr-defined]
    go_on.set()
    user.wait_for("Nothing has been checked yet.")
    assert window.page.again.isEnabled()  # type: ignore[attr-defined]


def test_once_mended_it_is_green_and_a_deep_look_adds_to_it(shown: Shown) -> None:
    window, lab, user, go_on = shown
    go_on.set()
    window.show_page("doctor")
    choose(shown, 2)
    user.wait_for(re.compile("nano may not switch the LEDs"))
    lab.found = [WRONG[2]]  # type: ignore[attr-defined]
    user.click("Check again")
    user.wait_for("All fine: 1 checks.")
    assert commands(window) == []
    user.click("Deep check")
    user.wait_for("1280 x 720")
    texts.set_language("fr")
    window.page.retranslate()  # type: ignore[attr-defined]
    user.wait_for("Tout va bien : 2 contrôles.")


def test_leaving_the_page_waits_for_nobody(shown: Shown) -> None:
    window, _lab, user, go_on = shown
    window.show_page("doctor")
    user.wait_for("All fine: 1 checks.")
    window.show_page("train")
    go_on.set()
    user.wait(0.3)
    window.show_page("doctor")
    user.wait_for("All fine: 1 checks.")
