"""The stage as a process: what OpenCV on the laptop and on the Nano (Python 3.6) gets from its streams."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ssh_servers import REPOSITORY

# Reads continuously; prints a JSON line for each frame: when it was read, its shape and coarse brightness.
READER = """
import json, sys, time, cv2
capture = cv2.VideoCapture(sys.argv[1])
while True:
    ok, frame = capture.read()
    if not ok:
        print(json.dumps({"t": time.time(), "end": True}), flush=True)
        break
    coarse = cv2.resize(frame, (8, 6), interpolation=cv2.INTER_AREA).mean(axis=2)
    print(json.dumps({"t": time.time(), "shape": frame.shape, "coarse": coarse.ravel().tolist()}), flush=True)
"""


def nano_python() -> str:
    """The Nano's Python 3.6 with its OpenCV, kept beside the laptop's virtual environment."""
    python = REPOSITORY / ".venv-nano" / "bin" / "python"
    assert python.exists(), "make .venv-nano first (Python 3.6, see the instructor's guide)"
    return str(python)


class RunningStage:
    def __init__(self, folder: Path) -> None:
        self.record = folder / "stage.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ai_nano.demo.stage", "--record", str(self.record), "--seed", "5"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        ready = json.loads(self.process.stdout.readline())
        assert ready["v"] == 1 and ready["type"] == "ready"
        self.url = f"http://127.0.0.1:{ready['port']}"

    def get(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, body, timeout=10) as answer:
            return json.load(answer)

    def command(self, **command: Any) -> float:
        answer = self.get("/command", json.dumps(command).encode())
        assert answer["type"] == "done"
        return answer["t"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[RunningStage]:
    stage = RunningStage(tmp_path)
    yield stage
    with stage.process as process:
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


def changed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return float(np.abs(np.subtract(before["coarse"], after["coarse"])).mean()) > 6


@pytest.mark.parametrize("python", [sys.executable, nano_python()], ids=["laptop", "nano"])
def test_opencv_reads_the_stream_follows_changes_and_notices_the_end(stage: RunningStage, python: str) -> None:
    stage.command(camera="nano", show=None, phase="show", take=0)
    with subprocess.Popen(
        [python, "-c", READER, f"{stage.url}/nano.mjpg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as reader:
        frames = [json.loads(reader.stdout.readline()) for _ in range(30)]
        assert {tuple(frame["shape"]) for frame in frames} == {(720, 1280, 3)}
        for take in range(1, 4):
            t = stage.command(camera="nano", show="rocket", phase="show", take=take)
            last = frames[-1]
            while not changed(last, frames[-1]):
                frames.append(json.loads(reader.stdout.readline()))
            assert t - 0.05 < frames[-1]["t"] < t + 2  # 0.03 s where the machine is free; never a queue of old frames
            frames += [json.loads(reader.stdout.readline()) for _ in range(5)]
        gone = time.time()
        stage.command(camera="nano", plugged=False)
        rest = [json.loads(line) for line in reader.stdout]
        assert rest[-1].get("end") and rest[-1]["t"] < gone + 3
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{stage.url}/nano.mjpg", timeout=10)
    with refused.value as answer:
        assert answer.code == 503
        assert json.load(answer)["code"] == "stage.unplugged"
    stage.command(camera="nano", plugged=True)
    with urllib.request.urlopen(f"{stage.url}/nano.mjpg", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        assert answer.readline() == b"--frame\r\n"


def test_frames_are_paced_at_thirty_a_second_at_most(stage: RunningStage) -> None:
    with urllib.request.urlopen(f"{stage.url}/laptop.mjpg", timeout=10) as answer:
        times = []
        while len(times) < 60:
            line = answer.readline()
            if line.startswith(b"X-Timestamp: "):
                times.append(float(line.split()[1]))
    assert times == sorted(times)
    assert times[-1] - times[0] > 59 / 30 - 0.1


def test_state_tells_both_cameras(stage: RunningStage) -> None:
    t = stage.command(camera="laptop", show="coffee", phase="record", take=7)
    state = stage.get("/state")
    assert state["type"] == "state" and set(state["cameras"]) == {"laptop", "nano"}
    assert state["cameras"]["laptop"] == {
        "show": "coffee",
        "phase": "record",
        "take": 7,
        "plugged": True,
        "t": t,
        "viewers": 0,
        "frames": 0,
    }
    assert json.loads(stage.record.read_text().splitlines()[-1])["t"] == t


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/command", b"no JSON", 400, "stage.bad_command"),
        ("/command", b'{"camera":"nano","show":"dog","phase":"show","take":0}', 400, "stage.bad_command"),
        ("/command", b" " * 5000, 400, "stage.bad_command"),
        ("/elsewhere", b"{}", 404, "stage.not_found"),
        ("/phone.mjpg", None, 404, "stage.not_found"),
        ("/nano", None, 404, "stage.not_found"),
    ],
)
def test_bad_request_is_answered_in_json(stage: RunningStage, path: str, body: bytes | None, status: int, code: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        stage.get(path, body)
    with refused.value as answer:
        assert answer.code == status
        assert json.load(answer)["code"] == code


def test_ends_on_sigterm_while_watched(tmp_path: Path) -> None:
    stage = RunningStage(tmp_path)
    with stage.process as process, urllib.request.urlopen(f"{stage.url}/nano.mjpg", timeout=10) as answer:
        assert answer.readline() == b"--frame\r\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


def test_record_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    record = tmp_path / "missing" / "stage.jsonl"
    words = [sys.executable, "-m", "ai_nano.demo.stage", "--seed", "1", "--record", str(record)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr == b""
    answer = json.loads(done.stdout)
    assert (answer["code"], answer["params"]) == ("stage.record_unwritable", {"file": str(record)})


def test_taken_port_is_named(stage: RunningStage, tmp_path: Path) -> None:
    port = stage.url.rpartition(":")[2]
    words = [sys.executable, "-m", "ai_nano.demo.stage", "--seed", "1", "--record", str(tmp_path / "r"), "--port", port]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 1 and done.stderr == b""
    assert json.loads(done.stdout)["code"] == "stage.port_taken"
