"""The instructor's pages in a room of doubles that is as full as a lesson makes it, for make screenshots."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import full_room
from furnished import DoubleLab, furnished_window
from user import User

from ai_nano.core import provisioned
from ai_nano.core.cancel import CancelToken
from ai_nano.core.doctor.findings import FAILURE, LAPTOP, OK, WARNING, Finding, Mend, Tell
from ai_nano.core.events import Listener, Log, Progress
from ai_nano.gui import prepare_dialog
from ai_nano.gui.main_window import MainWindow
from ai_nano.steps.provision import Outcome

NANOS = tuple(f"nano{number}" for number in range(1, 10))
PREPARED = {
    "v": 1, "type": "result", "dry_run": False, "python": "3.6.9", "environment": "/home/nano/ai_nano/venv", "packages": {},
    "done": [{"code": "installed", "params": {"packages": ["numpy", "opencv-python-headless", "onnxruntime"]}}],
    "needs": [{"code": "groups", "params": {"groups": ["video", "gpio"], "unknown": []}}, {"code": "linger", "params": {}}],
    "wants": None,
}
FOUND = {
    LAPTOP: [Finding(LAPTOP, "python", OK, None, "3.11.2"), Finding(LAPTOP, "disk", OK, None, "68.1 GB / 270.6 GB")],
    "DL": [Finding("DL", "reach", OK, None, "10.0.0.2:22"), Finding("DL", "round_trip", OK, None, "2 ms"),
           Finding("DL", "torch", OK, None, "2.13.0"), Finding("DL", "cuda", OK, None, "NVIDIA RTX 4000, 20.0 GB")],
    "nano1": [
        Finding("nano1", "reach", OK, None, "10.0.0.11:22"), Finding("nano1", "round_trip", OK, None, "3 ms"),
        Finding("nano1", "jetpack", OK, None, "JetPack 4.6.1, Jetson Linux 32.7.1"),
        Finding("nano1", "gpio", FAILURE, "doctor.gpio.group", "", {"login": "nano"},
                (Mend("sudo groupadd -f -r gpio && sudo usermod -aG gpio nano", "nano1"),)),
        Finding("nano1", "swap", WARNING, "doctor.swap.none", "0 MB", {"total": 3956}, (Mend(
            "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile",
            "nano1"),))],
}


class Camera(Protocol):
    def take(self, step: str, show: Callable[[], AbstractContextManager[object]] = ...) -> None: ...


def examine(name: str, tell: Tell, deep: bool = False) -> None:
    for finding in FOUND.get(name, [Finding(name, "reach", OK, None, "10.0.0.12:22")]):
        tell(finding)


def furnish(lab: DoubleLab, folder: Path) -> None:
    nanos = lab.with_nanos(folder, *NANOS)
    lab.config = replace(lab.config, student="teacher@desk")
    lab.server.works = full_room.server_works()
    for number, nano in enumerate(nanos.values(), 1):
        nano.works = full_room.nano_works(number)
    nanos[NANOS[-1]].room = full_room.away  # type: ignore[method-assign]
    lab.examine = examine  # type: ignore[attr-defined]
    lab.server.things = [thing("ada@lab1", "animals", 1, 54_100_000), thing("ada@lab1", "animals", 2, 54_300_000),
                         thing("bob@lab2", "mugs", 1, 20_700_000), thing("chloé@lab3", "fruit", 1, 31_000_000)]
    nanos["nano1"].things = [thing("ada@lab1", "animals", 2, 18_600_000)]


def thing(student: str, project: str, number: int, size: int) -> dict[str, Any]:
    owner = {"student": student, "project": project, "workspace": f"{abs(hash(student)):016x}"[:16], "laptop": "lab1"}
    return {"kind": "model", "name": f"{student.partition('@')[0]}-{project}-{number:03d}", "owner": owner, "files": 603,
            "bytes": size, "age_s": 86400.0, "used_by": []}


def prepare(room: Any, options: Any, ask: Any, emit: Listener, cancel: CancelToken, folder: Path) -> Outcome:
    """As far as the packages, and through."""
    emit(Log("provision.asks_registry", machine="nano1"))
    emit(Progress("provision", 11, 11, "packages", None, "provision.installing"))
    return Outcome((provisioned.read(PREPARED, "nano1", "nano"),), {})


@contextmanager
def cleaning(window: MainWindow, user: User) -> Iterator[None]:
    """The dialog on what the whole room keeps."""
    window.main_menu.clean_up()
    dialog = window.main_menu._cleaning
    assert dialog is not None
    user.wait(0.4)
    dialog._whose.setCurrentIndex(dialog._whose.count() - 1)
    yield
    dialog.reject()
    user.wait(0.1)


@contextmanager
def preparing(window: MainWindow, user: User) -> Iterator[None]:
    """The dialog when a Nano is prepared but for what needs root."""
    window.page.prepare.click()  # type: ignore[attr-defined]
    user.wait(0.2)
    dialog = window.findChildren(prepare_dialog.PrepareDialog)[-1]
    dialog.start.click()
    user.wait(0.6)
    yield
    dialog.close()
    user.wait(0.1)


def take_room(camera_of: Callable[[MainWindow, User], Camera], folder: Path) -> None:
    with furnished_window(folder) as (window, lab), User() as user, \
            mock.patch.object(prepare_dialog, "prepare_machines", prepare):
        furnish(lab, folder)
        camera = camera_of(window, user)
        window.show_page("room")
        user.wait_for("ada@lab1")
        user.wait_for(re.compile("nano9 .*cannot be reached"))
        camera.take("room")
        camera.take("clean", lambda: cleaning(window, user))
        window.show_page("doctor")
        window.page.machineList.setCurrentRow(2)  # type: ignore[attr-defined]
        user.wait_for(re.compile("nano may not switch the LEDs"))
        camera.take("doctor")
        window.show_page("machines")
        window.page.machineList.setCurrentRow(1)  # type: ignore[attr-defined]
        user.fill("Address", "10.0.0.11")
        user.fill("Login", "nano")
        camera.take("prepare", lambda: preparing(window, user))
