"""`nano://nano1` in the embedded classroom: recorded with, lost, out of reach, and in use."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.ports import Camera
from ai_nano.demo.classroom import Classroom
from ai_nano.lab import Lab, build_lab

URI = "nano://nano1"


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    with Classroom(tmp_path_factory.mktemp("room") / "classroom") as made:
        yield made


@pytest.fixture
def lab(room: Classroom, tmp_path: Path) -> Iterator[Lab]:
    lab = build_lab(room.config, Nobody(), tmp_path / "config")
    yield lab
    lab.close()


def looking(lab: Lab) -> list[str]:
    return [str(run["id"]) for run in lab.nano("nano1").jobs() if run["state"] == "running"]


def error_of(camera: Camera) -> AiNanoError:
    """What ends the reading; frames that come before it are passed over."""
    with pytest.raises(AiNanoError) as error:
        while True:
            camera.read()
    return error.value


def test_images_are_recorded_with_it(room: Classroom, lab: Lab, tmp_path: Path) -> None:
    room.stage.show("nano", "cat", "record", 0)
    words = [sys.executable, "-m", "ai_nano", "--config", str(room.config_file), "--json"]
    for more in (["new", "w", "--classes", "cat,dog", "--camera", URI], ["record", "w", "--class", "cat", "--count", "6"]):
        done = subprocess.run([*words, *more], cwd=tmp_path, text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    images = sorted((tmp_path / "w" / "images" / "cat").iterdir())
    notes = [json.loads(line) for line in (tmp_path / "w" / ".ai_nano" / "takes.jsonl").read_text().splitlines()]
    assert len(images) == len(notes) == 6
    pixels = cv2.imread(str(images[0]))
    assert pixels is not None and pixels.shape == (720, 1280, 3)
    assert {(note["camera"], note["width"], note["height"]) for note in notes} == {(URI, 1280, 720)}
    assert all(abs(note["t"] - time.time()) < 600 for note in notes)
    assert looking(lab) == []


def test_one_program_serves_preview_and_recording_and_ends_with_the_last(lab: Lab) -> None:
    taps = [lab.open_camera(URI) for _ in range(2)]
    for tap in taps:
        assert tap.read().image.shape == (720, 1280, 3)
    assert len(looking(lab)) == 1
    taps[0].close()
    taps[1].read()
    taps[1].close()
    deadline = time.monotonic() + 20
    while looking(lab):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_camera_in_use_is_left_alone(room: Classroom, lab: Lab, tmp_path: Path) -> None:
    first = lab.open_camera(URI)
    first.read()
    other = build_lab(room.config, Nobody(), tmp_path / "other")
    with pytest.raises(CameraError) as error:
        other.open_camera(URI)
    other.close()
    assert error.value.code == "camera.nano_in_use" and "demo" in error.value.why
    first.read()
    first.close()


def test_unplugged_and_not_there(room: Classroom, lab: Lab) -> None:
    camera = lab.open_camera(URI)
    camera.read()
    room.stage.plug("nano", False)
    try:
        assert error_of(camera).code == "camera.nano_lost"
        camera.close()
        again = lab.open_camera(URI)
        missing = error_of(again)
        assert missing.code == "camera.nano_missing" and "nano.mjpg" in missing.why
        again.close()
    finally:
        room.stage.plug("nano", True)
    back = lab.open_camera(URI)
    back.read()
    back.close()


def test_a_nano_that_is_off(tmp_path: Path) -> None:
    with Classroom(tmp_path / "classroom") as room:
        lab = build_lab(room.config, Nobody(), tmp_path / "config")
        room.stop_machine("nano1")
        with pytest.raises(CameraError) as error:
            lab.open_camera(URI)
        lab.close()
    assert error.value.code == "camera.nano_unreachable" and error.value.exit_code == 3
