"""Short words for who watches a run of the contract tests."""

import json
from collections.abc import Callable

import cv2
import numpy as np
from colours import BGR, MjpegCamera
from machine import Follower, Machine, Message, Watcher, wait_for


def colour_of(jpeg: bytes) -> str:
    """The colour that a picture shows nearly: JPEG changes values a little."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    seen = pixels.reshape(-1, 3).mean(0)
    return min(BGR, key=lambda name: float(np.abs(seen - BGR[name]).sum()))


def watch(machine: Machine, pictures: int = 2) -> Watcher:
    watcher = machine.watch("c")
    assert watcher.begin(pictures) == {"v": 1, "type": "pictures", "id": "c"}
    return watcher


def show(camera: MjpegCamera, follower: Follower, colour: str = "red") -> Message:
    """The prediction of one frame."""
    camera.show(colour)
    return follower.read_event("prediction")


def show_until_seen(camera: MjpegCamera, follower: Follower, watcher: Watcher, colour: str) -> tuple[Message, bytes]:
    """The next picture, of as many frames as it takes: the viewer's word needs a moment to reach the program."""
    found: list[tuple[Message, bytes]] = []

    def seen() -> bool:
        show(camera, follower, colour)
        header, jpeg = watcher.read_any_within(0.1)
        if header is not None and header["type"] == "picture":
            found.append((header, jpeg))
        return bool(found)

    wait_for(seen, "a picture")
    return found[0]


def stop(follower: Follower) -> int:
    follower.send(type="stop")
    frames: int = follower.read_event("result")["frames"]
    assert follower.read_all()[-1]["state"] == "done"
    return frames


def next_picture(watcher: Watcher, like: Callable[[Message], bool] = lambda header: True) -> tuple[Message, bytes]:
    """The next picture of that kind; each that comes makes room for another."""
    found: list[tuple[Message, bytes]] = []

    def came() -> bool:
        header, jpeg = watcher.read()
        assert header["type"] != "end", "the run has ended"
        if header["type"] != "picture":
            return False
        watcher.ask()
        found.append((header, jpeg))
        return like(header)

    wait_for(came, "such a picture")
    return found[-1]


def wish(width: object, quality: object = 75, fps: object = 30, **more: object) -> bytes:
    """The line of a laptop that wants such pictures."""
    return json.dumps({"v": 1, "type": "want", "width": width, "quality": quality, "fps": fps, **more}).encode() + b"\n"


def keep(frame: object) -> bytes:
    """The line of a laptop that wants the full frame."""
    return json.dumps({"v": 1, "type": "keep", "frame": frame}).encode() + b"\n"


def read_kept(watcher: Watcher) -> tuple[Message, bytes]:
    """What answers; pictures on the way are passed over."""
    while True:
        header, jpeg = watcher.read()
        assert header["type"] != "end", "the run has ended"
        if header["type"] == "kept":
            return header, jpeg
