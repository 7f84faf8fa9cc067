"""How a camera does that gives pictures: slow, black, of another size; and what a workspace notes of its options."""

import math
import time
from collections.abc import Callable

import numpy
import pytest

from ai_nano.cameras import manner as manners
from ai_nano.cameras.manner import Manner
from ai_nano.cameras.preview import Preview
from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.ports import CameraOptions, Frame
from ai_nano.core.recording import camera_options
from ai_nano.core.recording.camera_state import CameraState

WEBCAM, STREAM, FILE = "webcam:0", "http://room/cam.mjpg", "file:///clip.mp4"


def picture(mean: int, size: tuple[int, int] = (180, 320), noise: int = 4) -> "numpy.typing.NDArray[numpy.uint8]":
    chance = numpy.random.default_rng(mean)
    return numpy.clip(mean + chance.integers(-noise, noise + 1, (*size, 3)), 0, 255).astype(numpy.uint8)


def judged(uri: str, fps: float, options: CameraOptions | None = None, mean: int = 100,
           size: tuple[int, int] = (180, 320), seconds: float = 3.0, missed: int = 0) -> CameraState | None:
    made, image = Manner(uri, options or CameraOptions()), picture(mean, size)
    for number in range(round(seconds * fps) + 1):
        made.hear(Frame(image, 1e9 + number / fps, missed))
        made.look(image)
    return made.state


@pytest.mark.parametrize(("uri", "fps", "options", "slow"), [
    (WEBCAM, 30, CameraOptions(), False), (WEBCAM, 12, CameraOptions(), False), (WEBCAM, 5, CameraOptions(), True),
    (WEBCAM, 15, CameraOptions(fps=30), True), (WEBCAM, 25, CameraOptions(fps=30), False), (STREAM, 4, CameraOptions(), True),
    (STREAM, 9, CameraOptions(), False), (FILE, 2, CameraOptions(), False),
])
def test_slow_is_clearly_less_than_was_asked_for(uri: str, fps: float, options: CameraOptions, slow: bool) -> None:
    state = judged(uri, fps, options)
    assert (state is not None) == slow
    if state is not None:
        assert state.code == "camera.slow" and state.params["fps"] == pytest.approx(fps, abs=1)
        assert f"only {state.params['fps']} images" in state.text


def test_frames_that_nobody_took_are_no_lack_of_the_camera() -> None:
    assert judged(WEBCAM, 8, missed=2) is None


def test_it_is_said_that_a_camera_is_slow_until_it_clearly_is_not() -> None:
    made, image, t = Manner(STREAM, CameraOptions()), picture(100), 1e9
    said = []
    for fps in (5, 7.5, 9):
        for _ in range(round(4 * fps)):
            t += 1 / fps
            made.hear(Frame(image, t))
        said.append(made.state is not None)
    assert said == [True, True, False]


@pytest.mark.parametrize(("mean", "noise", "black"), [(0, 4, True), (3, 6, True), (25, 4, False), (100, 4, False)])
def test_black(mean: int, noise: int, black: bool) -> None:
    made, image = Manner(WEBCAM, CameraOptions()), picture(mean, noise=noise)
    for number in range(100):
        made.hear(Frame(image, number / 30))
        made.look(image)
    assert (made.state is not None and made.state.code == "camera.black") == black


def test_a_dark_room_with_a_lamp_in_it_is_not_black() -> None:
    made, image = Manner(WEBCAM, CameraOptions()), picture(2)
    image[:40, :40] = 200
    for number in range(100):
        made.hear(Frame(image, number / 30))
        made.look(image)
    assert made.state is None


def test_a_size_that_it_does_not_have() -> None:
    asked = CameraOptions(1280, 720)
    state = judged(WEBCAM, 30, asked, size=(480, 640))
    assert state is not None and state.code == "camera.other_size" and "640×480" in state.text and "1280×720" in state.text
    assert judged(WEBCAM, 30, asked, size=(720, 1280)) is None
    assert judged(WEBCAM, 30, CameraOptions(1280, 720, rotate=90), size=(1280, 720)) is None
    assert judged(STREAM, 30, asked, size=(480, 640)) is None, "nobody can ask a stream"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_preview_tells_states_and_a_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manners, "WINDOW_S", 0.2)
    monkeypatch.setattr("ai_nano.cameras.preview.AGAIN_S", 0.02)
    plugged, light, told = [True], [100], []

    class Changing:
        uri = WEBCAM

        def read(self) -> Frame:
            time.sleep(0.01)
            if not plugged:
                raise CameraError("camera.lost", uri=WEBCAM)
            return Frame(picture(light[0]), time.time())

        def close(self) -> None:
            """Nothing is open."""

    def open_camera(uri: str) -> Changing:
        if not plugged:
            raise CameraError("camera.missing", uri=uri)
        return Changing()

    def tell(news: AiNanoError | CameraState | None) -> None:
        told.append(news.code if news is not None else None)

    preview = Preview(open_camera, WEBCAM, (80, 80), lambda _bitmap: None, tell)
    preview.start()
    wait_until(lambda: told == [None])
    light[0] = 0
    wait_until(lambda: told[1:] == ["camera.black"])
    light[0] = 100
    wait_until(lambda: told[2:] == [None])
    plugged.clear()
    wait_until(lambda: told[3:] == ["camera.lost"])
    time.sleep(0.2)
    plugged.append(True)
    wait_until(lambda: told[4:] == [None])
    assert preview.still_s < 1
    preview.stop()
    preview.join(5)
    assert preview.still_s == 0.0


@pytest.mark.parametrize("options", [CameraOptions(), CameraOptions(640, 480, 15.0, 270), CameraOptions(rotate=180)])
@pytest.mark.parametrize("mirror", [False, True])
def test_options_are_read_as_they_were_noted(options: CameraOptions, mirror: bool) -> None:
    settings = {camera_options.KEY: camera_options.to_settings(options, mirror)}
    assert camera_options.of(settings) == options and camera_options.mirrored(settings) == mirror


@pytest.mark.parametrize("noted", [
    None, [], "640x480", {"width": 640}, {"width": "640", "height": 480}, {"width": 0, "height": 0},
    {"width": True, "height": 1}, {"fps": math.inf}, {"fps": -1}, {"fps": "30"}, {"rotate": 45}, {"rotate": "90"},
    {"rotate": [90]}, {"rotate": 90.0}, {"mirror": 1}, {"width": 10**9, "height": 2},
])
def test_what_somebody_wrote_by_hand_and_cannot_be_is_passed_over(noted: object) -> None:
    settings = {camera_options.KEY: noted}
    assert camera_options.of(settings) == CameraOptions() and not camera_options.mirrored(settings)
