"""A camera that is mounted on its side or upside down, put right: what is seen and saved is what the model will get."""

from dataclasses import replace
from typing import Any

from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.ports import Camera, Frame


class TurnedCamera:
    """Gives another camera's frames turned clockwise."""

    def __init__(self, camera: Camera, degrees: int) -> None:
        """`degrees`: 90, 180 or 270."""
        self.uri = camera.uri
        self._camera = camera
        cv2: Any = load_cv2()
        self._cv2 = cv2
        self._code = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}[degrees]

    def read(self) -> Frame:
        return self._turn(self._camera.read())

    def read_newest(self) -> Frame:
        return self._turn(newest(self._camera))

    def _turn(self, frame: Frame) -> Frame:
        return replace(frame, image=self._cv2.rotate(frame.image, self._code))

    def close(self) -> None:
        self._camera.close()


def newest(camera: Camera) -> Frame:
    """The newest frame of a shared camera; the next one of any other."""
    read = getattr(camera, "read_newest", camera.read)
    frame: Frame = read()
    return frame


def turned(camera: Camera, degrees: int) -> Camera:
    return TurnedCamera(camera, degrees) if degrees else camera
