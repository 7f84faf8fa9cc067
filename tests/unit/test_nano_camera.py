"""`nano://NAME` with doubles: what is asked of the Nano, what a frame is, and how each trouble is said."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest

from ai_nano.cameras import nano as module
from ai_nano.cameras import open_camera
from ai_nano.cameras.nano import NanoCamera
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, CameraError, ContactLost, HostKeyError, MachineError, WorkFailed
from ai_nano.core.ports import Camera, JobEnd, Picture
from ai_nano.core.room.config import Config, NanoConfig, ServerConfig
from ai_nano.core.watching import Watching
from ai_nano.lab import build_lab

NANO = NanoConfig("nano1", "here", "nano", camera="csi://0", flip="rotate-180")


def jpeg(value: int, width: int = 64, height: int = 48) -> bytes:
    return bytes(cv2.imencode(".jpg", numpy.full((height, width, 3), value, numpy.uint8))[1])


@dataclass
class Looking:
    """A Nano on which look.py runs; the test says what it gives and how it ends."""

    name: str = "nano1"
    runs: Sequence[Mapping[str, Any]] = ()
    refuses: Exception | None = None
    started: list[tuple[str, str, Mapping[str, Any], float | None]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    given: threading.Condition = field(default_factory=threading.Condition)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    end: JobEnd | Exception | None = None
    cancelled: bool = False
    adaptive: bool | None = None
    id: str = "run-1"

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        if self.refuses is not None:
            raise self.refuses
        return self.runs

    def start(self, label: str, program: str, params: Mapping[str, Any], lease_s: float | None = None,
              on_id: Callable[[str], None] = lambda run: None,
              schedule: Mapping[str, Any] | None = None) -> "Looking":
        self.started.append((label, program, params, lease_s))
        return self

    def give(self, number: int, data: bytes) -> None:
        with self.given:
            self.pictures.append(Picture(data, number, 17.0, 64, 48))
            self.given.notify_all()

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken, watching: Watching | None = None,
              adaptive: bool = True) -> None:
        self.adaptive = adaptive
        while not cancel.cancelled:
            with self.given:
                self.given.wait_for(lambda: self.pictures, 0.01)
                pictures, self.pictures = self.pictures, []
            for picture in pictures:
                on_picture(picture)

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None], cancel: CancelToken,
               on_contact: Callable[[bool], None] | None = None) -> JobEnd:
        while self.end is None and not cancel.wait(0.01):
            while self.events:
                on_event(self.events.pop(0))
        self.cancelled = cancel.cancelled
        if isinstance(self.end, Exception):
            raise self.end
        return self.end or JobEnd("cancelled")


@pytest.fixture
def looking() -> Looking:
    return Looking()


@pytest.fixture
def camera(looking: Looking) -> Iterator[NanoCamera]:
    opened = NanoCamera("nano://nano1", looking, NANO)  # type: ignore[arg-type]
    yield opened
    opened.close()


def test_the_program_looks_as_the_nano_is_configured(looking: Looking, camera: NanoCamera) -> None:
    params = {"camera": "csi://0", "flip": "rotate-180", "engine": "tensorrt", "size": None, "container": None}
    assert looking.started == [("look", "jetson_nano/look.py", params, 5.0)]
    looking.give(0, jpeg(9))
    camera.read()
    assert looking.adaptive is False


def test_the_newest_frame_is_given_once_and_what_was_missed_is_counted(looking: Looking, camera: NanoCamera) -> None:
    looking.give(4, jpeg(100))
    before = time.time()
    first = camera.read()
    assert (first.image.shape, first.missed) == ((48, 64, 3), 0) and abs(int(first.image.mean()) - 100) < 4
    assert abs(first.t - before) < 20, "by this computer's clock"
    with looking.given:
        for number, value in ((5, 10), (7, 20), (9, 200)):
            looking.pictures.append(Picture(jpeg(value), number, 17.0, 64, 48))
        looking.given.notify_all()
    deadline = time.monotonic() + 10
    while camera._newest is None or camera._newest[0].frame != 9:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    newest = camera.read()
    assert newest.missed == 4 and int(newest.image.mean()) > 190


def test_what_is_no_picture_is_passed_over(looking: Looking, camera: NanoCamera) -> None:
    looking.give(1, b"no picture")
    looking.give(2, b"\xff\xd8\xff\xd9")

    def later() -> None:
        time.sleep(0.2)
        looking.give(3, jpeg(50))

    thread = threading.Thread(target=later)
    thread.start()
    assert camera.read().image.shape == (48, 64, 3)
    thread.join()


def test_closing_ends_the_program_and_a_read_that_waits(looking: Looking) -> None:
    opened = NanoCamera("nano://nano1", looking, NANO)  # type: ignore[arg-type]
    told: list[str] = []

    def read() -> None:
        with pytest.raises(CameraError) as error:
            opened.read()
        told.append(error.value.code)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.1)
    opened.close()
    thread.join(10)
    assert told == ["camera.nano_lost"] and looking.cancelled


@pytest.mark.parametrize(("end", "code"), [
    (JobEnd("done", {"frames": 3}), "camera.ended"),
    (JobEnd("failed", error=("infer.camera_missing", {"camera": "csi://0", "error": "not there"})), "camera.nano_missing"),
    (JobEnd("failed", error=("infer.camera_unsupported", {"camera": "x", "engine": "tensorrt"})), "infer.camera_unsupported"),
    (JobEnd("cancelled"), "camera.nano_lost"), (JobEnd("failed", why="rebooted"), "job.rebooted"),
    (ContactLost("job.lost", machine="nano1", run="run-1"), "camera.nano_lost"),
    (MachineError("machine.nonsense", machine="nano1"), "machine.nonsense"),
    (WorkFailed("run.missing", id="run-1"), "run.missing")])
def test_how_the_program_ended_is_said(looking: Looking, camera: NanoCamera, end: JobEnd | Exception, code: str) -> None:
    looking.end = end
    with pytest.raises(AiNanoError) as error:
        camera.read()
    assert error.value.code == code
    assert str(error.value) and "{" not in str(error.value)


def test_a_camera_that_is_pulled_out_is_lost(looking: Looking, camera: NanoCamera) -> None:
    looking.give(0, jpeg(9))
    camera.read()
    looking.events.append({"type": "log", "code": "infer.camera_lost", "params": {"camera": "csi://0"}})
    with pytest.raises(CameraError) as error:
        camera.read()
    assert error.value.code == "camera.nano_lost" and error.value.exit_code == 3


def test_silence_is_not_waited_out(looking: Looking, camera: NanoCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.1)
    with pytest.raises(CameraError) as error:
        camera.read()
    assert error.value.code == "camera.nano_lost"


def run(program: str, state: str = "running") -> Mapping[str, Any]:
    return {"id": "r-7", "program": program, "state": state, "student": "ada"}


@pytest.mark.parametrize("program", ["jetson_nano/classify.py", "jetson_nano/look.py"])
def test_a_camera_that_somebody_works_with_is_left_alone(looking: Looking, program: str) -> None:
    looking.runs = [run(program)]
    with pytest.raises(CameraError) as error:
        NanoCamera("nano://nano1", looking, NANO)  # type: ignore[arg-type]
    assert error.value.code == "camera.nano_in_use" and "ada" in str(error.value) and not looking.started


def test_what_has_ended_or_needs_no_camera_is_in_nobodys_way(looking: Looking) -> None:
    looking.runs = [run("jetson_nano/classify.py", "done"), run("jetson_nano/build_engine.py"), run("jetson_nano/blink.py")]
    NanoCamera("nano://nano1", looking, NANO).close()  # type: ignore[arg-type]
    assert looking.started


@pytest.mark.parametrize(("refusal", "code"), [
    (MachineError("machine.unreachable", machine="nano1", host="h", port=22, reason="no route"), "camera.nano_unreachable"),
    (MachineError("machine.silent", machine="nano1"), "camera.nano_unreachable"),
    (MachineError("machine.auth", machine="nano1", login="nano"), "machine.auth"),
    (HostKeyError("machine.host_key_changed", machine="nano1"), "machine.host_key_changed")])
def test_a_nano_out_of_reach_is_said_and_a_refusal_in_its_own_words(looking: Looking, refusal: Exception, code: str) -> None:
    looking.refuses = refusal
    with pytest.raises(AiNanoError) as error:
        NanoCamera("nano://nano1", looking, NANO)  # type: ignore[arg-type]
    assert error.value.code == code and error.value.exit_code == 3


# ---- by its name -----------------------------------------------------------------------------------------------------


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    nanos = tuple(NanoConfig(name, host, "nano") for name, host in (("nano1", "h"), ("nano2", "h"), ("empty", "")))
    lab = build_lab(Config(server=ServerConfig("DL", "", ""), nanos=nanos), Nobody(), tmp_path)
    for uri in ("nano://nano3", "nano://empty", "nano://NANO1"):
        with pytest.raises(BadInput) as error:
            lab.open_camera(uri)
        assert error.value.code == "camera.nano_unknown"
        assert "nano1, nano2" in error.value.why and "empty" not in error.value.why
    lab.close()


def test_the_name_is_what_follows() -> None:
    asked: list[tuple[str, str]] = []

    def opened(uri: str, name: str) -> Camera:
        asked.append((uri, name))
        raise CameraError("camera.nano_lost", uri=uri, machine=name)

    for uri in ("nano://nano-1.lab", "nano://nano1/"):
        with pytest.raises(CameraError):
            open_camera(uri, opened)
    assert asked == [("nano://nano-1.lab", "nano-1.lab"), ("nano://nano1/", "nano1")]
    with pytest.raises(BadInput):
        open_camera("nano://", opened)
