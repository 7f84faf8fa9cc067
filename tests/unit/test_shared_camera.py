"""One open camera for the preview and the recorder at once."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy
import pytest

from ai_nano.cameras.preview import Preview
from ai_nano.cameras.shared import WAITING_FRAMES, SharedCameras
from ai_nano.cameras.turned import newest, turned
from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap, Camera, CameraOptions, Frame
from ai_nano.core.recording.camera_state import CameraState


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
        return Frame(numpy.full((90, 160, 3), 64 + self.given % 128, numpy.uint8), float(self.given))

    def close(self) -> None:
        Webcam.opened -= 1


class Desk:
    def __init__(self) -> None:
        self.cameras: list[Webcam] = []
        self.asked: list[CameraOptions] = []
        self.period_s = 0.002
        self.shared = SharedCameras(self.open)

    def open(self, uri: str, options: CameraOptions) -> Camera:
        self.asked.append(options)
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


def test_a_screen_gets_the_newest_and_is_told_what_it_passed_over(desk: Desk) -> None:
    desk.period_s = 0.0005
    slow, quick = desk.shared.open("webcam:0", CameraOptions(rotate=180)), desk.shared.open("webcam:0")
    for _ in range(2):
        for _ in range(3 * WAITING_FRAMES):
            last = quick.read()
        frame = newest(slow)
        assert frame.t >= last.t
    assert frame.missed >= 2 * WAITING_FRAMES
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


def test_a_second_one_gets_the_camera_as_it_is_and_turned_as_he_asks(desk: Desk) -> None:
    first = desk.shared.open("webcam:0", CameraOptions(640, 480))
    second = desk.shared.open("webcam:0", CameraOptions(1280, 720, rotate=90))
    same = desk.shared.open("v4l2:///dev/video0")
    assert desk.asked == [CameraOptions(640, 480)], "one device is opened once, and a turned picture is no wish of the device"
    assert [one.read().image.shape[:2] for one in (first, second, same)] == [(90, 160), (160, 90), (90, 160)]
    for one in (first, second):
        one.close()
    assert same.read().image is not None
    same.close()
    again = desk.shared.open("webcam:0", CameraOptions(1280, 720))
    assert desk.asked[-1] == CameraOptions(1280, 720)
    again.close()


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_turned_clockwise(degrees: int, corner: tuple[int, int]) -> None:
    class Still:
        uri = "fake:still"

        def read(self) -> Frame:
            image = numpy.zeros((20, 40, 3), numpy.uint8)
            image[0, 0] = 255
            return Frame(image, 5.0, missed=3)

        def close(self) -> None:
            """Nothing is open."""

    frame = turned(Still(), degrees).read()
    assert frame.image[corner].tolist() == [255, 255, 255] and (frame.t, frame.missed) == (5.0, 3)


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

    def tell(news: AiNanoError | CameraState | None) -> None:
        if not isinstance(news, CameraState):  # by its own clock this camera is slow
            told.append(news.code if news is not None else None)

    preview = Preview(desk.shared.open, "webcam:0", (80, 80), shown.append, tell)
    preview.start()
    wait_until(lambda: len(shown) > 2)
    desk.cameras[0].plugged = False
    wait_until(lambda: len(told) >= 3)
    preview.stop()
    preview.join(5)
    assert told[:3] == [None, "camera.lost", None] and not preview.alive
    assert (shown[0].width, shown[0].height) == (80, 45) and shown[0].data.shape == (45, 80, 4)


def test_a_preview_with_other_options_waits_for_the_one_before(desk: Desk) -> None:
    """Else it would join that one's camera, whose size it does not want."""
    shown: list[Bitmap] = []

    def preview(options: CameraOptions, after: Preview | None) -> Preview:
        made = Preview(lambda uri: desk.shared.open(uri, options), "webcam:0", (80, 80), shown.append, lambda _news: None,
                       options, after=after)
        made.start()
        return made

    previews = [preview(CameraOptions(640, 480), None)]
    wait_until(lambda: bool(shown))
    for size in ((800, 600), (1280, 720)):
        previews[-1].stop()
        previews.append(preview(CameraOptions(*size), previews[-1]))
    wait_until(lambda: desk.asked[-1].width == 1280 and desk.cameras[-1].given > 3)
    assert 1 < len(desk.asked) <= 3
    previews[-1].stop()
    for one in previews:
        one.join(5)


def test_the_mirror_is_of_the_view_alone(desk: Desk) -> None:
    class Half:
        uri = "fake:half"

        def read(self) -> Frame:
            time.sleep(0.002)
            image = numpy.zeros((40, 80, 3), numpy.uint8)
            image[:, :40] = 200
            return Frame(image, time.time())

        def close(self) -> None:
            """Nothing is open."""

    shown: list[Bitmap] = []
    preview = Preview(lambda _uri: Half(), "fake:half", (80, 80), shown.append, lambda _news: None)
    preview.start()
    wait_until(lambda: bool(shown))
    preview.mirror = True
    wait_until(lambda: shown[-1].data[5, 5, 0] == 0)
    preview.stop()
    preview.join(5)
    assert shown[0].data[5, 5, 0] == 200 and shown[-1].data[5, 75, 0] == 200 and shown[-1].data.flags.c_contiguous


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
