"""What a training is asked for, checked."""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Optional

from shared.wire import Failure

RECIPES = ("quick", "fine", "classic")
_MOST_EPOCHS = 10_000
_LARGEST_BATCH = 1024
_MOST_MINUTES = 7 * 24 * 60


class Settings(NamedTuple):
    """None is the recipe's own choice."""

    recipe: str
    arch: str
    epochs: Optional[int]
    seed: int
    weights: Optional[str]
    lr: Optional[float]
    batch: Optional[int]
    minutes: Optional[float]


def read(given: Dict[str, Any]) -> Settings:
    """Failures: `train.unknown_recipe` {recipe, known}, `train.bad_parameter` {name, value}."""
    recipe = given.get("recipe") or "quick"
    if recipe not in RECIPES:
        raise Failure("train.unknown_recipe", recipe=str(recipe), known=", ".join(RECIPES))
    weights = given.get("weights")
    if weights is not None and not isinstance(weights, str):
        raise Failure("train.bad_parameter", name="weights", value=str(weights))
    return Settings(
        recipe,
        str(given.get("arch") or "efficientnet_lite0"),
        _whole(given, "epochs", 1, _MOST_EPOCHS),
        _whole(given, "seed", 0, 2**63 - 1) or 0,
        weights,
        _number(given, "lr", 1e9),
        _whole(given, "batch", 1, _LARGEST_BATCH),
        _number(given, "minutes", _MOST_MINUTES),
    )


def _whole(given: Dict[str, Any], name: str, low: int, high: int) -> Optional[int]:
    value = given.get(name)
    if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        raise Failure("train.bad_parameter", name=name, value=str(value))
    return value


def _number(given: Dict[str, Any], name: str, high: float) -> Optional[float]:
    """Above 0."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and 0 < value <= high):
        raise Failure("train.bad_parameter", name=name, value=str(value))
    return float(value)
