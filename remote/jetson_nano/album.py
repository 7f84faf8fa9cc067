"""The newest frames that viewers were shown, in full size, in memory: for the one among them that somebody wants to keep."""

import threading
from typing import Any, List, NamedTuple, Optional, Set


class Page(NamedTuple):
    """`copy` in the form of jetson_nano/pixels.py; `frame` and `t` are those of the prediction."""

    frame: int
    t: float
    copy: Any


class Album:
    """At most `size` of them; 0 holds none. Methods may be called from any thread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._pages: List[Page] = []
        self._lent: Set[int] = set()

    def make_room(self) -> Any:
        """The oldest one gives way if it must: its memory, unless somebody may still be reading it."""
        with self._lock:
            if len(self._pages) < self.size:
                return None
            oldest = self._pages.pop(0)
            if oldest.frame not in self._lent:
                return oldest.copy
            self._lent.remove(oldest.frame)
            return None

    def add(self, page: Page) -> None:
        with self._lock:
            self._pages.append(page)

    def find(self, frame: int) -> Optional[Page]:
        """None where it is no longer there. Nobody writes over what was found."""
        with self._lock:
            for page in self._pages:
                if page.frame == frame:
                    self._lent.add(frame)
                    return page
        return None

    def clear(self) -> None:
        with self._lock:
            self._pages, self._lent = [], set()
