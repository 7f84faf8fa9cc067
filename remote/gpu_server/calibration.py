"""How far the network's percentages can be believed, and the temperature that mends them.

A network that says 90 % should be right nine times in ten. Dividing the logits by one number, the temperature, comes close
to that without changing any answer (Guo et al., On Calibration of Modern Neural Networks, 2017).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, Optional

import torch

if TYPE_CHECKING:
    from gpu_server.evaluation import Answers

BINS = 10
LOWEST, HIGHEST = 0.25, 10.0
# Of the temperature's logarithm: a few images, all right, say nothing against a temperature of almost 0.
PRIOR_STD = 0.5
_STEPS = 60
_ROUNDS = 4


def temperature(val: Answers) -> float:
    """The temperature in LOWEST..HIGHEST that fits `val` best; 1.0 without images, or with logits that are no numbers.

    It minimises the negative log-likelihood of all images plus the prior's, log(temperature)^2 / (2 PRIOR_STD^2).
    """
    if len(val.labels) == 0 or not bool(torch.isfinite(val.logits).all()):
        return 1.0
    logits, labels = val.logits.double(), val.labels

    def cost(log: float) -> float:
        likelihood = torch.nn.functional.cross_entropy(logits / math.exp(log), labels, reduction="sum")
        return float(likelihood) + log * log / (2 * PRIOR_STD**2)

    # The cost may have more than one valley: it is looked at everywhere, then closer around the best.
    low, high = math.log(LOWEST), math.log(HIGHEST)
    best = 0.0
    for _ in range(_ROUNDS):
        step = (high - low) / _STEPS
        best = min((low + step * number for number in range(_STEPS + 1)), key=cost)
        low, high = max(low, best - step), min(high, best + step)
    return min(max(math.exp(best), LOWEST), HIGHEST)


def measure(test: Answers, temperature: float) -> Dict[str, Any]:
    """`ece`, `nll` and `bins` of report.json's calibration; None and no bins without images.

    A bin holds low <= confidence < high (the last one 1 too); its `confidence` and `accuracy` are None while it is empty.
    """
    count = len(test.labels)
    if count == 0:
        return {"ece": None, "nll": None, "bins": []}
    logits = test.logits.double() / temperature
    confidences, predicted = logits.softmax(1).max(1)
    right = (predicted == test.labels).double()
    places = (confidences * BINS).floor().clamp(0, BINS - 1)
    bins = []
    error = 0.0
    for place in range(BINS):
        inside = places == place
        size = int(inside.sum())
        confidence = float(confidences[inside].mean()) if size else None
        accuracy = float(right[inside].mean()) if size else None
        if confidence is not None and accuracy is not None:
            error += size / count * abs(accuracy - confidence)
        bins.append(
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "count": size,
                "confidence": _rounded(confidence),
                "accuracy": _rounded(accuracy),
            }
        )
    likelihood = float(torch.nn.functional.cross_entropy(logits, test.labels))
    return {"ece": _rounded(error), "nll": _rounded(likelihood), "bins": bins}


def _rounded(value: Optional[float]) -> Optional[float]:
    """JSON has no NaN, and six digits are more than any picture shows."""
    return None if value is None or not math.isfinite(value) else round(value, 6)
