"""The newest frames as JPEG, for those who watch a run; nothing is encoded while nobody does.

A thread waits at the run's socket (shared/pictures.py) for viewers. Each tells with an empty line that it has room for a
picture; only then the next frame is taken, shrunk and encoded. So a slow viewer gets fewer pictures, never old ones. What
they wish for (viewer.py) is made for each: a frame is shrunk once, to the largest, and encoded once for each wish.
"""

import os
import selectors
import socket
import sys
import threading
import time
import traceback
from typing import Any, List, NamedTuple, Optional

from jetson_nano.album import Album, Page
from jetson_nano.jpeg import encode_jpeg
from jetson_nano.pixels import Pixels
from jetson_nano.viewer import USUAL, Viewer, Wish, share
from shared.pictures import KEEPS, address, pack, trusted
from shared.wire import Run

KEPT_QUALITY = 95
VIEWERS = 4
BLOCK = 4096
JOIN_S = 0.5
NICE = 10


class Shot(NamedTuple):
    """A frame on its way to the viewers; `image` is uint8 BGR (H, W, 3), `taken` is by the monotonic clock."""

    image: Any
    frame: int
    t: float
    taken: float


class Wanted(NamedTuple):
    """A frame for somebody, so wide, from then on by the monotonic clock."""

    width: int
    due: float


class Pictures:
    """`pixels` knows the form of the frames. A viewer gets what is `usual` until it says what it wishes for; the newest
    `keeps` frames that viewers were shown are held for them in full size.

    No trouble with a viewer or with a picture reaches the run's own work: what ends the pictures for good is said once,
    as log `infer.no_pictures` {error}.
    """

    def __init__(self, run: Run, pixels: Pixels, usual: Wish = USUAL, keeps: int = KEEPS) -> None:
        self._run = run
        self._pixels = pixels
        self._usual = usual
        self._album = Album(keeps)
        self._lock = threading.Lock()
        self._wanted: Optional[Wanted] = None
        self._shot: Optional[Shot] = None
        self._trouble: Optional[str] = None
        self._closing = False
        self._viewers: List[Viewer] = []
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A daemon: whatever it hangs in, the run ends when it should.
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
        self._thread.start()

    def offer(self, image: Any, frame: int, t: float) -> None:
        """Takes the frame if somebody waits for it; to be called before the camera's next frame."""
        if self._trouble is not None:
            self._say_trouble()
        wanted, taken = self._wanted, time.monotonic()
        if wanted is None or taken < wanted.due:
            return
        try:
            if self._album.size > 0:
                self._album.add(Page(frame, t, self._pixels.copy(image, self._album.make_room())))
            shot = Shot(self._pixels.picture(image, wanted.width), frame, t, taken)
        except Exception as error:  # the bindings of jetson-utils raise nothing more specific
            self._give_up(error)
            return
        with self._lock:
            self._shot, self._wanted = shot, None
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
            self._trouble, self._wanted, self._closing = f"{type(error).__name__}: {error}", None, True
        self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"1")
        except OSError:
            pass  # it is awake, or has ended

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            _step_back()
            self._open()
            while not self._closing:
                for key, events in self._selector.select():
                    key.data(events)
                self._answer()
                self._deliver()
                with self._lock:
                    self._wanted = None if self._shot is not None or self._closing else self._next()
                if not self._viewers:
                    self._album.clear()
        except Exception as error:
            self._give_up(error)
        finally:
            for viewer in self._viewers:
                viewer.connection.close()
            self._album.clear()
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
        viewer = Viewer(connection, self._usual)
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
                if not data:
                    self._drop(viewer)
                    return
                viewer.hear(data)
            if viewer.pending:
                self._flush(viewer)
        except OSError:
            self._drop(viewer)

    def _next(self) -> Optional[Wanted]:
        """What the next frame is wanted for."""
        ready = [viewer for viewer in self._viewers if viewer.ready]
        if not ready:
            return None
        return Wanted(max(viewer.wish.width for viewer in ready), min(viewer.due for viewer in ready))

    def _answer(self) -> None:
        """Full frames for who asked; one without a JPEG where it is no longer there."""
        for viewer in list(self._viewers):
            while viewer.keeps and not viewer.pending:
                frame = viewer.keeps.popleft()
                page = self._album.find(frame)
                if page is None:
                    self._send(viewer, pack("kept", frame=frame, t=0, width=0, height=0))
                    continue
                image = self._pixels.array(page.copy)
                jpeg, width, height = encode_jpeg(image, image.shape[1], KEPT_QUALITY)
                self._send(viewer, pack("kept", jpeg, frame=frame, t=page.t, width=width, height=height))

    def _deliver(self) -> None:
        with self._lock:
            shot = self._shot
        if shot is not None:
            due = [viewer for viewer in self._viewers if viewer.ready and viewer.due <= shot.taken]
            for (width, quality), viewers in share(due).items():
                jpeg, width, height = encode_jpeg(shot.image, width, quality)
                for viewer in viewers:
                    block = pack("picture", jpeg, frame=shot.frame, t=shot.t, width=width, height=height,
                                 waited=round(viewer.waited(shot.taken), 4))
                    viewer.given(shot.taken)
                    self._send(viewer, block)
        with self._lock:
            if self._shot is shot:
                self._shot = None

    def _send(self, viewer: Viewer, block: bytes) -> None:
        viewer.pending = block
        try:
            self._flush(viewer)
        except OSError:
            self._drop(viewer)

    def _flush(self, viewer: Viewer) -> None:
        viewer.flush()
        self._listen_to(viewer)

    def _drop(self, viewer: Viewer) -> None:
        self._selector.unregister(viewer.connection)
        viewer.connection.close()
        self._viewers.remove(viewer)


def _step_back() -> None:
    """The calling thread gives way to the run's own. On equal terms the kernel lets it encode on the very processor on which it
    was woken, and the loop that woke it waits: 3 ms a frame of 1280x720, in the median (tests/bench/nano.py)."""
    if sys.platform.startswith("linux"):  # elsewhere it is the whole process's
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
