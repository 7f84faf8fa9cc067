"""Hints in the window: they come and go with the picture and with the images, and stop nobody."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from furnished import DoubleLab, furnished_window
from PyQt5.QtWidgets import QLabel
from user import User

from ai_nano.core.errors import CameraError
from ai_nano.core.hints.advice import Hint
from ai_nano.core.ports import Frame
from ai_nano.demo.stage_scene import Scene
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.widgets.hint_box import HintBox

Shown = tuple[MainWindow, DoubleLab, User]

DARK, BRIGHT = "The picture is too dark.", "The picture is too bright."


class Webcam:
    """Gives `frame` thirty times a second, until it is closed or unplugged."""

    uri = "webcam:0"

    def __init__(self, frame: np.ndarray) -> None:
        self.frame = frame
        self.plugged = True
        self._closed = threading.Event()

    def read(self) -> Frame:
        if self._closed.wait(1 / 30) or not self.plugged:
            raise CameraError("camera.lost", uri=self.uri)
        return Frame(self.frame, time.time())

    def close(self) -> None:
        self._closed.set()


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return Scene(3, "record", 0, "cat").frame(10)


@pytest.fixture
def shown(tmp_path: Path, scene: np.ndarray) -> Iterator[Shown]:
    with furnished_window(tmp_path, size=(1024, 700)) as (made, lab), User() as user:
        lab._camera = Webcam(scene)
        yield made, lab, user


def box(made: MainWindow) -> HintBox:
    found = next(one for one in made.findChildren(HintBox) if one.isVisible())
    return found


def test_a_hint_comes_and_goes_with_the_light(shown: Shown, scene: np.ndarray) -> None:
    made, lab, user = shown
    made.show_page("record")
    user.wait(1.5)
    assert not any(one.isVisible() for one in made.findChildren(HintBox))
    lab._camera.frame = scene // 8
    user.wait_for(DARK, 10)
    user.wait_for("Turn on a light, or go nearer to the window.")
    lab._camera.frame = np.full_like(scene, 255)
    user.wait_for(BRIGHT, 10)
    user.wait_until_gone(DARK, 10)
    made.main_menu.choose_language("fr")
    user.wait_for("L'image est trop claire.", 5)
    made.main_menu.choose_language("en")
    lab._camera.frame = scene
    user.wait_until_gone(BRIGHT, 10)


def test_a_camera_that_is_gone_says_nothing_of_the_light(shown: Shown, scene: np.ndarray) -> None:
    made, lab, user = shown
    lab._camera.frame = scene // 8
    made.show_page("record")
    user.wait_for(DARK, 10)
    lab._camera.plugged = False
    user.wait_until_gone(DARK, 10)


def test_images_that_are_in_two_classes_are_shown(shown: Shown) -> None:
    made, _, user = shown
    workspace = made.session.workspace
    assert workspace is not None
    made.show_page("record")
    user.wait(1.0)
    assert not any(one.isVisible() for one in made.findChildren(HintBox))
    twin = workspace.image_folder("coffee") / "twin.jpg"
    shutil.copy(workspace.image_paths("cat")[3], twin)
    made.session.refresh()
    user.wait_for("cat and coffee have nearly the same images.", 15)
    pictures = [label for label in box(made).findChildren(QLabel) if label.isVisible() and label.pixmap() is not None]
    assert len([one for one in pictures if one.pixmap().width() > 60]) == 2
    twin.unlink()
    made.session.refresh()
    user.wait_until_gone("cat and coffee have nearly the same images.", 15)


def test_a_recording_that_stands_still_is_told_after_it(shown: Shown, scene: np.ndarray,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    made, lab, user = shown
    workspace = made.session.workspace
    assert workspace is not None
    for path in workspace.image_paths("cat"):
        path.unlink()
    monkeypatch.setattr(lab, "open_camera", lambda uri, options=None: Webcam(scene))
    made.show_page("record")
    user.click("Start", inside="cat")
    deadline = time.monotonic() + 60
    while workspace.count("cat") < 35 and time.monotonic() < deadline:
        user.wait(0.2)
    assert not any(one.isVisible() for one in made.findChildren(HintBox)), "not while it is recorded"
    user.click("Stop", inside="cat")
    user.wait_for("The images of cat nearly all look the same.", 20)
    user.wait_for("Record more: turn it, move it nearer and farther, and go to another place.")


def test_of_a_class_that_is_recorded_nothing_old_is_said(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    made, lab, user = shown
    workspace = made.session.workspace
    assert workspace is not None
    for number, path in enumerate(workspace.image_paths("coffee")):
        if number:
            path.unlink()
    first = workspace.image_paths("cat")[0]
    for number in range(60):
        (workspace.image_folder("cat") / f"more-{number:03d}.jpg").write_bytes(first.read_bytes())
    told = re.compile("^coffee has far fewer images")
    made.session.refresh()
    made.show_page("record")
    user.wait_for(told, 20)
    user.click("Start", inside="coffee")
    user.wait_until_gone(told, 10)
    user.click("Stop", inside="coffee")
    user.wait_for(told, 20)
    for path in workspace.image_paths("coffee"):
        path.unlink()
    made.session.refresh()
    user.wait_until_gone(told, 20)


def test_two_hints_at_most(qtbot: object) -> None:
    made = HintBox()
    made.show_hints([Hint("hint.dark"), Hint("hint.blurred"), Hint("hint.bright")])
    assert not made.isHidden()
    texts = [label.text() for label in made.findChildren(QLabel) if not label.parentWidget().isHidden()]
    assert DARK in texts and "The picture is blurred." in texts and BRIGHT not in texts
    made.show_hints([])
    assert made.isHidden()
    made.deleteLater()
