"""A webcam of this computer."""

import sys
import time
from typing import Any

from ai_nano.cameras import devices
from ai_nano.cameras.capture import CaptureCamera
from ai_nano.core.errors import CameraError
from ai_nano.core.ports import CameraOptions, Frame

WIDTH, HEIGHT, FPS = 1280, 720, 30
# A time stamp of the driver is believed when it is no older.
OLDEST_STAMP_S = 2.0


class Webcam(CaptureCamera):
    """Asks the device for size and rate; what it then gives, the frames show."""

    def __init__(self, cv2: Any, uri: str, device: int | str, options: CameraOptions | None = None) -> None:
        """`device`: its number, or its file in /dev. Raises CameraError: camera.missing, forbidden, busy or busy_with."""
        self._path = f"/dev/video{device}" if isinstance(device, int) else device
        self._stamp_property = cv2.CAP_PROP_POS_MSEC
        self._came = False
        if not devices.is_there(self._path):
            # OpenCV would print its own warning and only then fail.
            raise CameraError("camera.missing", uri=uri)
        if not devices.may_open(self._path):
            raise CameraError("camera.forbidden", uri=uri, device=self._path)
        # By name, since others would be tried too, each for seconds, and would count the cameras in an order of their own.
        backend = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_MSMF, "darwin": cv2.CAP_AVFOUNDATION}.get(sys.platform, cv2.CAP_ANY)
        try:
            super().__init__(uri, cv2.VideoCapture(device, backend), not_open="camera.busy")
        except CameraError as error:
            raise self._busy() from error
        options = options or CameraOptions()
        # Motion JPEG first: many webcams give 1280x720 at 30 fps only so.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        for prop, value in ((cv2.CAP_PROP_FRAME_WIDTH, options.width or WIDTH),
                            (cv2.CAP_PROP_FRAME_HEIGHT, options.height or HEIGHT), (cv2.CAP_PROP_FPS, options.fps or FPS)):
            self._capture.set(prop, value)

    def read(self) -> Frame:
        try:
            frame = super().read()
        except CameraError as error:
            if not self._came and devices.is_there(self._path):
                # A driver may let a second program open a camera and refuse it the pictures.
                raise self._busy() from error
            raise
        self._came = True
        return Frame(frame.image, self._captured_at(frame.t))

    def _captured_at(self, now: float) -> float:
        """When the driver had the frame. V4L2 gives its stamp by the monotonic clock; other systems give something else,
        which shows by its being in the future or old."""
        age = time.monotonic() - float(self._capture.get(self._stamp_property) or 0.0) / 1000
        return now - age if 0 <= age < OLDEST_STAMP_S else now

    def _busy(self) -> CameraError:
        holder = devices.holder(self._path)
        return CameraError("camera.busy_with", uri=self.uri, program=holder) if holder else CameraError("camera.busy",
                                                                                                        uri=self.uri)
