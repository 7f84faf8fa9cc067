"""A network stream: Motion JPEG over HTTP, or RTSP."""

from typing import Any

from ai_nano.cameras.capture import CaptureCamera

OPEN_TIMEOUT_MS = 8000
READ_TIMEOUT_MS = 5000


class StreamCamera(CaptureCamera):
    def __init__(self, cv2: Any, uri: str) -> None:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        super().__init__(uri, cv2.VideoCapture(uri, cv2.CAP_FFMPEG, timeouts), not_open="camera.missing")
