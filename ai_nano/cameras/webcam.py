"""A webcam of this computer."""

import os
from typing import Any

from ai_nano.cameras.capture import CaptureCamera
from ai_nano.core.errors import CameraError

WIDTH, HEIGHT, FPS = 1280, 720, 30


class Webcam(CaptureCamera):
    def __init__(self, cv2: Any, uri: str, device: int | str) -> None:
        path = f"/dev/video{device}" if isinstance(device, int) else device
        if os.name == "posix" and os.path.isdir("/dev") and not os.path.exists(path):
            # OpenCV would print its own warning and only then fail.
            raise CameraError("camera.missing", uri=uri)
        capture = cv2.VideoCapture(device)
        super().__init__(uri, capture, not_open="camera.busy")
        # Motion JPEG first: many webcams give 1280x720 at 30 fps only so.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        for prop, value in ((cv2.CAP_PROP_FRAME_WIDTH, WIDTH), (cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT), (cv2.CAP_PROP_FPS, FPS)):
            capture.set(prop, value)
