"""How fast a classification is: frames per second, and what each stage of a frame takes."""

import statistics
from collections import deque
from collections.abc import Mapping

RATE_OVER_S = 2.0
STAGES_OVER_S = 1.0
# Far more than a Nano classifies in that time.
MOST_KEPT = 1000


class Pace:
    """Times are seconds of one clock that only grows; all of a frame is what it took in milliseconds, by stage."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=MOST_KEPT)

    def add(self, at: float, ms: Mapping[str, float]) -> None:
        self._frames.append((at, ms))

    def clear(self) -> None:
        self._frames.clear()

    def rate(self, now: float) -> float | None:
        """Frames per second over the last two; None while too little has been seen."""
        since = [at for at, _ in self._frames if now - at < RATE_OVER_S]
        span = now - since[0] if since else 0.0
        return (len(since) - 1) / span if span > RATE_OVER_S / 2 else None

    def stages(self, now: float) -> dict[str, float]:
        """The median of the last second, by stage in the order of the work; empty where the Nano tells none."""
        found: dict[str, list[float]] = {}
        for at, ms in self._frames:
            if now - at < STAGES_OVER_S:
                for stage, value in ms.items():
                    found.setdefault(stage, []).append(value)
        return {stage: statistics.median(values) for stage, values in found.items()}
