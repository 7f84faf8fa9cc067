"""The recorder between camera and disk: order, what is lost and said, a full disk, and what kill -9 leaves."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from room import Room

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.errors import CameraError, WorkFailed
from ai_nano.core.events import Log
from ai_nano.core.ports import Frame
from ai_nano.core.project.workspace import Workspace
from ai_nano.steps import recorder as recording
from ai_nano.steps.record import RecordOptions
from ai_nano.steps.recorder import Recorder


class Drawn:
    """A camera of `frames` frames of noise (they do not compress), by a clock of its own: as quick as it is read."""

    def __init__(self, frames: int, fps: float = 30.0, uri: str = "fake:drawn", pause_s: float = 0.0,
                 size: tuple[int, int] = (72, 128), at_end: Callable[[], object] = lambda: None) -> None:
        self.uri = uri
        self._frames, self._fps, self._pause_s = frames, fps, pause_s
        self._noise = numpy.random.default_rng(1).integers(0, 255, (*size, 3), numpy.uint8)
        self._number = 0
        self._at_end = at_end

    def read(self) -> Frame:
        time.sleep(self._pause_s)
        if self._number == self._frames:
            self._at_end()
            raise CameraError("camera.ended", uri=self.uri)
        self._number += 1
        return Frame(self._noise, 1e9 + self._number / self._fps)

    def close(self) -> None:
        """Nothing is open."""


class Hanging(Drawn):
    """Gives some frames, and then nothing until it is closed."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames)
        self.closed = threading.Event()

    def read(self) -> Frame:
        if self._number == self._frames:
            self.closed.wait(20)
        return super().read()

    def close(self) -> None:
        self.closed.set()


class SlowImages(ImageFiles):
    def __init__(self, pause_s: Callable[[], float]) -> None:
        super().__init__()
        self._pause_s = pause_s

    def encode_jpeg(self, image: Any) -> bytes:
        time.sleep(self._pause_s())
        return super().encode_jpeg(image)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", ["cat", "dog"])


def carry_out(made: Recorder) -> Recorder:
    made.start()
    deadline = time.monotonic() + 60
    while made.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return made


def notes(workspace: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in workspace.takes_file.read_text().splitlines()]


def test_names_are_in_the_order_of_time_whoever_wrote_first(workspace: Workspace) -> None:
    chance = random.Random(3)
    made = carry_out(Recorder(workspace, "cat", Drawn(60), SlowImages(lambda: chance.uniform(0, 0.01)), 30, None))
    assert (made.saved, made.due, made.missed) == (60, 60, 0)
    by_name = sorted(notes(workspace), key=lambda note: note["file"])
    assert [note["t"] for note in by_name] == sorted(note["t"] for note in by_name)
    assert [note["file"] for note in by_name] == [path.name for path in workspace.image_paths("cat")]
    assert {(note["take"], note["camera"], note["width"], note["height"]) for note in by_name} == {
        (made.take, "fake:drawn", 128, 72)}


def test_what_the_encoder_cannot_take_is_counted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "QUEUE_BYTES", 5 * 72 * 128 * 3)
    made = carry_out(Recorder(workspace, "cat", Drawn(60, pause_s=0.001), SlowImages(lambda: 0.05), 30, None))
    assert made.due == 60 and made.missed > 20 and made.saved == workspace.count("cat") == 60 - made.missed


def test_a_file_waits_and_loses_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "QUEUE_BYTES", 5 * 72 * 128 * 3)
    made = carry_out(Recorder(workspace, "cat", Drawn(60, uri="file:///clip.mp4"), SlowImages(lambda: 0.005), 30, None))
    assert (made.saved, made.missed) == (60, 0)


@pytest.mark.parametrize(("frames", "lost"), [(60, False), (80, True)])
def test_a_disk_may_do_nothing_for_two_seconds_at_thirty_a_second(workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
                                                                  frames: int, lost: bool) -> None:
    """Nothing is written before the camera has given that many frames."""
    write, given = recording.write_new, threading.Event()
    camera = Drawn(frames, size=(720, 1280), at_end=given.set)

    def stalls(path: Path, data: bytes) -> None:
        assert given.wait(60)
        write(path, data)

    monkeypatch.setattr(recording, "write_new", stalls)
    made = carry_out(Recorder(workspace, "cat", camera, ImageFiles(), 30, None))
    assert made.due == frames and (made.missed > 0) == lost and made.saved == frames - made.missed


def test_the_seconds_are_the_cameras(room: Room) -> None:
    room.lab._camera = Drawn(400)
    for fps, count in ((10, 50), (30, 150)):
        room.lab._camera = Drawn(400)
        assert room.do("record", RecordOptions("cat", seconds=5, fps=fps))["saved"] == count


def test_a_camera_that_gives_less_than_was_asked_for_is_named(room: Room) -> None:
    room.lab._camera = Drawn(60, fps=12)
    room.do("record", RecordOptions("cat", count=50, fps=30))
    said = [event for event in room.events if isinstance(event, Log) and event.code == "record.slow"]
    assert [event.params["fps"] for event in said] == [30] and 11 < said[0].params["given"] < 13
    room.lab._camera, room.events[:] = Drawn(200), []
    room.do("record", RecordOptions("cat", count=50, fps=10))
    assert not [event for event in room.events if isinstance(event, Log) and event.code == "record.slow"]


def test_stopping_does_not_wait_for_a_camera_that_hangs(workspace: Workspace) -> None:
    camera = Hanging(10)
    made = Recorder(workspace, "cat", camera, ImageFiles(), 30, None)
    made.start()
    while made.saved < 10:
        time.sleep(0.01)
    began = time.monotonic()
    made.stop()
    assert time.monotonic() - began < 15 and camera.closed.is_set() and not made.running
    assert made.error is None and made.saved == 10


def test_what_no_encoder_takes_ends_it_with_a_message(workspace: Workspace, tmp_path: Path) -> None:
    class Broken(ImageFiles):
        def encode_jpeg(self, image: Any) -> bytes:
            raise ValueError("OpenCV could not encode the image")

    made = carry_out(Recorder(workspace, "cat", Drawn(20), Broken(), 30, None))
    assert made.error is not None and made.error.code == "program.unexpected"
    assert made.saved == 0 and made.due == made.missed
    Path(str(made.error.params["file"])).unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_says_so_and_leaves_whole_files(small_disk: Path, room: Room) -> None:
    room.workflow.workspace = workspace = Workspace.create(small_disk / "w", ["cat", "dog"])
    room.lab._camera = Drawn(2000, pause_s=0.001, size=(180, 320))
    with pytest.raises(WorkFailed) as caught:
        room.do("record", RecordOptions("cat", fps=30))
    assert caught.value.code == "workspace.disk_full"
    images = workspace.image_paths("cat")
    assert len(images) > 5 and all(room.lab.images.as_jpeg(path) for path in images)
    assert not list(workspace.image_folder("cat").glob(".*"))

    for path in images[:10]:
        path.unlink()
    room.lab._camera = Drawn(2000)
    before = len(workspace.image_paths("cat"))
    facts = room.do("record", RecordOptions("cat", count=5, fps=30))
    assert facts["saved"] == 5 and workspace.count("cat") == before + 5
    noted = workspace.takes()
    assert all(f"cat/{path.name}" in noted for path in workspace.image_paths("cat"))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_recorder import Drawn
from ai_nano.cameras.images import ImageFiles
from ai_nano.core.project.workspace import Workspace
from ai_nano.steps.recorder import Recorder
made = Recorder(Workspace.open(Path(sys.argv[1])), "cat", Drawn(10**6, pause_s=0.002, size=(720, 1280)), ImageFiles(), 30, None)
made.start()
while True:
    print(made.saved, flush=True)
"""


def test_what_is_killed_leaves_whole_files_and_the_next_recording_tidies_up(room: Room) -> None:
    workspace = room.workspace
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen([sys.executable, "-c", KILLED, str(workspace.path), str(Path(__file__).parent)],
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        process.kill()
        process.stdout.close()
    killed = workspace.image_paths("cat")
    assert len(killed) >= 20 and all(room.lab.images.as_jpeg(path) for path in killed)

    # What a kill may leave at the worst moments.
    folder = workspace.image_folder("cat")
    (folder / ".20260101T000000000-00007.jpg.part").write_bytes(b"\xff\xd8 half")
    (folder / "20260101T000000000-00006.jpg").write_bytes(killed[0].read_bytes())
    in_the_making = folder / ".import_just_now.part"
    in_the_making.write_bytes(b"somebody's")
    with workspace.takes_file.open("a") as stream:
        stream.write('{"v": 1, "file": "half')
    room.lab._camera = Drawn(100)
    room.do("record", RecordOptions("cat", count=5))
    assert [one.name for one in folder.glob(".*")] == [in_the_making.name]
    noted = workspace.takes()
    assert all(f"cat/{path.name}" in noted for path in workspace.image_paths("cat"))
    assert noted["cat/20260101T000000000-00006.jpg"]["take"] == "20260101T000000000"
