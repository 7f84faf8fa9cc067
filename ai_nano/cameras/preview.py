"""Small pictures for a screen: of a camera as long as somebody looks, and of the Nano's frames."""

import threading
from collections.abc import Callable
from typing import Any

from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.errors import AiNanoError
from ai_nano.core.ports import Bitmap, Camera, Frame

# A person sees no more, and every frame costs a conversion.
MOST_FPS = 25.0
AGAIN_S = 1.0


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
    (None) and the error that keeps it away.
    """

    def __init__(self, open_camera: Callable[[str], Camera], uri: str, size: tuple[int, int],
                 show: Callable[[Bitmap], None], tell: Callable[[AiNanoError | None], None]) -> None:
        self._open_camera = open_camera
        self._uri = uri
        self.size = size
        self._show = show
        self._tell = tell
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

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _work(self) -> None:
        told: str | None = "nothing yet"
        while not self._stop.is_set():
            try:
                camera = self._open_camera(self._uri)
                with self._lock:
                    self._camera = camera
                try:
                    last = 0.0
                    while not self._stop.is_set():
                        frame = camera.read()
                        if told is not None:
                            told = None
                            self._tell(None)
                        last = self._pass_on(frame, last)
                finally:
                    with self._lock:
                        self._camera = None
                    camera.close()
            except AiNanoError as error:
                if not self._stop.is_set() and error.code != told and error.code != "camera.ended":
                    told = error.code
                    self._tell(error)
            self._stop.wait(AGAIN_S)

    def _pass_on(self, frame: Frame, last: float) -> float:
        """Show the frame unless it comes sooner than a screen needs it; the time of the last one shown."""
        if frame.t - last < 0.8 / MOST_FPS:
            return last
        self._show(bitmap(frame.image, *self.size))
        return frame.t
