"""How a camera does, told from its frames: slow, black, or of another size than was asked."""

from typing import Any

from ai_nano.core.ports import CameraOptions, Frame
from ai_nano.core.recording.camera_state import CameraState

# What a recording takes in a second, where nobody has asked a camera for a rate.
USUAL_FPS = 10.0
WINDOW_S = 2.0
# Rates are measured over a window, and a frame more or less in it is no lack.
SLOW, QUICK_AGAIN = 0.7, 0.8
# Of 255: a sensor behind a closed shutter gives some noise.
BLACK_MEAN, BLACK_MOST = 8, 48
EACH = 8


class Manner:
    """Hears of each frame, and looks at some; `state` is what is to be said, None: nothing is the matter."""

    def __init__(self, uri: str, options: CameraOptions) -> None:
        self._paced = uri.startswith("file:")  # a file is as quick and as large as it is
        self._sized = uri.startswith(("webcam:", "v4l2:"))
        self._options = options
        self._asked = options.fps or USUAL_FPS
        self._since: float | None = None
        self._frames = self._looks = self._black = 0
        self.state: CameraState | None = None

    def hear(self, frame: Frame) -> bool:
        """True when the state was computed anew."""
        if self._since is None or frame.t < self._since:
            self._begin(frame.t)
            return False
        self._frames += 1 + frame.missed
        elapsed = frame.t - self._since
        if elapsed < WINDOW_S:
            return False
        self.state = self._judge(frame, self._frames / elapsed)
        self._begin(frame.t)
        return True

    def look(self, image: Any) -> None:
        """At a picture of the screen: uint8 (height, width, 3 or 4)."""
        some = image[::EACH, ::EACH, :3]
        self._looks += 1
        self._black += int(some.size > 0 and some.mean() < BLACK_MEAN and some.max() < BLACK_MOST)

    def _begin(self, t: float) -> None:
        self._since, self._frames, self._looks, self._black = t, 0, 0, 0

    def _judge(self, frame: Frame, fps: float) -> CameraState | None:
        if self._looks and self._black == self._looks:
            return CameraState("camera.black")
        was_slow = self.state is not None and self.state.code == "camera.slow"
        if not self._paced and fps < self._asked * (QUICK_AGAIN if was_slow else SLOW):
            # To one place, since 0.4 frames a second is not none.
            return CameraState("camera.slow", {"fps": round(fps) if fps >= 2 else round(fps, 1), "asked": round(self._asked)})
        height, width = frame.image.shape[:2]
        if self._options.rotate in (90, 270):
            width, height = height, width
        asked = (self._options.width, self._options.height)
        if self._sized and None not in asked and asked != (width, height):
            return CameraState("camera.other_size", {"width": width, "height": height, "asked": "{}×{}".format(*asked)})
        return None
