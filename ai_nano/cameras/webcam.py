"""A webcam of this computer."""

import os
import time
from typing import Any

from ai_nano.core.errors import CameraError
from ai_nano.core.ports import Frame

WIDTH, HEIGHT, FPS = 1280, 720, 30


class Webcam:
    def __init__(self, cv2: Any, uri: str, device: int | str) -> None:
        self.uri = uri
        path = f"/dev/video{device}" if isinstance(device, int) else device
        if os.name == "posix" and os.path.isdir("/dev") and not os.path.exists(path):
            # OpenCV would print its own warning and only then fail.
            raise CameraError("camera.missing", uri=uri)
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise CameraError("camera.busy", uri=uri)
        # Motion JPEG first: many webcams give 1280x720 at 30 fps only so.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        for prop, value in ((cv2.CAP_PROP_FRAME_WIDTH, WIDTH), (cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT), (cv2.CAP_PROP_FPS, FPS)):
            self._capture.set(prop, value)

    def read(self) -> Frame:
        ok, image = self._capture.read()
        if not ok:
            raise CameraError("camera.lost", uri=self.uri)
        return Frame(image, time.time())

    def close(self) -> None:
        self._capture.release()
