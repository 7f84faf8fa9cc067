"""A network stream: Motion JPEG over HTTP, or RTSP."""

import time
from typing import Any

from ai_nano.core.errors import CameraError
from ai_nano.core.ports import Frame

OPEN_TIMEOUT_MS = 8000
READ_TIMEOUT_MS = 5000


class StreamCamera:
    def __init__(self, cv2: Any, uri: str) -> None:
        self.uri = uri
        self._capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS,
                                                              cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS])
        if not self._capture.isOpened():
            raise CameraError("camera.missing", uri=uri)

    def read(self) -> Frame:
        ok, image = self._capture.read()
        if not ok:
            raise CameraError("camera.lost", uri=self.uri)
        return Frame(image, time.time())

    def close(self) -> None:
        self._capture.release()
