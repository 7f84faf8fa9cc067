"""How long it will still take."""

import time


class Pace:
    """An estimate from the work done so far, on a monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def eta(self, done: float, total: float) -> float | None:
        """Seconds left; None while nothing can be said."""
        elapsed = time.monotonic() - self._start
        if done <= 0 or elapsed < 0.3:
            return None
        return elapsed * (total - done) / done
