"""One open camera for all who look on: the preview in the window and the recorder at the same time.

A webcam can be opened once only. One thread reads it and hands each frame to every tap; the camera is closed when the last
tap is. A tap of a live camera never holds the others up: what its owner does not take in time is passed over, and counted.

Size and rate are those that the first asked for, as long as anybody looks: a recording does not change its size because
somebody else comes. Each tap turns its pictures as its own owner wants them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ai_nano.cameras.devices import same_camera
from ai_nano.cameras.turned import turned
from ai_nano.core.errors import AiNanoError, CameraError
from ai_nano.core.ports import Camera, CameraOptions, Frame

# A second of a 30 fps camera; 1280x720 frames take 2.8 MB each.
WAITING_FRAMES = 30
CLOSE_TIMEOUT_S = 5.0


class Tap:
    """A camera to its owner: `read` gives the frames in order; those that were passed over are counted in `missed`."""

    def __init__(self, uri: str, patient: bool) -> None:
        """`patient`: a file can wait for its reader, and loses no frame."""
        self.uri = uri
        self._patient = patient
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._missed = 0
        self._error: AiNanoError | None = None
        self._closed = False
        self.leave: Callable[[], None] = lambda: None

    def put(self, frame: Frame) -> None:
        with self._changed:
            if self._patient:
                self._changed.wait_for(lambda: self._closed or len(self._frames) < WAITING_FRAMES)
            if len(self._frames) == WAITING_FRAMES:
                self._frames.popleft()
                self._missed += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def fail(self, error: AiNanoError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def read(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._error is not None or self._closed)
            if self._frames:
                frame = self._frames.popleft()
                missed, self._missed = self._missed, 0
                self._changed.notify_all()
                return replace(frame, missed=missed) if missed else frame
            raise self._error or CameraError("camera.lost", uri=self.uri)

    def read_newest(self) -> Frame:
        """For a screen: those that wait before it are passed over, and counted, so that a busy computer shows no old ones."""
        frame = self.read()
        with self._changed:
            if not self._frames:
                return frame
            missed = frame.missed + len(self._frames) + self._missed
            newest = self._frames.pop()
            self._frames.clear()
            self._missed = 0
            self._changed.notify_all()
        return replace(newest, missed=missed)

    def close(self) -> None:
        """Also ends a `read` that is waiting in another thread."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
        self.leave()


class _Shared:
    """An open camera with its thread."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._lock = threading.Lock()
        self._taps: list[Tap] = []
        self._ended = False
        self.thread = threading.Thread(target=self._work, name=f"camera-{camera.uri}", daemon=True)

    def join(self, tap: Tap) -> bool:
        """False when the camera is closing or gone."""
        with self._lock:
            if self._ended:
                return False
            self._taps.append(tap)
            tap.leave = lambda: self._leave(tap)
            return True

    def _leave(self, tap: Tap) -> None:
        with self._lock:
            if tap in self._taps:
                self._taps.remove(tap)
            self._ended = self._ended or not self._taps

    def _work(self) -> None:
        error: AiNanoError = CameraError("camera.lost", uri=self._camera.uri)
        try:
            while True:
                with self._lock:
                    if self._ended:
                        break
                frame = self._camera.read()
                # Also to one who came while the camera was waited for: a recording begins with the frame after the press.
                with self._lock:
                    taps = list(self._taps)
                for tap in taps:
                    tap.put(frame)
        except AiNanoError as told:
            error = told
        finally:
            with self._lock:
                self._ended = True
                taps = list(self._taps)
            self._camera.close()
            for tap in taps:
                tap.fail(error)


class SharedCameras:
    """Cameras by URI, opened by `open_camera` for the first who asks; the URIs of one webcam are one camera."""

    def __init__(self, open_camera: Callable[[str, CameraOptions], Camera]) -> None:
        """`open_camera` is given options without a rotation, which is the taps' affair."""
        self._open_camera = open_camera
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._shared: dict[str, _Shared] = {}

    def open(self, uri: str, options: CameraOptions | None = None) -> Camera:
        """A tap of the camera. Raises what opening it raises."""
        options = options or CameraOptions()
        return turned(self._tap(uri, replace(options, rotate=0)), options.rotate)

    def _tap(self, uri: str, options: CameraOptions) -> Tap:
        tap = Tap(uri, patient=uri.startswith("file:"))
        camera = same_camera(uri)
        with self._lock:
            one_at_a_time = self._locks.setdefault(camera, threading.Lock())
        with one_at_a_time:
            shared = self._shared.get(camera)
            if shared is not None and shared.join(tap):
                return tap
            if shared is not None:
                shared.thread.join(CLOSE_TIMEOUT_S)  # a webcam that is still open would be busy
            shared = _Shared(self._open_camera(uri, options))
            shared.join(tap)
            self._shared[camera] = shared
            shared.thread.start()
            return tap

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Waits until the cameras whose taps are closed are closed too."""
        deadline = time.monotonic() + timeout_s
        for shared in list(self._shared.values()):
            shared.thread.join(max(0.0, deadline - time.monotonic()))
