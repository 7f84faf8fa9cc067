"""Hints from a camera's frames while somebody aims."""

from collections.abc import Callable

from ai_nano.cameras.looks import measure
from ai_nano.core.hints.advice import Hint, Steady
from ai_nano.core.ports import Frame

# Five looks a second, whatever the camera's rate; a little less, since frames do not come to the millisecond.
EVERY_S = 0.19


class HintWatch:
    """Called with every frame of a preview, in the preview's thread, and tells what is to be shown after each look.

    A look costs that thread less than a frame's way to the screen does, and the recorder has its own.
    """

    def __init__(self, tell: Callable[[list[Hint]], None]) -> None:
        self._tell = tell
        self._steady = Steady()
        self._last = float("-inf")

    def see(self, frame: Frame) -> None:
        if not 0 <= frame.t - self._last < EVERY_S:
            self._last = frame.t
            self._tell(self._steady.update(measure(frame.image), frame.t))
