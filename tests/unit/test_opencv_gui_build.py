"""An installed opencv-python, which brings Qt libraries of its own, does not keep the window from opening.

See doc/design/opencv.md. Everything runs in processes of its own: Qt aborts the process in which it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

OPEN_A_WINDOW = """
from PyQt5.QtWidgets import QApplication, QLabel
application = QApplication(["test"])
label = QLabel("ai_nano")
label.show()
application.processEvents()
print(application.platformName(), label.isVisible())
"""
READ_A_FRAME = """
import sys
print(cv2.__file__)
capture = cv2.VideoCapture(sys.argv[1])
ok, frame = capture.read()
print(ok, frame.shape, int(frame[0, 0, 0]))
"""


@pytest.fixture(scope="module")
def opencv_python(request: pytest.FixtureRequest) -> Path:
    """A folder with opencv-python, as near as possible to the installed headless version; kept between runs."""
    headless = version("opencv-python-headless")
    kept = request.config.cache.mkdir(f"opencv-python-{headless}-{sys.version_info[0]}.{sys.version_info[1]}")
    folder = kept / "packages"
    if not folder.is_dir():
        unfinished = kept / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        install += ["--disable-pip-version-check", "--target", str(unfinished), f"opencv-python<={headless}"]
        done = subprocess.run(install, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        unfinished.rename(folder)
    return folder


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual X display, whose number the server chooses."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with open(read, encoding="ascii") as answer:
        number = answer.readline().strip()
    try:
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """A folder of images as OpenCV names it, each one filled with one grey."""
    for number, grey in enumerate((40, 80), start=1):
        assert cv2.imwrite(str(tmp_path / f"{number:02d}.png"), np.full((48, 64, 3), grey, np.uint8))
    return str(tmp_path / "%02d.png")


def run(code: str, packages: Path, display: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    environment.update(PYTHONPATH=os.pathsep.join([str(packages), str(ROOT)]), DISPLAY=display, QT_QPA_PLATFORM="xcb")
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_plain_import_of_opencv_python_keeps_qt_from_starting(opencv_python: Path, display: str) -> None:
    """The reason for load_cv2: should this test fail one day, load_cv2 has become unnecessary."""
    done = run("import cv2" + OPEN_A_WINDOW, opencv_python, display)
    assert done.returncode != 0
    assert 'Could not load the Qt platform plugin "xcb"' in done.stderr


def test_the_window_opens_and_the_camera_reads_with_opencv_python(
    opencv_python: Path, display: str, pictures: str
) -> None:
    code = "from ai_nano.cameras import load_cv2\ncv2 = load_cv2()" + OPEN_A_WINDOW + READ_A_FRAME
    done = run(code, opencv_python, display, pictures)
    assert done.returncode == 0, done.stderr
    window, module, frame = done.stdout.splitlines()
    assert window == "xcb True"
    assert Path(module).is_relative_to(opencv_python)
    assert frame == "True (48, 64, 3) 40"


def test_what_the_user_set_stays(opencv_python: Path, display: str) -> None:
    """Somebody may point Qt at plugins of their own; load_cv2 takes back only what OpenCV did."""
    code = """
import os
os.environ["QT_QPA_FONTDIR"] = "/somewhere/fonts"
from ai_nano.cameras import load_cv2
load_cv2()
print(os.environ.get("QT_QPA_FONTDIR"), os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH"))
"""
    done = run(code, opencv_python, display)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "/somewhere/fonts None"
