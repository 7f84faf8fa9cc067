"""The stage's commands and record, without a socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ai_nano.demo.stage import BadCommand, carry_out
from ai_nano.demo.stage_camera import Record, StageCamera
from ai_nano.demo.stage_scene import Scene

SHOW = {"camera": "nano", "show": "cat", "phase": "show", "take": 3}


class Stage:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "record.jsonl"
        self.record = Record(self.file)
        self.cameras = {name: StageCamera(name, 8, self.record) for name in ("laptop", "nano")}

    def command(self, **command: Any) -> float:
        return carry_out(self.cameras, json.dumps(command).encode())

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    with stage.cameras["laptop"], stage.cameras["nano"]:
        yield stage
    stage.record.close()


def nothing() -> None:
    pass


def test_record_begins_with_two_empty_stages(stage: Stage) -> None:
    assert [(line["camera"], line["show"], line["plugged"]) for line in stage.lines()] == [
        ("laptop", None, True),
        ("nano", None, True),
    ]


def test_nothing_is_rendered_while_nobody_watches(stage: Stage) -> None:
    began = time.time()
    t = stage.command(**SHOW)
    assert began <= t <= time.time()
    time.sleep(0.2)
    assert stage.cameras["nano"].state()["frames"] == 0
    assert stage.lines()[-1] == {"v": 1, "t": t, "plugged": True, **SHOW}


def test_reply_and_record_tell_the_first_frame_that_shows_it(stage: Stage) -> None:
    with stage.cameras["nano"].watched(nothing) as frames:
        next(frames)
        t = stage.command(**SHOW)
        frame = next(frames)
        assert t <= frame.t < t + 1
        seen = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
        differences = [np.abs(Scene(8, "show", 3, "cat").frame(i).astype(int) - seen).mean() for i in range(8)]
        assert min(differences) < 4  # what JPEG and the unknown number of the frame leave
        assert np.abs(Scene(8, "show", 3, None).frame(0).astype(int) - seen).mean() > 8
    assert stage.lines()[-1]["t"] == t
    assert stage.cameras["laptop"].state()["frames"] == 0


def test_viewers_get_the_same_frames_and_rendering_ends_with_the_last(stage: Stage) -> None:
    camera = stage.cameras["nano"]
    with camera.watched(nothing) as one, camera.watched(nothing) as other:
        first = {frame.number: frame.jpeg for frame, _ in zip(one, range(3), strict=False)}
        second = {frame.number: frame.jpeg for frame, _ in zip(other, range(3), strict=False)}
        assert camera.state()["viewers"] == 2
        newest = next(one)
        assert next(other).number >= newest.number
    assert first.keys() | second.keys() and all(second[n] == first[n] for n in first.keys() & second.keys())
    assert camera.state()["viewers"] == 0
    time.sleep(0.1)
    frames = camera.state()["frames"]
    time.sleep(0.2)
    assert camera.state()["frames"] == frames


def test_slow_viewer_gets_the_newest_frame(stage: Stage) -> None:
    with stage.cameras["nano"].watched(nothing) as frames:
        first = next(frames)
        time.sleep(0.5)
        late = next(frames)
        assert late.number > first.number + 2
        assert time.time() - late.t < 0.3


def test_pulling_out_ends_frames_and_refuses_new_viewers_until_plugged_in(stage: Stage) -> None:
    camera = stage.cameras["nano"]
    disconnected = []
    with camera.watched(lambda: disconnected.append(True)) as frames:
        next(frames)
        stage.command(camera="nano", plugged=False)
        assert disconnected == [True]
        assert list(frames) == []
    with camera.watched(nothing) as frames:
        assert frames is None
    stage.command(**SHOW)
    stage.command(camera="nano", plugged=True)
    with camera.watched(nothing) as frames:
        assert next(frames).number > 0
    assert [(line["show"], line["plugged"]) for line in stage.lines() if line["camera"] == "nano"] == [
        (None, True),
        (None, False),
        ("cat", False),
        ("cat", True),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[]", "JSON"),
        (b"{}", "camera"),
        (b'{"camera": ["nano"], "plugged": true}', "camera"),
        (b'{"camera": "phone", "plugged": true}', "camera"),
        (b'{"camera": "nano"}', "show"),
        (b'{"camera": "nano", "plugged": 1}', "plugged"),
        (b'{"camera": "nano", "show": "cat", "take": 1}', "phase"),
        (b'{"camera": "nano", "show": "dog", "phase": "show", "take": 1}', "show"),
        (b'{"camera": "nano", "show": "cat", "phase": "rest", "take": 1}', "phase"),
        (b'{"camera": "nano", "show": "cat", "phase": {}, "take": 1}', "phase"),
        (b'{"camera": "nano", "show": "cat", "phase": "show", "take": -1}', "take"),
        (b'{"camera": "nano", "show": "cat", "phase": "show", "take": true}', "take"),
        (b'{"camera": "nano", "show": "cat", "phase": "show", "take": 1, "speed": 2}', "speed"),
    ],
)
def test_bad_command_names_the_field_and_changes_nothing(stage: Stage, body: bytes, field: str) -> None:
    before = stage.lines()
    with pytest.raises(BadCommand) as raised:
        carry_out(stage.cameras, body)
    assert raised.value.field == field
    assert stage.lines() == before
