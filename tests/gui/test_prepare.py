"""A machine prepared from the page of the machines: for real on the embedded Nano, and every way that it can end."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PyQt5.QtWidgets import QApplication
from rooms import opening, window
from user import User
from watchdog import Watchdog

from ai_nano.core import provisioned
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Detached, WorkFailed
from ai_nano.core.events import Listener, Log, Progress
from ai_nano.demo.classroom import Classroom
from ai_nano.gui import prepare_dialog
from ai_nano.steps.provision import Outcome, ProvisionOptions

pytestmark = pytest.mark.timeout(120)

RESULT = {"v": 1, "type": "result", "done": [{"code": "installed", "params": {"packages": ["torch", "numpy"]}}],
          "needs": [{"code": "groups", "params": {"groups": ["video", "gpio"], "unknown": []}},
                    {"code": "power", "params": {"systemctl": "/bin/systemctl"}}, {"code": "linger", "params": {}}],
          "wants": None, "dry_run": False, "python": "3.11.2", "environment": "/home/nano/ai_nano/venv", "packages": {}}


class Machine:
    """Stands in for lab.prepare_machines: says what it is told, and ends as the test says."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.options: list[ProvisionOptions] = []
        self.ends: list[str] = []

    def __call__(self, room: Any, options: ProvisionOptions, ask: Any, emit: Listener, cancel: CancelToken,
                 folder: Path) -> Outcome:
        self.options.append(options)
        emit(Log("provision.asks_registry", machine="DL"))
        emit(Progress("provision", 3, 6, "steps", None, "provision.step.packages"))
        emit(Progress("provision", 4, 11, "packages", None, "provision.installing"))
        for line in range(2000):
            emit(Log("", level="output", machine="DL", raw=f"Collecting package-{line}"))
        while not self.go_on.wait(0.02):
            if cancel.detached:
                self.ends.append("detached")
                raise Detached()
            cancel.check()
        if self.error is not None:
            raise self.error
        return Outcome((provisioned.read(RESULT, "DL", "nano"),), {})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setattr(prepare_dialog, "prepare_machines", made)
    yield made
    made.go_on.set()


def open_dialog(user: User) -> None:
    user.click("Fill in a form")
    user.fill("Address", "10.0.0.2")
    user.fill("Login", "nano")
    user.click("Prepare…")
    user.wait_for("Nothing has been done yet.")


def test_how_far_it_is_and_what_needs_root(tmp_path: Path, machine: Machine, qapp: QApplication) -> None:
    with window(opening(tmp_path)), User() as user, Watchdog():
        open_dialog(user)
        user.click("This computer brings the packages")
        user.click("Prepare", nth=1)
        user.wait_for("Packages installed: 4 of 11 packages", 20)
        assert not machine.options[0].registry and machine.options[0].machines == ("DL",)
        machine.go_on.set()
        user.wait_for(re.compile(r"^DL is prepared\."), 20)
        user.click("Copy")
        copied = qapp.clipboard().text()
        assert "sudo usermod --append --groups video,gpio nano" in copied and "enable-linger nano" in copied
        user.click("Close")


def test_what_failed_is_said_and_it_can_be_tried_again(tmp_path: Path, machine: Machine) -> None:
    machine.error = WorkFailed("provision.disk_full", machine="DL", path="/home/nano/ai_nano")
    machine.go_on.set()
    with window(opening(tmp_path)), User() as user:
        open_dialog(user)
        user.click("Prepare", nth=1)
        user.wait_for("The disk of DL is full.", 20)
        machine.error = None
        user.click("Prepare", nth=1)
        user.wait_for(re.compile(r"^DL is prepared\."), 20)


def test_stopping_and_closing_are_two_things(tmp_path: Path, machine: Machine) -> None:
    with window(opening(tmp_path)), User() as user:
        open_dialog(user)
        user.click("Prepare", nth=1)
        user.wait_for("Packages installed: 4 of 11 packages", 20)
        user.click("Stop")
        user.wait_for("Stopped. What is done stays; prepare it again, and it goes on.", 20)
        user.click("Prepare", nth=1)
        user.wait_for("Packages installed: 4 of 11 packages", 20)
        user.click("Close")
        user.wait_for("The machines of the room")
    assert machine.ends == ["detached"]


def test_a_nano_of_the_embedded_classroom(tmp_path: Path) -> None:
    """Its programs arrive, its folders are there, and nothing is asked of the computer that stands in for it."""
    with Classroom(tmp_path / "classroom") as classroom:
        nano = replace(classroom.config.filled_nanos[0], engine="tensorrt")
        with window(opening(tmp_path)), User() as user:
            user.click("Fill in a form")
            user.click("nano1", nth=1)
            user.fill("Address", nano.host)
            user.fill("Port", str(nano.port))
            user.fill("Login", nano.login)
            user.fill("Password", str(nano.password))
            user.click("Prepare…")
            user.click("Prepare", nth=1)
            user.click("Yes, it is", timeout=20)
            user.wait_for(re.compile(r"^nano1 is prepared\."), 30)
        assert (classroom.folder / "nano1" / "ai_nano" / "models").is_dir()
