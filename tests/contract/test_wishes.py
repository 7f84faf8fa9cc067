"""What viewers wish for: size, quality and number of the live pictures, and full frames of them."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from classification import Nano
from colours import MjpegCamera, image
from machine import wait_for
from viewing import colour_of, keep, next_picture, read_kept, show_until_seen, stop, watch, wish

CYCLE = ["red", "green", "blue"]


@pytest.fixture
def large(camera: MjpegCamera) -> Iterator[MjpegCamera]:
    """The camera, which shows 1280 x 720 pixels that no JPEG makes small, again and again."""
    noise = np.random.default_rng(5).integers(0, 256, (720, 1280, 3), np.uint8)
    frame = bytes(cv2.imencode(".jpg", noise)[1])
    stopped = threading.Event()

    def show() -> None:
        while not stopped.wait(0.02):
            camera.show_latest(frame)

    thread = threading.Thread(target=show)
    thread.start()
    yield camera
    stopped.set()
    thread.join()


def test_a_viewer_gets_the_pictures_that_it_wishes_for(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watcher = nano.machine.watch("c")
    watcher.send(wish(320, 40))
    watcher.begin()
    small = next_picture(watcher)
    assert (small[0]["width"], small[0]["height"]) == (320, 180)  # from the first one on
    watcher.send(wish(1280, 40))
    full = next_picture(watcher, lambda header: header["width"] == 1280)
    assert full[0]["height"] == 720 and len(full[1]) > 4 * len(small[1])
    watcher.send(wish(1280, 90))
    wait_for(lambda: len(next_picture(watcher)[1]) > 1.3 * len(full[1]), "a better picture")
    stop(follower)


@pytest.mark.parametrize("nonsense", [
    wish(159), wish(1281), wish(320, 29), wish(320, 91), wish(320, 75, 0.9), wish(320, 75, 31), wish(True), wish(320.0),
    wish("320"), wish(None), b'{"v":1,"type":"want"}\n', b'{"v":1,"type":"want","width":320,"quality":75,"fps":NaN}\n',
    wish(320, v=2), b"[320, 75, 30]\n", b"\xff\n", keep("1"), keep(None), keep(True), keep(1.0)])
def test_a_wish_that_makes_no_sense_is_passed_over(nano: Nano, large: MjpegCamera, nonsense: bytes) -> None:
    follower = nano.start(large.uri)
    watcher = watch(nano.machine)
    next_picture(watcher)  # the program is there
    watcher.send(wish(200))
    next_picture(watcher, lambda header: header["width"] == 200)
    watcher.send(nonsense)
    assert [next_picture(watcher)[0]["width"] for _ in range(4)] == [200] * 4
    stop(follower)


def test_of_a_wish_in_pieces_nothing_is_lost_and_what_has_no_end_is_passed_over(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watcher = watch(nano.machine)
    next_picture(watcher)
    line = wish(320)
    for piece in (line[:7], line[7:30], line[30:]):
        watcher.send(piece)
        time.sleep(0.05)
    next_picture(watcher, lambda header: header["width"] == 320)
    watcher.send(b"x" * 50_000)
    watcher.send(b"\n" + wish(480))
    next_picture(watcher, lambda header: header["width"] == 480)
    stop(follower)


def test_of_the_wishes_before_the_program_is_there_the_newest_counts(nano: Nano, large: MjpegCamera) -> None:
    """Hundreds of lines, more than a socket's worth; the first picture is as the last of them says."""
    nano.machine.start("c", program="jetson_nano/classify.py", **nano.params(large.uri))
    watcher = nano.machine.watch("c")
    for width in [*range(200, 600), 160]:
        watcher.send(wish(width))
    watcher.begin()
    assert next_picture(watcher)[0]["width"] == 160
    stop(nano.machine.follow("c"))


def test_fewer_pictures_a_second_for_who_wishes_for_fewer(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    spans = []
    for fps in (2, 30):
        watcher = nano.machine.watch("c")
        watcher.send(wish(160, fps=fps))
        watcher.begin()
        times = [next_picture(watcher)[0]["t"] for _ in range(5)]
        spans.append(times[-1] - times[0])
    assert spans[0] > 1.0 and spans[0] > 2 * spans[1]
    stop(follower)


def test_viewers_with_different_wishes_get_each_their_own(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watchers = [nano.machine.watch("c") for _ in range(2)]
    for watcher, width in zip(watchers, (200, 1280), strict=True):
        watcher.send(wish(width))
        watcher.begin()
    for _ in range(3):
        assert [next_picture(watcher)[0]["width"] for watcher in watchers] == [200, 1280]
    stop(follower)


# ---- full frames -----------------------------------------------------------------------------------------------------


def test_a_full_frame_of_a_picture_is_kept(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watcher = nano.machine.watch("c")
    watcher.send(wish(160))
    watcher.begin()
    small = next_picture(watcher)[0]
    watcher.send(keep(small["frame"]))
    header, jpeg = read_kept(watcher)
    assert header == {"v": 1, "type": "kept", "frame": small["frame"], "t": small["t"], "width": 1280, "height": 720}
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape == (720, 1280, 3)
    stop(follower)


def test_a_full_frame_is_the_one_of_that_number(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    watcher = watch(nano.machine, 1)
    shown: dict[int, str] = {}
    for colour in ("grey", "red", "green", "blue", "red"):
        header, jpeg = show_until_seen(camera, follower, watcher, colour)
        shown[header["frame"]] = colour_of(jpeg)
        watcher.ask()
    for frame, colour in shown.items():
        watcher.send(keep(frame) * 2)
        for _ in range(2):
            header, jpeg = read_kept(watcher)
            assert (header["frame"], colour_of(jpeg)) == (frame, colour)
    stop(follower)


def test_a_frame_that_is_no_longer_there_or_never_was(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watcher = nano.machine.watch("c")
    watcher.send(wish(160))
    watcher.begin()
    first = next_picture(watcher)[0]["frame"]
    for _ in range(12):
        next_picture(watcher)
    for frame in (first, 10**9, -1):
        watcher.send(keep(frame))
        assert read_kept(watcher) == ({"v": 1, "type": "kept", "frame": frame, "t": 0, "width": 0, "height": 0}, b"")
    stop(follower)


def test_nothing_is_kept_for_nobody(nano: Nano, large: MjpegCamera) -> None:
    follower = nano.start(large.uri)
    watcher = watch(nano.machine)
    frame = next_picture(watcher)[0]["frame"]
    assert watcher.close() == 0
    later = follower.read_event("prediction")["frame"]
    while later < frame + 40:
        later = follower.read_event("prediction")["frame"]
    other = nano.machine.watch("c")
    other.send(keep(frame))
    other.begin(0)
    assert read_kept(other)[0]["width"] == 0
    stop(follower)


def test_tensorrt_keeps_full_frames_that_later_frames_leave_as_they_are(jetson: Nano, tmp_path: Path) -> None:
    images, colours = tmp_path / "images", tmp_path / "colours"
    images.mkdir()
    colours.mkdir()
    for colour in CYCLE:
        (colours / colour).write_bytes(bytes(cv2.imencode(".png", cv2.resize(image(colour), (1280, 720)))[1]))
    for number in range(900):
        os.link(colours / CYCLE[number % 3], images / f"{number:03}.png")
    follower = jetson.start(images, engine="tensorrt")
    watcher = watch(jetson.machine)
    for _ in range(20):  # more than are kept: memory is used again
        header, _ = next_picture(watcher)
        watcher.send(keep(header["frame"]))
        kept, jpeg = read_kept(watcher)
        assert (kept["frame"], kept["width"], kept["height"]) == (header["frame"], 1280, 720)
        assert colour_of(jpeg) == CYCLE[header["frame"] % 3]
    stop(follower)
