"""A webcam: what is asked of it, and why it gives no pictures.

OpenCV's capture is a stand-in; device files and the programs that hold them are real.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy
import pytest

from ai_nano.cameras import devices
from ai_nano.cameras.webcam import Webcam
from ai_nano.core.errors import CameraError
from ai_nano.core.ports import CameraOptions


class StandInCapture:
    """In the place of cv2.VideoCapture. `frames` None: it does not open."""

    def __init__(self, frames: int | None = 100, stamp_ms: float = 0.0) -> None:
        self.asked: dict[int, float] = {}
        self.opened_with: tuple[Any, ...] = ()
        self.released = False
        self._frames = frames
        self._stamp_ms = stamp_ms

    def __call__(self, *words: Any) -> "StandInCapture":
        self.opened_with = words
        return self

    def isOpened(self) -> bool:
        return self._frames is not None

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return True

    def get(self, prop: int) -> float:
        return self._stamp_ms if prop == cv2.CAP_PROP_POS_MSEC else 0.0

    def read(self) -> tuple[bool, Any]:
        self._frames = (self._frames or 0) - 1
        return (True, numpy.zeros((4, 4, 3), numpy.uint8)) if self._frames >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "video0").touch()
    return tmp_path / "video0"


def open_webcam(capture: StandInCapture, device: Path, options: CameraOptions | None = None) -> Webcam:
    names = {name: getattr(cv2, name) for name in dir(cv2) if name.startswith(("CAP_", "VideoWriter_fourcc"))}
    return Webcam(SimpleNamespace(**names, VideoCapture=capture), "webcam:0", str(device), options)


def test_it_asks_for_size_and_rate(device: Path) -> None:
    usual, chosen = StandInCapture(), StandInCapture()
    open_webcam(usual, device)
    open_webcam(chosen, device, CameraOptions(640, 480, 15.0, rotate=90))
    sizes = [tuple(one.asked[prop] for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS))
             for one in (usual, chosen)]
    assert sizes == [(1280, 720, 30), (640, 480, 15.0)]
    assert usual.opened_with == (str(device), cv2.CAP_V4L2) or sys.platform != "linux"


@pytest.mark.parametrize("age_s", [0.05, 0.5])
def test_a_frames_time_is_the_drivers(device: Path, age_s: float) -> None:
    camera = open_webcam(StandInCapture(stamp_ms=(time.monotonic() - age_s) * 1000), device)
    expected = time.time() - age_s
    assert camera.read().t == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("age_s", [100.0, -50.0])
def test_a_stamp_that_cannot_be_is_not_believed(device: Path, age_s: float) -> None:
    camera = open_webcam(StandInCapture(stamp_ms=(time.monotonic() - age_s) * 1000), device)
    before = time.time()
    assert before <= camera.read().t <= time.time()


def test_why_it_gives_no_pictures(device: Path) -> None:
    with pytest.raises(CameraError) as caught:
        open_webcam(StandInCapture(), device.with_name("video7"))
    assert caught.value.code == "camera.missing"
    unopened = StandInCapture(frames=None)
    with pytest.raises(CameraError) as caught:
        open_webcam(unopened, device)
    assert caught.value.code == "camera.busy" and unopened.released
    with pytest.raises(CameraError) as caught:
        open_webcam(StandInCapture(frames=0), device).read()
    assert caught.value.code == "camera.busy", "some drivers let a second program in, and give it nothing"
    camera = open_webcam(StandInCapture(frames=1), device)
    camera.read()
    with pytest.raises(CameraError) as caught:
        camera.read()
    assert caught.value.code == "camera.lost"


def test_who_has_it_is_named(device: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1]); f = open(sys.argv[1]); print(flush=True); "
                                                 "sys.stdin.read()", str(device)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        link = device.with_name("by-id")
        link.symlink_to(device)
        with pytest.raises(CameraError) as caught:
            open_webcam(StandInCapture(frames=None), link)
        process.stdin.close()
        process.wait(10)
    assert caught.value.code == "camera.busy_with" and str(process.pid) in str(caught.value.params["program"])
    assert f"({process.pid})" in caught.value.why
    assert devices.holder(str(device)) == ""


NOBODY = """
import os, sys
from ai_nano.cameras import devices
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(devices.may_open(sys.argv[1]))
"""


@pytest.mark.root
@pytest.mark.parametrize(("mode", "may"), [(0o660, "False"), (0o666, "True")])
def test_who_is_not_in_the_group_may_not(mode: int, may: str) -> None:
    """The folder is one that everybody may look into."""
    device = Path("/tmp") / f"ai_nano-test-{os.getpid()}-{mode:o}"
    device.touch()
    try:
        device.chmod(mode)
        path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run([sys.executable, "-c", NOBODY, str(device)], capture_output=True, text=True, timeout=30,
                              env={**os.environ, "PYTHONPATH": path})
    finally:
        device.unlink()
    assert done.stdout.strip() == may, done.stderr


def test_what_may_not_be_opened_says_so(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "may_open", lambda path: False)
    with pytest.raises(CameraError) as caught:
        open_webcam(StandInCapture(), device)
    assert caught.value.code == "camera.forbidden" and str(device) in caught.value.why and "usermod" in caught.value.hint


@pytest.mark.parametrize(("uri", "path"), [
    ("webcam:3", "/dev/video3"), ("v4l2:///dev/v4l/by-id/usb-A%20B-video-index0", "/dev/v4l/by-id/usb-A B-video-index0"),
    ("v4l2:///etc/passwd", None), ("http://here/x.mjpg", None), ("webcam:x", None),
])
def test_which_device_a_uri_means(uri: str, path: str | None) -> None:
    assert devices.device_path(uri) == path


def test_links_lead_to_the_same_camera(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = device.with_name("link")
    link.symlink_to(device)
    monkeypatch.setattr(devices, "device_path", lambda uri: str(device) if uri == "webcam:0" else str(link))
    assert devices.same_camera("webcam:0") == devices.same_camera("v4l2:///dev/v4l/by-id/x")
