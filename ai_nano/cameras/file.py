"""A video file, played at its own pace, and a folder of images, shown like a slow camera."""

import time
from pathlib import Path
from typing import Any

from ai_nano.cameras.capture import CaptureCamera
from ai_nano.core.errors import CameraError
from ai_nano.core.files import is_image_name
from ai_nano.core.ports import Frame

DEFAULT_FPS = 30.0
FOLDER_FPS = 30.0


class _Paced:
    """Waits until the next frame is due; cv2.VideoCapture does not pace files."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._due = time.monotonic()

    def wait(self) -> None:
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._period, time.monotonic() - self._period)


class FileCamera(CaptureCamera):
    gone = "camera.ended"

    def __init__(self, cv2: Any, uri: str, path: Path) -> None:
        capture = cv2.VideoCapture(str(path))
        super().__init__(uri, capture, not_open="camera.unreadable")
        self._pace = _Paced(capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS)

    def read(self) -> Frame:
        self._pace.wait()
        return super().read()


class FolderCamera:
    def __init__(self, cv2: Any, uri: str, folder: Path) -> None:
        self.uri = uri
        self._cv2 = cv2
        self._files = iter(sorted(path for path in folder.iterdir() if is_image_name(path)))
        self._pace = _Paced(FOLDER_FPS)

    def read(self) -> Frame:
        self._pace.wait()
        for path in self._files:
            image = self._cv2.imread(str(path), self._cv2.IMREAD_COLOR)
            if image is not None:
                return Frame(image, time.time())
        raise CameraError("camera.ended", uri=self.uri)

    def close(self) -> None:
        self._files = iter(())
