"""The newest frames as JPEG, for those who watch a classification; nothing is encoded while nobody does.

A thread waits at the run's socket (shared/pictures.py) for viewers. Each tells with one byte that it has room for a
picture; only then the next frame is taken, shrunk and encoded. So a slow viewer gets fewer pictures, never old ones.
"""

import selectors
import socket
import threading
import time
import traceback
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from shared.pictures import CREDIT, LINE_BYTES, address, pack, trusted
from shared.wire import Run

WIDTH = 640
QUALITY = 75
INTERVAL_S = 1 / 15
VIEWERS = 4
# A viewer that asks for more before it has any does not get more.
CREDITS = 8
BLOCK = 4096
JOIN_S = 0.5


class Shot(NamedTuple):
    """A frame on its way to the viewers; `image` is uint8 BGR (H, W, 3)."""

    image: Any
    frame: int
    t: float


class Viewer:
    """One who watches: how many pictures it has room for, and what it has not taken yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pending = b""
        self._credit = 0
        self._line = b""

    @property
    def ready(self) -> bool:
        return self._credit > 0 and not self.pending

    def hear(self, data: bytes) -> bool:
        """An empty line is room for one picture; other lines are a newer laptop's. False for what is no line at all."""
        lines = (self._line + data).split(CREDIT)
        self._line = lines.pop()
        self._credit = min(CREDITS, self._credit + lines.count(b""))
        return len(self._line) <= LINE_BYTES

    def give(self, block: bytes) -> None:
        self._credit -= 1
        self.pending = block

    def flush(self) -> None:
        """Sends as much as the connection takes now. Raises OSError."""
        try:
            self.pending = self.pending[self.connection.send(self.pending):]
        except BlockingIOError:
            pass


class Pictures:
    """`shrink(image, width)` makes a uint8 BGR array of an engine's frame that the next frame leaves as it is.

    No trouble with a viewer or with a picture reaches the classification: what ends the pictures for good is said once,
    as log `infer.no_pictures` {error}.
    """

    def __init__(self, run: Run, shrink: Callable[[Any, int], Any]) -> None:
        self._run = run
        self._shrink = shrink
        self._lock = threading.Lock()
        self._wanted = False
        self._shot: Optional[Shot] = None
        self._due = 0.0
        self._trouble: Optional[str] = None
        self._closing = False
        self._viewers: List[Viewer] = []
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A daemon: whatever it hangs in, the classification ends when it should.
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
        self._thread.start()

    def offer(self, image: Any, frame: int, t: float) -> None:
        """Takes the frame if somebody waits for it; to be called before the camera's next frame."""
        if self._trouble is not None:
            self._say_trouble()
        if not self._wanted:
            return
        now = time.monotonic()
        if now < self._due:
            return
        self._due = max(self._due, now - INTERVAL_S) + INTERVAL_S
        try:
            shot = Shot(self._shrink(image, WIDTH), frame, t)
        except Exception as error:  # the bindings of jetson-utils raise nothing more specific
            self._give_up(error)
            return
        with self._lock:
            self._shot, self._wanted = shot, False
        self._wake()

    def close(self) -> None:
        self._closing = True
        self._wake()
        self._thread.join(JOIN_S)
        self._waker.close()

    def _say_trouble(self) -> None:
        with self._lock:
            trouble, self._trouble = self._trouble, None
        if trouble is not None:
            self._run.log("infer.no_pictures", level="warning", error=trouble)

    def _give_up(self, error: Exception) -> None:
        traceback.print_exc()
        with self._lock:
            self._trouble, self._wanted, self._closing = f"{type(error).__name__}: {error}", False, True
        self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"1")
        except OSError:
            pass  # it is awake, or has ended

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._open()
            while not self._closing:
                for key, events in self._selector.select():
                    key.data(events)
                self._deliver()
                with self._lock:
                    if self._shot is None:
                        self._wanted = not self._closing and any(viewer.ready for viewer in self._viewers)
        except Exception as error:
            self._give_up(error)
        finally:
            for viewer in self._viewers:
                viewer.connection.close()
            self._listener.close()
            self._woken.close()
            self._selector.close()

    def _open(self) -> None:
        self._selector.register(self._woken, selectors.EVENT_READ, lambda events: self._woken.recv(BLOCK))
        self._listener.bind(address(self._run.path))
        self._listener.listen(VIEWERS)
        self._selector.register(self._listener, selectors.EVENT_READ, lambda events: self._accept())

    def _accept(self) -> None:
        try:
            connection = self._listener.accept()[0]
        except OSError:
            return  # it has gone again
        if len(self._viewers) == VIEWERS or not trusted(connection):
            connection.close()
            return
        connection.setblocking(False)
        viewer = Viewer(connection)
        self._viewers.append(viewer)
        self._listen_to(viewer)

    def _listen_to(self, viewer: Viewer) -> None:
        """And to when it takes more, while something is pending."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if viewer.pending else 0)
        key = self._selector.get_map().get(viewer.connection)
        if key is None:
            self._selector.register(viewer.connection, events, lambda seen: self._serve(viewer, seen))
        elif key.events != events:
            self._selector.modify(viewer.connection, events, key.data)

    def _serve(self, viewer: Viewer, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = viewer.connection.recv(BLOCK)
                if not data or not viewer.hear(data):
                    self._drop(viewer)
                    return
            if viewer.pending:
                self._flush(viewer)
        except OSError:
            self._drop(viewer)

    def _deliver(self) -> None:
        with self._lock:
            shot = self._shot
        ready = [viewer for viewer in self._viewers if viewer.ready]
        if shot is not None and ready:
            jpeg, width, height = encode_jpeg(shot.image)
            block = pack("picture", jpeg, frame=shot.frame, t=shot.t, width=width, height=height)
            for viewer in ready:
                viewer.give(block)
                try:
                    self._flush(viewer)
                except OSError:
                    self._drop(viewer)
        with self._lock:
            if self._shot is shot:
                self._shot = None

    def _flush(self, viewer: Viewer) -> None:
        viewer.flush()
        self._listen_to(viewer)

    def _drop(self, viewer: Viewer) -> None:
        self._selector.unregister(viewer.connection)
        viewer.connection.close()
        self._viewers.remove(viewer)


def encode_jpeg(image: Any) -> Tuple[bytes, int, int]:
    """A uint8 BGR array as JPEG no wider than WIDTH, with its width and height. Raises ImportError.

    Through OpenCV, or Pillow where there is no OpenCV (jetson-inference itself needs neither).
    """
    import numpy

    height, width = image.shape[:2]
    if width > WIDTH:
        height, width = max(1, round(height * WIDTH / width)), WIDTH
    try:
        import cv2
    except ImportError:
        return _encode_with_pillow(numpy.ascontiguousarray(image[:, :, ::-1]), width, height), width, height
    pixels = numpy.ascontiguousarray(image)
    if width < pixels.shape[1]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    encoded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise ValueError("OpenCV did not encode the picture")
    return data.tobytes(), width, height


def _encode_with_pillow(rgb: Any, width: int, height: int) -> bytes:
    import io

    from PIL import Image

    picture = Image.fromarray(rgb)
    if picture.size != (width, height):
        picture = picture.resize((width, height))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
