"""One who watches: how many pictures it has room for, which it wishes for, and what it has not taken yet."""

import socket
import time
from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple

from shared.pictures import CREDITS, KEEPS, Lines
from shared.wire import decode

# Of what a laptop may wish for; an inch outside, and the wish makes no sense.
WIDTHS = (160, 1280)
QUALITIES = (30, 90)
RATES = (1, 30)


class Wish(NamedTuple):
    """Pictures at most so many pixels wide, as JPEG of that quality, and so many a second."""

    width: int
    quality: int
    fps: float


# Of the time between two pictures: so much too early is on time, since no camera is exact.
EARLY = 0.3
# Of a viewer that has no word for it.
USUAL = Wish(640, 75, 15)


def wished(message: Dict[str, Any], before: Wish) -> Wish:
    """What the line of a laptop asks for; `before` where it makes no sense."""
    width, quality, fps = message.get("width"), message.get("quality"), message.get("fps")
    if type(width) is not int or type(quality) is not int or isinstance(fps, bool) or not isinstance(fps, (int, float)):
        return before
    asked = Wish(width, quality, fps)
    fits = all(low <= value <= high for value, (low, high) in zip(asked, (WIDTHS, QUALITIES, RATES)))
    return asked if fits else before


class Viewer:
    """`keeps` are the frames that it wants in full size, oldest wish first; `pending` is what its connection did not take."""

    def __init__(self, connection: socket.socket, wish: Wish) -> None:
        self.connection = connection
        self.wish = wish
        self.keeps: Deque[int] = deque(maxlen=KEEPS)
        self.pending = b""
        self._heard: Deque[float] = deque(maxlen=CREDITS)  # when room for a picture was told
        self._due = 0.0
        self._lines = Lines()

    @property
    def ready(self) -> bool:
        return bool(self._heard) and not self.pending

    @property
    def due(self) -> float:
        """From when on it may have its next picture."""
        return self._due - EARLY / self.wish.fps

    def hear(self, data: bytes) -> None:
        """An empty line is room for one picture; what has no meaning is passed over, a newer laptop may have it."""
        for line in self._lines.feed(data):
            if not line:
                self._heard.append(time.monotonic())
                continue
            message = decode(line) or {}
            if message.get("type") == "want":
                self.wish = wished(message, self.wish)
            elif message.get("type") == "keep" and type(message.get("frame")) is int:
                self.keeps.append(message["frame"])

    def waited(self, taken: float) -> float:
        """How long the room for the next picture had been there when that was taken, in seconds; below 0 if it came later."""
        return taken - self._heard[0]

    def given(self, taken: float) -> None:
        """A picture that was taken then: the next one is due an interval later."""
        interval = 1.0 / self.wish.fps
        self._due = interval + (self._due if taken < self._due + interval else taken)
        self._heard.popleft()

    def flush(self) -> None:
        """Sends as much as the connection takes now. Raises OSError."""
        try:
            self.pending = self.pending[self.connection.send(self.pending):]
        except BlockingIOError:
            pass


def share(viewers: List[Viewer]) -> Dict[Any, List[Viewer]]:
    """The viewers by what a picture for them looks like: whoever wishes for the same gets the same JPEG."""
    found: Dict[Any, List[Viewer]] = {}
    for viewer in viewers:
        found.setdefault((viewer.wish.width, viewer.wish.quality), []).append(viewer)
    return found
