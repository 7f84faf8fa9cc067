"""A window at step 2 with a camera whose frames are counted: what was due can be compared with what was saved."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy
from furnished import DoubleLab, window_on
from user import User

from ai_nano.cameras.shared import SharedCameras
from ai_nano.core.errors import CameraError
from ai_nano.core.ports import Frame
from ai_nano.core.project.workspace import Workspace
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.pages.record import RecordPage

FPS = 30
SIZE = (320, 180)


class Plug:
    there = True


class CountedCamera:
    """A live camera: `frames` has the unix time of each frame that it gave, also to earlier ones of its kind."""

    uri = "counted:camera"

    def __init__(self, frames: list[float], plug: Plug) -> None:
        self._frames = frames
        self._plug = plug
        self._due = time.monotonic()
        self._closed = threading.Event()

    def read(self) -> Frame:
        self._due = max(self._due + 1 / FPS, time.monotonic())
        self._closed.wait(self._due - time.monotonic())
        if not self._plug.there:
            raise CameraError("camera.lost", uri=self.uri)
        t = time.time()
        image = numpy.full((SIZE[1], SIZE[0], 3), 60, numpy.uint8)
        number = len(self._frames)
        cv2.circle(image, (20 + number * 7 % (SIZE[0] - 40), 90), 30, (60, 180, 230), -1)
        cv2.putText(image, str(number), (10, 170), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        self._frames.append(t)
        return Frame(image, t)

    def close(self) -> None:
        self._closed.set()


class Studio:
    """`frames` as of the camera; `page` is shown."""

    def __init__(self, shown: MainWindow, workspace: Workspace, frames: list[float], plug: Plug) -> None:
        self.window, self.workspace, self.frames = shown, workspace, frames
        self._plug = plug
        page = shown.page
        assert isinstance(page, RecordPage)
        self.page = page

    @property
    def unplugged(self) -> bool:
        return not self._plug.there

    @unplugged.setter
    def unplugged(self, value: bool) -> None:
        self._plug.there = not value

    def times(self, class_name: str) -> list[float]:
        """Of the images that were saved, by takes.jsonl."""
        return [image.t for image in self.workspace.images(class_name)]

    def takes(self, class_name: str) -> set[str]:
        return {image.take for image in self.workspace.images(class_name)}

    def wait_until_idle(self, user: User) -> None:
        wait_for(user, lambda: not self.window.session.running_steps and self.page._takes.now is None)


def wait_for(user: User, condition: object, timeout: float = 30.0) -> None:
    """Until the condition, a function without arguments, holds."""
    assert callable(condition)
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        user.wait(0.02)


@contextmanager
def studio(folder: Path, classes: Sequence[str] = ("mug", "box", "nothing"), size: tuple[int, int] = (1280, 800),
           theme: str = "light", language: str = "en") -> Iterator[Studio]:
    frames: list[float] = []
    plug = Plug()
    lab = DoubleLab(folder / "room")
    lab.config = replace(lab.config, camera=CountedCamera.uri)
    cameras = SharedCameras(lambda *asked: CountedCamera(frames, plug))
    lab.open_camera = cameras.open  # type: ignore[method-assign]
    lab.close = cameras.close  # type: ignore[method-assign]
    workspace = Workspace.create(folder / "project", list(classes))
    with window_on(workspace, lab, folder, size, theme, language) as made:
        made.show_page("record")
        yield Studio(made, workspace, frames, plug)
