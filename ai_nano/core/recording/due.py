"""Which frames of a camera are due: so many a second by the frames' own clock, however many the camera gives.

The rule: the first frame is due. After it a frame is due as soon as its time has come, or little less (`early`), and the next
time is one period later, counted from the time that was due and not from the frame. So 10 of 25, 30 or 15 frames a second
are 10 in each second, without drift, and of a camera that gives no more than is asked every frame is due. Where frames come
late, CATCH_UP_S is made up for and no more: frames that a busy computer or a network brought all at once are due as if they
had come in time, and a camera that was still for a second is not followed by a second's frames at once.
"""

# Half a frame of a 30 fps camera: the next one would be as late as this one is early.
EARLY_S = 1 / 60
# Where as many are asked for as cameras give, each frame is the one that was due, however unevenly they come.
MANY_FPS, EARLY_OF_MANY = 24.0, 0.9
CATCH_UP_S = 0.2


class DueFrames:
    """Asked of each frame in order."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self.early = EARLY_OF_MANY * self._period if fps > MANY_FPS else EARLY_S
        self._catch_up = max(CATCH_UP_S, self._period)
        self._next: float | None = None
        self._last = 0.0
        # Due times that went by between frames that were given, and for which none was taken in time.
        self.passed_over = 0

    def is_due(self, t: float, missed: int = 0) -> bool:
        """`t`: the unix time of the frame; `missed`: frames between the last one and this that nobody took in time."""
        if self._next is None or t < self._last:  # the computer's clock was set back
            self._next = t
        if missed:
            gone = max(0, min(missed, int((t + self.early - self._next) / self._period)))
            self.passed_over += gone
            self._next += gone * self._period
        self._last = t
        if t < self._next - self.early:
            return False
        self._next = max(self._next + self._period, t - self._catch_up)
        return True
