"""Step 2 with a camera without a lens: what is saved, and what is kept when something fails."""

import time
from pathlib import Path

import pytest
from fakes import FakeCamera
from room import Room

from ai_nano.core.errors import AiNanoError, CameraError, Cancelled, WorkFailed
from ai_nano.core.events import Progress, ignore
from ai_nano.core.running import Status
from ai_nano.steps.import_images import ImportOptions
from ai_nano.steps.record import RecordOptions


def test_due_frames_are_recorded_with_their_take(room: Room) -> None:
    camera = FakeCamera(frames=1000, fps=30)
    room.lab._camera = camera
    facts = room.do("record", RecordOptions("cat", count=20, fps=10))
    images = room.workspace.images("cat")
    assert facts["saved"] == len(images) == 20 and camera.closed
    assert len({image.take for image in images}) == 1
    gaps = [later.t - earlier.t for earlier, later in zip(images, images[1:], strict=False)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.1, abs=0.005)
    note = room.workspace.takes()[images[0].key]
    assert (note["camera"], note["width"], note["height"]) == ("fake:camera", 64, 48)
    done = [event.done for event in room.events if isinstance(event, Progress)]
    assert done == sorted(done)


def test_a_camera_lost_while_recording_keeps_what_was_saved(room: Room) -> None:
    room.lab._camera = FakeCamera(frames=31, fps=30)
    with pytest.raises(CameraError) as caught:
        room.do("record", RecordOptions("cat", count=100, fps=30))
    assert caught.value.exit_code == 3 and room.workspace.count("cat") == 31
    assert all(room.lab.images.as_jpeg(path) for path in room.workspace.image_paths("cat"))
    assert not list(room.workspace.image_folder("cat").glob(".*"))


def test_a_recording_that_was_stopped_says_what_is_still_missing(room: Room) -> None:
    room.lab._camera = FakeCamera(frames=1000, fps=30)
    running = room.workflow.start("record", RecordOptions("cat", count=900, fps=30), lambda event: None)
    deadline = time.monotonic() + 20
    while room.workspace.count("cat") <= 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.cancel()
    with pytest.raises(Cancelled):
        running.result(20)
    status = room.workflow.step_status("record")
    assert (status.status, status.code, status.params["name"]) == (Status.READY, "status.record.few", "dog")


def test_a_full_disk_stops_with_whole_files(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from ai_nano.steps import recorder

    write, left = recorder.write_new, iter(range(5))

    def full(path: Path, data: bytes) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(recorder, "write_new", full)
    room.lab._camera = FakeCamera(frames=1000)
    with pytest.raises(WorkFailed) as caught:
        room.do("record", RecordOptions("cat", count=50, fps=30))
    assert caught.value.code == "workspace.disk_full" and room.workspace.count("cat") == 5


def test_no_camera(room: Room) -> None:
    with pytest.raises(CameraError) as caught:
        room.do("record", RecordOptions("cat", camera="webcam:99", count=1))
    assert (caught.value.code, caught.value.exit_code) == ("camera.missing", 3)


@pytest.mark.parametrize(("options", "code"), [
    (RecordOptions("bird", count=1), "record.unknown_class"), (RecordOptions("../x", count=1), "class_name.hidden"),
    (RecordOptions("cat", count=0), "record.positive"), (RecordOptions("cat", fps=0), "record.positive"),
    (RecordOptions("cat", seconds=float("inf")), "record.positive"),
])
def test_recording_what_cannot_be(room: Room, options: RecordOptions, code: str) -> None:
    with pytest.raises(AiNanoError) as caught:
        room.workflow.start("record", options, ignore)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_import_converts_and_leaves_out(room: Room, tmp_path: Path) -> None:
    import cv2
    import numpy

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = numpy.full((30, 40, 3), 128, numpy.uint8)
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(folder / name), picture)
    (folder / "c.jpg").write_text("hello")
    (folder / "readme.txt").write_text("not looked at")
    facts = room.do("import", ImportOptions("dog", (folder,)))
    assert facts["saved"] == 2 and [Path(one).name for one in facts["left_out"]] == ["c.jpg"]
    assert all(path.read_bytes().startswith(b"\xff\xd8\xff") for path in room.workspace.image_paths("dog"))
