"""Cameras as the classroom has them: a network stream that is unplugged while it records, and comes back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_nano.cameras import open_camera
from ai_nano.core.errors import BadInput, CameraError
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


@pytest.mark.parametrize(("uri", "error"), [
    ("webcam:98", CameraError), ("v4l2:///dev/video98", CameraError), ("file:///nowhere/clip.mp4", CameraError),
    ("http://127.0.0.1:9/x.mjpg", CameraError), ("webcam", BadInput), ("/dev/video0", BadInput), ("", BadInput),
    ("nano://nano1", BadInput), ("file:///etc/hostname", CameraError),
])
def test_cameras_that_are_none(uri: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_camera(uri)
