"""Live pictures of a classification: the frame of the prediction, the newest one, and nothing while nobody watches."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from classification import Nano, predictions
from colours import BGR, MjpegCamera, image, make_images
from machine import REMOTE, Machine, of, wait_for
from viewing import colour_of, show, show_until_seen, stop, watch

# Counts what OpenCV encodes, and refuses to where the test says so.
SPY = """
import cv2, os
real = cv2.imencode
def imencode(*words):
    with open(os.environ["ENCODED"], "a") as stream:
        stream.write("x")
    if os.environ.get("REFUSE"):
        raise cv2.error("refused")
    return real(*words)
cv2.imencode = imencode
"""


@pytest.fixture
def encoded(nano: Nano, tmp_path: Path) -> Path:
    """A file with a letter for every JPEG that a program of this machine encodes."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    counted = tmp_path / "encoded"
    counted.write_text("")
    nano.machine.environment.update(PYTHONPATH=str(tmp_path / "spy"), ENCODED=str(counted))
    return counted


def address(machine: Machine) -> str:
    """The abstract socket of the run, without the zero byte before it."""
    path = os.path.realpath(machine.run_path("c"))
    return "ai_nano-pictures-" + hashlib.sha256(os.fsencode(path)).hexdigest()[:32]


def listens(machine: Machine) -> bool:
    return f"@{address(machine)}\n" in Path("/proc/net/unix").read_text()


def test_a_picture_shows_the_frame_of_its_prediction(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine)
    show_until_seen(camera, follower, watcher, "grey")
    for colour in ("red", "blue", "green", "red"):
        watcher.ask()
        header, jpeg = show_until_seen(camera, follower, watcher, colour)
        while colour_of(jpeg) == "grey":  # one that was on its way
            header, jpeg = show_until_seen(camera, follower, watcher, colour)
        assert colour_of(jpeg) == colour
        assert header == {"v": 1, "type": "picture", "frame": header["frame"], "t": header["t"], "width": 64, "height": 48,
                          "waited": header["waited"]}
        assert header["waited"] < 60
    stop(follower)
    seen = {event["frame"]: event for event in predictions(nano.machine.events("c"))}
    assert (seen[header["frame"]]["t"], seen[header["frame"]]["class"]) == (header["t"], "red")
    last = watcher.read()
    while last[0]["type"] == "picture":
        last = watcher.read()
    assert last == ({"v": 1, "type": "end"}, b"")
    assert watcher.close() == 0


def test_nothing_is_encoded_while_nobody_watches(nano: Nano, camera: MjpegCamera, encoded: Path) -> None:
    follower = nano.start(camera.uri)
    for _ in range(20):
        show(camera, follower)
    assert encoded.read_text() == ""
    watcher = watch(nano.machine, 1)
    show_until_seen(camera, follower, watcher, "red")
    for _ in range(20):  # it has no room for another
        show(camera, follower)
    assert encoded.read_text() == "x"
    stop(follower)
    assert encoded.read_text() == "x" and watcher.read() == ({"v": 1, "type": "end"}, b"")


def test_a_slow_viewer_gets_the_newest(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine)
    first = [show_until_seen(camera, follower, watcher, "red")[0]["frame"] for _ in range(2)]
    assert first[0] < first[1]
    for _ in range(10):
        last = show(camera, follower, "blue")["frame"]
    watcher.ask()
    header, jpeg = show_until_seen(camera, follower, watcher, "green")
    assert header["frame"] > last and colour_of(jpeg) == "green"
    stop(follower)


def test_pictures_of_a_large_camera_are_made_smaller(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri, flip="rotate-180")
    watcher = watch(nano.machine)
    large = cv2.resize(image("blue"), (1280, 720))
    large[:360] = BGR["red"]

    def seen() -> Any:
        camera.show_jpegs(bytes(cv2.imencode(".jpg", large)[1]))
        return watcher.read_any_within(0.2)[1]

    jpeg = wait_for(seen, "a picture")
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape == (360, 640, 3) and len(jpeg) < 20_000
    assert pixels[20, 320, 0] > 200 and pixels[340, 320, 2] > 200  # turned, as the network sees it
    stop(follower)


@pytest.mark.parametrize("leaving", ["close", "kill", "babble"])
def test_classification_goes_on_when_a_viewer_goes(nano: Nano, camera: MjpegCamera, leaving: str) -> None:
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine)
    show_until_seen(camera, follower, watcher, "red")
    if leaving == "close":
        assert watcher.close() == 0
    elif leaving == "kill":
        watcher.process.kill()
        watcher.process.wait()
    else:
        watcher.send(b"\x00" * 50_000)
    for _ in range(5):
        assert show(camera, follower)["class"] == "red"
    other = watch(nano.machine)
    assert colour_of(show_until_seen(camera, follower, other, "green")[1]) == "green"
    frames = stop(follower)
    assert frames == len(predictions(nano.machine.events("c")))


def test_lines_of_a_newer_laptop_are_passed_over(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    watcher = nano.machine.watch("c")
    watcher.send(b'{"v": 1, "type": "size", "width": 320}\n')
    watcher.begin(1)
    assert show_until_seen(camera, follower, watcher, "red")[0]["width"] == 64
    stop(follower)


def test_who_wishes_for_the_same_costs_one_encoding(nano: Nano, camera: MjpegCamera, encoded: Path) -> None:
    follower = nano.start(camera.uri)
    watchers = [watch(nano.machine, 0) for _ in range(3)]
    show(camera, follower)
    time.sleep(0.6)  # who looks for the program finds it meanwhile
    for watcher in watchers:
        watcher.ask()
    time.sleep(0.3)
    for _ in range(5):
        show(camera, follower)
    frames = set()
    for watcher in watchers:
        header, _ = watcher.read()
        frames.add(header["frame"])
    stop(follower)
    assert len(encoded.read_text()) == len(frames)


def test_two_may_watch(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    for watcher in (watch(nano.machine), watch(nano.machine)):
        assert colour_of(show_until_seen(camera, follower, watcher, "blue")[1]) == "blue"
    stop(follower)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_behind(nano: Nano, camera: MjpegCamera, number: int) -> None:
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine)
    show_until_seen(camera, follower, watcher, "red")
    assert listens(nano.machine)
    os.kill(nano.machine.process_id("c"), number)
    assert follower.read_all()[-1]["state"] == "failed"
    last = watcher.read()
    while last[0]["type"] == "picture":
        last = watcher.read()
    assert last == ({"v": 1, "type": "end"}, b"") and watcher.close() == 0
    assert not listens(nano.machine)
    assert {path.name for path in nano.machine.run_path("c").iterdir()} <= {
        "spec.json", "pid.json", "events.jsonl", "output.log", "commands.jsonl", "lease", "exit.json"}


def test_who_watches_early_waits_for_the_program_and_hears_that_all_is_well(machine: Machine) -> None:
    machine.start("c", do="wait")
    watcher = watch(machine)
    assert [watcher.read_any()[0]["type"] for _ in range(2)] == ["alive"] * 2
    machine.cancel("c")
    assert watcher.read() == ({"v": 1, "type": "end"}, b"") and watcher.close() == 0


def test_a_run_that_has_ended_or_never_was(machine: Machine) -> None:
    machine.start("c", do="finish")
    machine.follow_all("c")
    assert watch(machine).read() == ({"v": 1, "type": "end"}, b"")
    assert machine.call("runner.py", "frames", "nowhere", code=1)["code"] == "run.missing"


def test_a_viewer_far_away_that_hangs_up_ends_the_relay(machine: Machine) -> None:
    machine.start("c", do="wait")
    watcher = watch(machine)
    assert watcher.close() == 0
    machine.cancel("c")


def test_pictures_that_cannot_be_made_are_said_once(nano: Nano, camera: MjpegCamera, encoded: Path) -> None:
    nano.machine.environment["REFUSE"] = "1"
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine)

    def tried() -> bool:
        show(camera, follower)
        return encoded.read_text() != ""

    wait_for(tried, "an attempt")
    for _ in range(10):
        show(camera, follower)
    stop(follower)
    assert watcher.read() == ({"v": 1, "type": "end"}, b"")
    told = of(nano.machine.events("c"), "log")
    assert [event["code"] for event in told] == ["infer.ready", "infer.no_pictures"]
    assert told[1]["level"] == "warning" and "refused" in told[1]["params"]["error"]
    assert encoded.read_text() == "x"


@pytest.mark.root
def test_another_user_of_the_machine_sees_nothing(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    show(camera, follower)
    code = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n"
            "s.connect('\\0' + sys.argv[1])\n"
            "try: s.sendall(b'\\n'); seen = s.recv(1)\n"
            "except (BrokenPipeError, ConnectionResetError): seen = b''\n"
            "print(seen)")
    assert listens(nano.machine)
    done = subprocess.run([sys.executable, "-c", code, address(nano.machine)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("b''\n", "")
    stop(follower)


# ---- TensorRT --------------------------------------------------------------------------------------------------------

CYCLE = ["red", "green", "blue"]


def test_tensorrt_shows_the_frame_of_the_prediction_not_a_later_one(jetson: Nano, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", CYCLE * 200)
    follower = jetson.start(images, engine="tensorrt")
    watcher = watch(jetson.machine)
    for _ in range(8):
        header, jpeg = watcher.read()
        assert header["type"] == "picture", header
        assert (header["width"], header["height"]) == (64, 48)
        assert colour_of(jpeg) == CYCLE[header["frame"] % 3]
        watcher.ask()
    stop(follower)


def test_tensorrt_leaves_the_gpu_alone_while_nobody_watches(jetson: Nano, tmp_path: Path) -> None:
    resized = Path(jetson.machine.environment["JETSON_RESIZED"])
    follower = jetson.start(make_images(tmp_path / "images", CYCLE * 200), engine="tensorrt")
    for _ in range(10):
        follower.read_event("prediction")
    assert not resized.exists()
    watcher = watch(jetson.machine, 1)
    assert watcher.read()[0]["type"] == "picture"
    for _ in range(10):
        follower.read_event("prediction")
    stop(follower)
    assert resized.read_text() == "xx"  # the picture, and the full frame that is kept


def test_tensorrt_makes_large_frames_smaller(jetson: Nano, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", ["red"])
    large = bytes(cv2.imencode(".png", cv2.resize(image("green"), (1280, 720)))[1])
    for number in range(200):
        (images / f"{number:03}.png").write_bytes(large)
    follower = jetson.start(images, engine="tensorrt")
    header, jpeg = watch(jetson.machine).read()
    assert (header["width"], header["height"], colour_of(jpeg)) == (640, 360, "green")
    stop(follower)


def test_tensorrt_without_numpy_classifies_without_pictures(jetson: Nano, tmp_path: Path) -> None:
    jetson.machine.environment["JETSON_DOUBLE"] = "topk,none,nonumpy"
    images = make_images(tmp_path / "images", CYCLE * 100)
    follower = jetson.start(images, engine="tensorrt")
    watch(jetson.machine)
    assert "cudaToNumpy" in follower.read_event("log", "infer.no_pictures")["params"]["error"]
    follower.read_event("prediction")
    stop(follower)
    codes = [event["code"] for event in of(jetson.machine.events("c"), "log")]
    assert codes.count("infer.no_pictures") == 1


def test_tensorrt_without_opencv_and_pillow_classifies_without_pictures(jetson: Nano, tmp_path: Path) -> None:
    jetson.machine.environment["JETSON_DOUBLE"] = "topk,none,nocv2"
    follower = jetson.start(make_images(tmp_path / "images", CYCLE * 100), engine="tensorrt")
    watch(jetson.machine)
    assert "PIL" in follower.read_event("log", "infer.no_pictures")["params"]["error"]
    follower.read_event("prediction")
    stop(follower)


def test_pillow_does_where_there_is_no_opencv(tmp_path: Path) -> None:
    """The real one, under the Python of the tests: the Nano's has none here."""
    code = ("import sys; sys.modules['cv2'] = None; import numpy\n"
            "from jetson_nano.jpeg import encode_jpeg\n"
            "picture = numpy.zeros((720, 1280, 3), numpy.uint8); picture[:] = (255, 0, 0)\n"
            "jpeg, width, height = encode_jpeg(picture[:, ::-1], 640, 75); assert (width, height) == (640, 360)\n"
            "sys.stdout.buffer.write(jpeg)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONPATH": str(REMOTE)})
    assert colour_of(done.stdout) == "blue"
