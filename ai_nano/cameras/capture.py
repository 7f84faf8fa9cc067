"""What a webcam, a network stream and a video file have in common: OpenCV's capture."""

import time
from typing import Any

from ai_nano.core.errors import CameraError
from ai_nano.core.ports import Frame


class CaptureCamera:
    """An open cv2.VideoCapture. `gone` is the error's code when no frame comes any more."""

    gone = "camera.lost"

    def __init__(self, uri: str, capture: Any, not_open: str) -> None:
        """`not_open`: the code of the CameraError for a capture that did not open."""
        self.uri = uri
        self._capture = capture
        if not capture.isOpened():
            capture.release()
            raise CameraError(not_open, uri=uri)

    def read(self) -> Frame:
        ok, image = self._capture.read()
        if not ok:
            raise CameraError(self.gone, uri=self.uri)
        return Frame(image, time.time())

    def close(self) -> None:
        self._capture.release()
