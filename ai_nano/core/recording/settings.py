"""How a project is recorded: images a second, a burst's countdown and length, and how many images each class is to get."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

KEY = "recording"
# The least and the most of each.
BOUNDS = {"fps": (1, 30), "countdown_s": (0, 10), "count": (1, 1000), "target": (3, 5000)}


@dataclass(frozen=True)
class RecordSettings:
    """`fps`: images a second, of every recording; `countdown_s` and `count`: of a burst; `target`: images for each class."""

    fps: int = 10
    countdown_s: int = 3
    count: int = 50
    target: int = 200

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "RecordSettings":
        """Those of a workspace. Somebody may have edited the file: what is no number within its bounds is as usual."""
        kept = settings.get(KEY)
        found = {}
        for field in fields(cls):
            value = kept.get(field.name) if isinstance(kept, dict) else None
            low, high = BOUNDS[field.name]
            if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
                found[field.name] = value
        return cls(**found)

    def to_json(self) -> dict[str, int]:
        return asdict(self)
