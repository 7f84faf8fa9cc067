"""Saves the frames that are due, on the capture side: a slow window never loses a photograph.

One thread reads the camera and takes the frames that are due (core/recording/due.py); two others encode and write them. Between
them is a queue of at most QUEUE_BYTES, which rides out a disk that is busy for seconds; what it cannot hold is counted.
"""

import threading
from collections import deque

from ai_nano.core.errors import AiNanoError
from ai_nano.core.files import storage_error, write_new
from ai_nano.core.ports import Camera, Frame, Images
from ai_nano.core.project.workspace import Workspace, new_take
from ai_nano.core.recording.due import DueFrames
from ai_nano.core.unexpected import explained

# 69 frames of 1280x720: two seconds at 30 a second, seven at 10.
QUEUE_BYTES = 192 * 1024 * 1024
WRITERS = 2
# A camera may keep its reader waiting for seconds; then it is closed under it.
STOP_S = 0.5


class Recorder:
    """A take. Whoever looks on asks `saved`, `due`, `missed` and `error`; in the end due = saved + missed.

    Files appear whole, are named by take and number in the order of capture, and are then noted in takes.jsonl.
    """

    def __init__(self, workspace: Workspace, class_name: str, camera: Camera, images: Images, fps: float,
                 count: int | None, seconds: float | None = None) -> None:
        """It ends by itself after `count` images, or `seconds` by the camera's clock."""
        self._workspace = workspace
        self._class_name = class_name
        self._camera = camera
        self._images = images
        self._count = count
        self._seconds = seconds
        self._patient = camera.uri.startswith("file:")  # a file can wait for its reader
        self._rule = DueFrames(fps)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Frame]] = deque()
        self._bytes = self._taken = self._lost = 0
        self._captured = False
        self.saved = 0
        # What the camera gave in all, and for how long by its own clock.
        self.frames = 0
        self.elapsed_s = 0.0
        self.error: AiNanoError | None = None
        self.take = new_take()
        self._threads = [threading.Thread(target=self._capture, name=f"record-{class_name}", daemon=True)]
        self._threads += [threading.Thread(target=self._write, name=f"write-{class_name}", daemon=True) for _ in range(WRITERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Takes no more frames; returns when all that were taken are written. May close the camera."""
        self._stop.set()
        self._threads[0].join(STOP_S)
        if self._threads[0].is_alive():
            self._camera.close()
        for thread in self._threads:
            thread.join()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @property
    def missed(self) -> int:
        """Frames that were due, and that disk, encoder or network were too slow for."""
        return self._lost + self._rule.passed_over

    @property
    def due(self) -> int:
        """Frames that were due by the camera's clock, whatever became of them."""
        return self._taken + self.missed

    # ---- capturing ---------------------------------------------------------------------------------------------------

    def _capture(self) -> None:
        began: float | None = None
        try:
            while not self._stop.is_set() and (self._count is None or self._taken < self._count):
                frame = self._camera.read()
                began = frame.t if began is None else began
                self.frames += 1 + frame.missed
                self.elapsed_s = frame.t - began
                if self._seconds is not None and self.elapsed_s >= self._seconds - self._rule.early:
                    break
                if self._rule.is_due(frame.t, frame.missed):
                    self._take(frame)
        except Exception as error:
            if not self._stop.is_set():
                self._fail(explained(error))
        finally:
            with self._changed:
                self._captured = True
                self._changed.notify_all()

    def _take(self, frame: Frame) -> None:
        size = int(frame.image.nbytes)

        def has_room() -> bool:
            return self._bytes == 0 or self._bytes + size <= QUEUE_BYTES

        with self._changed:
            if self._patient:
                self._changed.wait_for(lambda: has_room() or self._stop.is_set())
            if self.error is not None or not (has_room() or self._patient):
                self._lost += 1
                return
            self._taken += 1
            self._waiting.append((self._taken, frame))
            self._bytes += size
            self._changed.notify_all()

    def _fail(self, error: AiNanoError, lost: int = 0) -> None:
        """The first cause counts, but for the end of a film: what could not be written is worse, and may be heard later."""
        with self._changed:
            if self.error is None or self.error.code == "camera.ended":
                self.error = error
            self._lose(lost)

    def _lose(self, frames: int) -> None:
        """They were taken, and are not written."""
        self._taken -= frames
        self._lost += frames

    # ---- writing -----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._captured)
                if not self._waiting:
                    return
                number, frame = self._waiting.popleft()
            try:
                self._save(number, frame)
            finally:
                with self._changed:
                    self._bytes -= int(frame.image.nbytes)
                    self._changed.notify_all()

    def _save(self, number: int, frame: Frame) -> None:
        name = f"{self.take}-{number:05d}.jpg"
        written = False
        try:
            data = self._images.encode_jpeg(frame.image)
            write_new(self._workspace.image_folder(self._class_name) / name, data)
            written = True
            with self._changed:
                self.saved += 1
            height, width = frame.image.shape[:2]
            self._workspace.note_image({"file": name, "class": self._class_name, "take": self.take, "t": frame.t,
                                        "camera": self._camera.uri, "width": width, "height": height})
        except Exception as error:
            self._end_with(error, written)

    def _end_with(self, error: Exception, written: bool) -> None:
        """What waits is given up, since it would meet the same; what the other writer has in hand may still succeed."""
        told = storage_error(error, self._workspace.path) if isinstance(error, OSError) else explained(error)
        self._stop.set()
        with self._changed:
            waiting = len(self._waiting)
            self._bytes -= sum(int(frame.image.nbytes) for _, frame in self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        self._fail(told, waiting + (not written))
