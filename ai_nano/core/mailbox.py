"""A mailbox for one thing, the newest: between a thread that makes frames and a screen that shows what it can."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """`poke` is called in the putting thread, once until the next `take`: however slow the taker, one poke waits for it."""

    def __init__(self, poke: Callable[[], None]) -> None:
        self._poke = poke
        self._lock = threading.Lock()
        self._newest: T | None = None
        self._poked = False

    def put(self, thing: T) -> None:
        with self._lock:
            self._newest = thing
            poke, self._poked = not self._poked, True
        if poke:
            self._poke()

    def take(self) -> T | None:
        """The newest thing that was put since the last take; None when there was none."""
        with self._lock:
            newest, self._newest, self._poked = self._newest, None, False
        return newest
