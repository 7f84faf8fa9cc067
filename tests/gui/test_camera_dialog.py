"""The camera of a project by the window's menu, and what the page says of a camera that is not well; it is a stand-in."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
from furnished import DoubleLab, furnished_window
from PyQt5.QtWidgets import QComboBox
from user import User

from ai_nano.cameras.listing import CameraList, CameraName
from ai_nano.cameras.turned import turned
from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.ports import Camera, CameraOptions, Frame
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.pages import project
from ai_nano.gui.widgets import camera_panel
from ai_nano.steps.record import RecordOptions

pytestmark = pytest.mark.timeout(120)

BY_ID = "v4l2:///dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_8B2F6E0F-video-index0"
BUILT_IN = CameraName("webcam:0", "Built-in camera")
C920 = CameraName("webcam:2", "HD Pro Webcam C920", BY_ID)


class Desk:
    """A camera that shows red above and blue below, and what may happen to it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, CameraOptions]] = []
        self.trouble: AiNanoError | None = None
        self.light = 200
        self.hangs = False
        self.plugged = [BUILT_IN]

    def open_camera(self, uri: str, options: CameraOptions | None = None) -> Camera:
        assert options is not None
        self.asked.append((uri, options))
        if self.trouble is not None:
            raise self.trouble
        return turned(_OnDesk(self, uri), options.rotate)


class _OnDesk:
    def __init__(self, desk: Desk, uri: str) -> None:
        self.uri = uri
        self._desk = desk
        self._closed = False

    def read(self) -> Frame:
        time.sleep(0.03)
        while self._desk.hangs and not self._closed:
            time.sleep(0.02)
        if self._desk.trouble is not None:
            raise CameraError("camera.lost", uri=self.uri)
        image = numpy.zeros((360, 640, 3), numpy.uint8)
        image[:180, :, 2] = image[180:, :, 0] = self._desk.light
        return Frame(image, time.time())

    def close(self) -> None:
        self._closed = True


@contextmanager
def recording_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[MainWindow, Desk, User]]:
    desk = Desk()

    def opens(self: DoubleLab, uri: str, options: CameraOptions | None = None) -> Camera:
        return desk.open_camera(uri, options)

    monkeypatch.setattr("ai_nano.cameras.listing.LOOK_S", 0.1)
    monkeypatch.setattr(camera_panel, "CameraList", functools.partial(CameraList, look=lambda: list(desk.plugged)))
    monkeypatch.setattr(DoubleLab, "open_camera", opens)
    with furnished_window(folder) as (window, _lab), User() as user:
        window.show_page("record")
        user.wait_for("2 · Record images")
        yield window, desk, user


def test_the_camera_is_chosen_and_turned_from_the_menu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording_page(tmp_path, monkeypatch) as (window, desk, user):
        workspace = window.session.workspace
        assert workspace is not None
        user.wait_until_gone("Opening the camera…")
        window.main_menu.choose_camera()
        user.wait_for("Camera of this project")
        panel = window.findChildren(camera_panel.CameraPanel)[0]
        user.choose("Turn", "To the right (90°)")
        user.wait(0.5)
        assert workspace.settings["camera_options"] == {"rotate": 90}
        assert desk.asked[-1] == ("webcam:0", CameraOptions(rotate=90))
        user.choose("Size of the pictures", "640 × 480")
        user.click("View as in a mirror")
        user.wait(0.5)
        assert workspace.settings["camera_options"] == {"width": 640, "height": 480, "rotate": 90, "mirror": True}
        asked = len(desk.asked)
        desk.plugged.append(C920)
        user.wait(0.5)
        user.choose("Camera", "HD Pro Webcam C920", inside="Size of the pictures")
        user.wait(0.5)
        assert workspace.settings["camera"] == BY_ID and desk.asked[-1] == (BY_ID, CameraOptions(640, 480, rotate=90))
        assert len(desk.asked) == asked + 1, "a mirror needs no camera opened anew"
        desk.plugged.remove(C920)
        user.wait_for(BY_ID)
        user.choose("Camera", "Camera of nano2", inside="Size of the pictures")
        user.wait(0.3)
        assert desk.asked[-1] == ("nano://nano2", CameraOptions(rotate=90)), "no size can be asked of it"
        entries = panel.findChildren(QComboBox)[0]
        entries.setCurrentIndex(entries.count() - 1)
        entries.activated.emit(entries.count() - 1)
        user.fill(re.compile("^Address of the camera"), "http://127.0.0.1:9/x.mjpg")
        user.click("Use it")
        user.wait(0.3)
        assert workspace.settings["camera"] == "http://127.0.0.1:9/x.mjpg"


def test_what_is_the_matter_with_a_camera_stands_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.cameras.manner.WINDOW_S", 0.4)
    monkeypatch.setattr("ai_nano.gui.cameras.STILL_S", 1.0)
    monkeypatch.setattr("ai_nano.cameras.preview.AGAIN_S", 0.1)
    with recording_page(tmp_path, monkeypatch) as (_window, desk, user):
        user.wait_until_gone("Opening the camera…")
        desk.light = 1
        user.wait_for("The picture is black. Is the camera's cover closed? Open it, or make light.")
        desk.light = 200
        user.wait_until_gone("The picture is black. Is the camera's cover closed? Open it, or make light.")
        desk.hangs = True
        user.wait_for(re.compile("^No picture has come for . s. Check the camera's cable or its network."))
        desk.hangs = False
        user.wait_until_gone(re.compile("^No picture has come"))
        desk.trouble = CameraError("camera.missing", uri="webcam:0")
        user.wait_for("The camera webcam:0 stopped sending images.")
        user.wait(0.5)
        assert user.sees("The camera webcam:0 stopped sending images."), "that it is missing now says less"
        desk.trouble = CameraError("camera.busy_with", uri="webcam:0", program="cheese (4242)")
        user.wait_for("The camera webcam:0 is in use.")
        user.wait_for("Another program has it open: cheese (4242). Close that program. The picture comes by itself as soon as "
                      "the camera is free.")
        desk.trouble = None
        user.wait_until_gone("The camera webcam:0 is in use.")


def test_a_window_that_stalls_loses_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording_page(tmp_path, monkeypatch) as (window, _desk, user):
        session = window.session
        assert session.workspace is not None
        user.wait_until_gone("Opening the camera…")
        session.start("record", RecordOptions("cat", count=150, fps=30))
        user.wait(0.5)
        before = time.time()
        time.sleep(2.0)
        after = time.time()
        user.wait_for("Done: 198 images", 60)
        facts = session.workspace.receipts["record"].facts
        assert (facts["saved"], facts["missed"]) == (150, 0)
        taken = [image.t for image in session.workspace.images("cat") if image.take == facts["take"]]
        assert len(taken) == 150 and sum(before < t < after for t in taken) > 5


def test_a_camera_that_is_plugged_in_appears_at_step_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr("ai_nano.cameras.listing.LOOK_S", 0.1)
    monkeypatch.setattr(project, "list_cameras", lambda: list(desk.plugged))
    monkeypatch.setattr(project, "CameraList", functools.partial(CameraList, look=lambda: list(desk.plugged)))
    monkeypatch.setattr(DoubleLab, "open_camera", lambda self, uri, options=None: desk.open_camera(uri, options))
    with furnished_window(tmp_path) as (window, _lab), User() as user:
        window.show_page("project")
        user.click("Look again")
        user.choose("Camera", "Built-in camera")
        desk.plugged.append(C920)
        user.wait(0.5)
        user.choose("Camera", "HD Pro Webcam C920")
        user.wait(0.3)
        assert desk.asked[-1][0] == BY_ID
        desk.plugged.remove(C920)
        user.wait(0.5)
        page = window.page
        assert isinstance(page, project.ProjectPage) and page.camera_uri == BY_ID, "what was chosen stays chosen"
