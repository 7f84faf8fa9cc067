"""Cameras as the classroom has them: a network stream that is unplugged while it records, and comes back."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_nano.cameras import open_camera
from ai_nano.cameras.preview import Preview
from ai_nano.cameras.shared import SharedCameras
from ai_nano.core.errors import BadInput, CameraError
from ai_nano.core.ports import Bitmap, CameraOptions
from ai_nano.demo.classroom import Process, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    process = Process("ai_nano.demo.stage", ["--record", str(tmp_path / "stage.jsonl"), "--seed", "1"], tmp_path / "stage.log")
    yield Stage(process.ready["port"], tmp_path / "stage.jsonl")
    process.stop()


def ai_nano(folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", "ai_nano", "--json", *words], cwd=folder, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_camera_unplugged_while_recording(stage: Stage, tmp_path: Path) -> None:
    with ai_nano(tmp_path, "new", "w", "--classes", "cat,dog", "--camera", stage.camera("laptop")) as process:
        process.communicate(timeout=30)
    stage.show("laptop", "cat", "record", 0)
    with ai_nano(tmp_path, "record", "w", "--class", "cat", "--count", "1000", "--fps", "20") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "progress" and event["done"] >= 10:
                break
        stage.plug("laptop", False)
        out, errors = process.communicate(timeout=60)
    error = json.loads(out.splitlines()[-1])["error"]
    assert (process.returncode, error["code"]) == (3, "camera.lost") and "Traceback" not in errors
    saved = list((tmp_path / "w" / "images" / "cat").iterdir())
    assert len(saved) >= 10 and all(path.read_bytes().endswith(b"\xff\xd9") for path in saved)
    notes = (tmp_path / "w" / ".ai_nano" / "takes.jsonl").read_text().splitlines()
    assert len(notes) == len(saved)

    with ai_nano(tmp_path, "record", "w", "--class", "cat", "--count", "5") as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 3 and json.loads(out.splitlines()[-1])["error"]["code"] == "camera.missing"
    assert errors == "", "FFmpeg's words beside ours"

    stage.plug("laptop", True)
    with ai_nano(tmp_path, "record", "w", "--class", "cat", "--count", "5") as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out.splitlines()[-1])["saved"] == 5
    assert len(list((tmp_path / "w" / "images" / "cat").iterdir())) == len(saved) + 5


def test_a_preview_sees_a_camera_go_and_takes_it_again(stage: Stage) -> None:
    shown: list[Bitmap] = []
    told: list[str | None] = []
    cameras = SharedCameras(lambda uri, options: open_camera(uri, None, options))
    preview = Preview(lambda uri: cameras.open(uri, CameraOptions(rotate=90)), stage.camera("laptop"), (400, 400), shown.append,
                      lambda news: told.append(news.code if news is not None else None))
    preview.start()
    wait_until(lambda: len(shown) > 5)
    assert (shown[0].width, shown[0].height) == (225, 400), "turned"
    stage.plug("laptop", False)
    wait_until(lambda: told == [None, "camera.lost"])
    stage.plug("laptop", True)
    before = len(shown)
    wait_until(lambda: told == [None, "camera.lost", None] and len(shown) > before + 5)
    preview.stop()
    preview.join(10)
    cameras.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("uri", "error"), [
    ("webcam:98", CameraError), ("v4l2:///dev/video98", CameraError), ("file:///nowhere/clip.mp4", CameraError),
    ("http://127.0.0.1:9/x.mjpg", CameraError), ("webcam", BadInput), ("/dev/video0", BadInput), ("", BadInput),
    ("nano://nano1", BadInput), ("file:///etc/hostname", CameraError),
])
def test_cameras_that_are_none(uri: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_camera(uri)
