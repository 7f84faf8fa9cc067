"""One open camera for the preview and the recorder at once."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy
import pytest

from ai_nano.cameras.preview import Preview
from ai_nano.cameras.shared import WAITING_FRAMES, SharedCameras
from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap, Camera, Frame


class Webcam:
    """Like a real one it can be opened once only, and is lost when it is unplugged."""

    opened = 0

    def __init__(self, uri: str, period_s: float) -> None:
        if Webcam.opened:
            raise CameraError("camera.busy", uri=uri)
        Webcam.opened += 1
        self.uri = uri
        self.plugged = True
        self.given = 0
        self._period_s = period_s

    def read(self) -> Frame:
        time.sleep(self._period_s)
        if not self.plugged:
            raise CameraError("camera.lost", uri=self.uri)
        self.given += 1
        return Frame(numpy.full((90, 160, 3), self.given % 256, numpy.uint8), float(self.given))

    def close(self) -> None:
        Webcam.opened -= 1


class Desk:
    def __init__(self) -> None:
        self.cameras: list[Webcam] = []
        self.period_s = 0.002
        self.shared = SharedCameras(self.open)

    def open(self, uri: str) -> Camera:
        self.cameras.append(Webcam(uri, self.period_s))
        return self.cameras[-1]


@pytest.fixture
def desk() -> Iterator[Desk]:
    Webcam.opened = 0
    made = Desk()
    yield made
    made.shared.close()
    assert Webcam.opened == 0, "a camera is still open"


def test_two_look_through_one_camera(desk: Desk) -> None:
    first, second = desk.shared.open("webcam:0"), desk.shared.open("webcam:0")
    frames = [(first.read().t, second.read().t) for _ in range(20)]
    assert len(desk.cameras) == 1 and [one for one, _ in frames] == sorted({one for one, _ in frames})
    first.close()
    assert second.read().t > 0
    second.close()


def test_it_is_opened_anew_only_when_it_is_closed(desk: Desk) -> None:
    """A webcam that is still open would be busy."""
    for _ in range(5):
        tap = desk.shared.open("webcam:0")
        tap.read()
        tap.close()
    assert len(desk.cameras) == 5


def test_who_is_slow_misses_frames_and_is_told_how_many(desk: Desk) -> None:
    desk.period_s = 0.0005
    slow, quick = desk.shared.open("webcam:0"), desk.shared.open("webcam:0")
    seen = [quick.read() for _ in range(4 * WAITING_FRAMES)]
    assert sum(frame.missed for frame in seen) == 0 or seen[-1].t >= len(seen)
    first = slow.read()
    assert first.missed >= 2 * WAITING_FRAMES and first.t == first.missed + 1
    slow.close()
    quick.close()


def test_a_file_waits_for_its_reader(desk: Desk) -> None:
    desk.period_s = 0.0
    tap = desk.shared.open("file:///clip.mp4")
    time.sleep(0.1)
    assert [tap.read().t for _ in range(100)] == [float(number) for number in range(1, 101)]
    tap.close()


def test_all_hear_of_a_lost_camera_and_it_can_come_back(desk: Desk) -> None:
    taps = [desk.shared.open("webcam:0") for _ in range(2)]
    desk.cameras[0].plugged = False
    for tap in taps:
        with pytest.raises(CameraError) as caught:
            while True:
                tap.read()
        assert caught.value.code == "camera.lost"
        tap.close()
    again = desk.shared.open("webcam:0")
    assert again.read().t == 1.0
    again.close()


def test_closing_ends_a_read_that_waits(desk: Desk) -> None:
    desk.period_s = 0.3
    tap = desk.shared.open("webcam:0")
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(AiNanoError):
            while True:
                tap.read()
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    tap.close()
    assert ended.wait(1.0)
    reader.join()


def test_a_preview_shows_small_pictures_and_comes_back_by_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.cameras.preview.AGAIN_S", 0.02)
    shown: list[Bitmap] = []
    told: list[str | None] = []
    preview = Preview(desk.shared.open, "webcam:0", (80, 80), shown.append,
                      lambda error: told.append(error.code if error is not None else None))
    preview.start()
    wait_until(lambda: len(shown) > 2)
    desk.cameras[0].plugged = False
    wait_until(lambda: len(told) >= 3)
    preview.stop()
    preview.join(5)
    assert told[:3] == [None, "camera.lost", None] and not preview.alive
    assert (shown[0].width, shown[0].height) == (80, 45) and shown[0].data.shape == (45, 80, 4)


def test_a_mailbox_pokes_once_until_it_is_emptied() -> None:
    pokes: list[int] = []
    mailbox: Mailbox[int] = Mailbox(lambda: pokes.append(1))
    for number in range(5):
        mailbox.put(number)
    assert pokes == [1] and mailbox.take() == 4 and mailbox.take() is None
    mailbox.put(7)
    assert pokes == [1, 1] and mailbox.take() == 7


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
