"""Which class is shown, frame by frame: threshold, smoothing and hysteresis, so that LEDs follow objects and not noise.

Pure: no clock, no hardware. What a frame shows is decided with this frame, never later: with smoothing off and an object
that the network is sure of, the LED changes in the frame that caused it.
"""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

NOTHING = -1


class Settings(NamedTuple):
    """How a class comes to be shown.

    threshold     0 to 1: a class is recognised from here on
    hysteresis    0 to 1: what is shown stays until it falls below threshold - hysteresis, or another class is recognised
                  and ahead of it by more than this
    smoothing_s   time constant of the running mean over the frames, in seconds; 0 takes each frame by itself
    """

    threshold: float
    hysteresis: float = 0.0
    smoothing_s: float = 0.0


class Decision:
    """The class that is shown; `settings` may be exchanged between two frames."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._shown = NOTHING
        self._mean: List[float] = []
        self._at = 0.0

    @property
    def mean(self) -> List[float]:
        """The smoothed probabilities of the frame that was looked at last."""
        return list(self._mean)

    def forget(self) -> None:
        """After a gap, for example a lost camera: what was seen before says nothing about what is there now."""
        self._shown = NOTHING
        self._mean = []

    def look(self, probabilities: Sequence[Optional[float]], at: float) -> int:
        """The index of the class to show, or NOTHING; `at` is the frame's time in seconds, of any clock that only grows.

        What the engine does not tell (None) is taken to share evenly what the known classes leave.
        """
        self._smooth(completed(probabilities), at)
        self._shown = self._choose()
        return self._shown

    def _smooth(self, values: List[float], at: float) -> None:
        weight = 1.0
        if self.settings.smoothing_s > 0 and len(self._mean) == len(values):
            weight = 1.0 - math.exp(-max(0.0, at - self._at) / self.settings.smoothing_s)
        self._mean = [old + weight * (new - old) for old, new in zip(self._mean, values)] if weight < 1 else values
        self._at = at

    def _choose(self) -> int:
        threshold, hysteresis, _ = self.settings
        best = max(range(len(self._mean)), key=self._mean.__getitem__) if self._mean else NOTHING
        recognised = best != NOTHING and self._mean[best] >= threshold
        if 0 <= self._shown < len(self._mean):
            shown = self._mean[self._shown]
            # Without this bound a hysteresis as large as the threshold would show a class for ever.
            kept = shown >= threshold - hysteresis and shown > 0
            if kept and not (recognised and self._mean[best] - shown > hysteresis):
                return self._shown
        return best if recognised else NOTHING


def completed(probabilities: Sequence[Optional[float]]) -> List[float]:
    """Every class with a number."""
    known = [value for value in probabilities if value is not None]
    unknown = len(probabilities) - len(known)
    share = max(0.0, 1.0 - sum(known)) / unknown if unknown else 0.0
    return [share if value is None else value for value in probabilities]


def is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 60


_ALLOWED = {"threshold": is_fraction, "hysteresis": is_fraction, "smoothing_s": is_seconds}


def wrong(params: Dict[str, Any]) -> Optional[str]:
    """The first setting in `params` that makes no sense; None when all that are there do."""
    for name, allowed in _ALLOWED.items():
        if params.get(name) is not None and not allowed(params[name]):
            return name
    return None


def changed(settings: Settings, params: Dict[str, Any]) -> Settings:
    """The settings with those of `params` that are there and make sense."""
    good = {name: float(params[name]) for name, allowed in _ALLOWED.items() if allowed(params.get(name))}
    return settings._replace(**good)
