"""look.py: the Nano's camera for a laptop that records with it, without a network and without LEDs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from classification import Nano
from colours import MjpegCamera, image, jpeg, make_clip, make_images
from machine import Follower, Machine, Watcher, of, wait_for
from viewing import colour_of, keep, next_picture, read_kept

LOOK = "jetson_nano/look.py"
LARGE = cv2.resize(image("blue"), (1280, 720))
LARGE[:360] = 255


@pytest.fixture
def shown(camera: MjpegCamera) -> Iterator[list[bytes]]:
    """What the camera shows, again and again."""
    frames = [bytes(cv2.imencode(".jpg", LARGE)[1])]
    stopped = threading.Event()

    def show() -> None:
        while not stopped.wait(0.02):
            camera.show_latest(frames[0])

    thread = threading.Thread(target=show)
    thread.start()
    yield frames
    stopped.set()
    thread.join()


def start(machine: Machine, camera: str, lease_s: float | None = None, **changes: object) -> tuple[Follower, Watcher]:
    machine.start("l", program=LOOK, lease_s=lease_s, **{"camera": camera, "flip": None, "engine": "onnxruntime", "size": None,
                                                        **changes})
    watcher = machine.watch("l")
    watcher.begin()
    return machine.follow("l"), watcher


def stop(follower: Follower) -> int:
    follower.send(type="stop")
    frames: int = follower.read_event("result")["frames"]
    assert follower.read_all()[-1]["state"] == "done"
    return frames


def test_pictures_are_as_the_camera_gives_them(machine: Machine, camera: MjpegCamera, shown: list[bytes]) -> None:
    follower, watcher = start(machine, camera.uri)
    frames = []
    for _ in range(4):
        header, data = next_picture(watcher)
        frames.append(header["frame"])
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None and pixels.shape == (header["height"], header["width"], 3) == (720, 1280, 3)
        assert float(np.abs(pixels.astype(int) - LARGE).mean()) < 3
    assert frames == sorted(set(frames))
    assert stop(follower) > frames[-1]
    assert of(machine.events("l"), "log") == [] and not (machine.root / "leds.jsonl").exists()


def test_the_picture_is_turned(machine: Machine, camera: MjpegCamera, shown: list[bytes]) -> None:
    follower, watcher = start(machine, camera.uri, flip="rotate-180")
    pixels = cv2.imdecode(np.frombuffer(next_picture(watcher)[1], np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels[20, 600, 2] < 60 and pixels[700, 600, 2] > 200
    stop(follower)


def test_what_is_shown_is_not_kept_beside_it(machine: Machine, camera: MjpegCamera, shown: list[bytes]) -> None:
    follower, watcher = start(machine, camera.uri)
    watcher.send(keep(next_picture(watcher)[0]["frame"]))
    assert read_kept(watcher)[0]["width"] == 0
    stop(follower)


def test_a_camera_that_is_pulled_out_and_comes_back(machine: Machine, camera: MjpegCamera, shown: list[bytes]) -> None:
    shown[0] = jpeg("red")
    follower, watcher = start(machine, camera.uri)
    assert colour_of(next_picture(watcher)[1]) == "red"
    camera.unplug()
    assert follower.read_event("log", "infer.camera_lost")["params"] == {"camera": camera.uri}
    shown[0] = jpeg("green")
    camera.plug_in()
    follower.read_event("log", "infer.camera_back")
    wait_for(lambda: colour_of(next_picture(watcher)[1]) == "green", "what it shows now")
    stop(follower)


def last(machine: Machine) -> tuple[str, dict[str, object]]:
    event = machine.events("l")[-1]
    return event["code"], event["params"]


def test_a_camera_that_is_not_there(machine: Machine) -> None:
    start(machine, "/dev/video99")
    code, params = last(machine)
    assert code == "infer.camera_missing" and params["camera"] == "/dev/video99" and params["error"]


@pytest.mark.parametrize(("changes", "told"), [
    ({"engine": None}, ("infer.bad_params", {"key": "engine"})),
    ({"engine": "magic"}, ("infer.unknown_engine", {"engine": "magic"})),
    ({"camera": 3}, ("infer.bad_params", {"key": "camera"})), ({"size": [0, 5]}, ("infer.bad_params", {"key": "size"})),
    ({"camera": "csi://0"}, ("infer.camera_unsupported", {"camera": "csi://0", "engine": "onnxruntime"}))])
def test_what_makes_no_sense_is_refused(machine: Machine, changes: dict[str, object], told: tuple[str, dict[str, str]]) -> None:
    start(machine, **{"camera": "/dev/video99", **changes})  # type: ignore[arg-type]
    assert last(machine) == told


def test_without_a_laptop_it_ends(machine: Machine, camera: MjpegCamera) -> None:
    machine.start("l", program=LOOK, lease_s=1, camera=camera.uri, flip=None, engine="onnxruntime", size=None)
    wait_for(lambda: machine.state("l") == "done", "its end")
    assert [event["code"] for event in of(machine.events("l"), "log")] == ["look.lease_lost"]


def test_a_file_ends(machine: Machine, tmp_path: Path) -> None:
    follower, watcher = start(machine, make_clip(tmp_path / "clip.avi", ["red"] * 150).as_uri())
    assert colour_of(next_picture(watcher)[1]) == "red"
    assert follower.read_event("result")["frames"] == 150


def test_tensorrt_gives_full_pictures_too(jetson: Nano, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", ["red"] * 300)
    follower, watcher = start(jetson.machine, str(images), engine="tensorrt")
    header, data = next_picture(watcher)
    assert (header["width"], header["height"], colour_of(data)) == (64, 48, "red")
    stop(follower)


def test_a_classification_waits_for_who_is_just_leaving(
        nano: Nano, camera: MjpegCamera, shown: list[bytes], tmp_path: Path) -> None:
    """A camera serves one program at a time."""
    program = nano.machine.programs / "jetson_nano" / "look.py"
    program.write_text(program.read_text().replace("import argparse\n", "import argparse\nimport atexit\n", 1).replace(
        "import time\n", "import time\natexit.register(time.sleep, 1)\n", 1))
    follower, watcher = start(nano.machine, camera.uri)
    next_picture(watcher)
    follower.send(type="stop")
    follower.read_event("result")
    classification = nano.start(camera.uri)
    first = classification.read_event("prediction")["t"]
    assert first > (nano.machine.run_path("l") / "exit.json").stat().st_mtime
    classification.send(type="stop")
    classification.read_event("result")


def test_a_classification_does_not_wait_for_who_stays(nano: Nano, camera: MjpegCamera, shown: list[bytes]) -> None:
    follower, _ = start(nano.machine, camera.uri)
    classification = nano.start(camera.uri)
    classification.read_event("prediction")
    assert nano.machine.state("l") == "running"
    classification.send(type="stop")
    classification.read_event("result")
    stop(follower)


def test_tensorrt_that_is_missing_is_said(machine: Machine) -> None:
    start(machine, "csi://0", engine="tensorrt")
    code, params = last(machine)
    assert (code, params["engine"]) == ("infer.engine_missing", "tensorrt")
