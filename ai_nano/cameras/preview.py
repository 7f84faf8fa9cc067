"""Small pictures for a screen: of a camera as long as somebody looks, and of the Nano's frames."""

import threading
import time
from collections.abc import Callable
from typing import Any

from ai_nano.cameras.devices import same_camera
from ai_nano.cameras.manner import Manner
from ai_nano.cameras.opencv import load_cv2
from ai_nano.cameras.turned import newest
from ai_nano.core.errors import AiNanoError
from ai_nano.core.ports import Bitmap, Camera, CameraOptions, Frame
from ai_nano.core.recording.camera_state import CameraState

# A person sees no more, and every frame costs a conversion.
MOST_FPS = 30.0
AGAIN_S = 1.0
# Longer than a network camera takes to be given up.
AFTER_S = 10.0


def bitmap(image: Any, width: int, height: int) -> Bitmap:
    """`image` (uint8, BGR) made to fit into width x height, as BGRA: the cheapest form for a screen (facts page)."""
    cv2 = load_cv2()
    scale = min(width / image.shape[1], height / image.shape[0], 1.0)
    if scale < 1.0:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if scale > 0.4 else cv2.INTER_AREA)
    return Bitmap(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), image.shape[1], image.shape[0])


class Preview:
    """Watches a camera in a thread of its own; a camera that is lost is asked for again each second.

    `show` and `tell` are called in that thread: each frame as a Bitmap of at most `size`, and each change between "there"
    (None), the error that keeps it away, and what is the matter with one that gives pictures (CameraState). So is `see`, with
    each frame as it came. `camera` is the same word for all URIs of one. `mirror` turns left and right round, in the view
    alone, and may be set at any time.
    """

    def __init__(self, open_camera: Callable[[str], Camera], uri: str, size: tuple[int, int],
                 show: Callable[[Bitmap], None], tell: Callable[[AiNanoError | CameraState | None], None],
                 options: CameraOptions | None = None, mirror: bool = False, after: "Preview | None" = None,
                 see: Callable[[Frame], None] = lambda frame: None) -> None:
        """`options`: what `open_camera` asks for, to compare. `after`: another preview of this camera, whose end is awaited:
        the camera is opened as it was asked for here only when nobody has it open otherwise."""
        self._open_camera = open_camera
        self._uri = uri
        self.camera = same_camera(uri)
        self.size = size
        self.mirror = mirror
        self._options = options or CameraOptions()
        self._show = show
        self._tell = tell
        self._see = see
        self._after = after
        self._told: str | None = "nothing yet"
        self._heard_at: float | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._camera: Camera | None = None
        self._thread = threading.Thread(target=self._work, name="preview", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; does not wait, since opening a camera may take seconds."""
        self._stop.set()
        with self._lock:
            if self._camera is not None:
                self._camera.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def still_s(self) -> float:
        """How long an open camera has given no frame; 0 where none is open or none has come yet."""
        heard_at = self._heard_at
        return 0.0 if heard_at is None else time.monotonic() - heard_at

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _work(self) -> None:
        if self._after is not None:
            self._after.join(AFTER_S)
            self._after = None
        while not self._stop.is_set():
            try:
                camera = self._open_camera(self._uri)
                with self._lock:
                    self._camera = camera
                try:
                    self._watch(camera)
                finally:
                    with self._lock:
                        self._camera = None
                    self._heard_at = None
                    camera.close()
            except AiNanoError as error:
                if not self._stop.is_set() and self._is_news(error):
                    self._told = error.code
                    self._tell(error)
            self._stop.wait(AGAIN_S)

    def _is_news(self, error: AiNanoError) -> bool:
        """A camera that was pulled out is missing then, which says less."""
        return error.code not in (self._told, "camera.ended") and (self._told, error.code) != ("camera.lost", "camera.missing")

    def _watch(self, camera: Camera) -> None:
        manner = Manner(self._uri, self._options)
        said: CameraState | None = None
        last = 0.0
        while not self._stop.is_set():
            frame = newest(camera)
            self._heard_at = time.monotonic()
            if self._told is not None:
                self._told = None
                self._tell(None)
            if manner.hear(frame) and manner.state != said:
                said = manner.state
                self._tell(said)
            last = self._pass_on(frame, last, manner)
            self._see(frame)

    def _pass_on(self, frame: Frame, last: float, manner: Manner) -> float:
        """Show the frame unless it comes sooner than a screen needs it; the time of the last one shown."""
        if 0 <= frame.t - last < 0.8 / MOST_FPS:
            return last
        made = bitmap(frame.image, *self.size)
        manner.look(made.data)
        self._show(Bitmap(load_cv2().flip(made.data, 1), made.width, made.height) if self.mirror else made)
        return frame.t
