"""What every engine is and answers."""

from typing import Any, List, NamedTuple, Optional, Sequence

from jetson_nano.pixels import Pixels
from shared.wire import Failure


class Answer(NamedTuple):
    """`class_index` is -1 when no class is known; `probabilities` has None for what the engine does not tell.

    Milliseconds that this frame took: to make the network's input of it, and in the network.
    """

    class_index: int
    confidence: float
    probabilities: List[Optional[float]]
    preprocess_ms: float = 0.0
    network_ms: float = 0.0


class Engine:
    """A loaded network. `name` is the engine's name in config.json, `pixels` what its source's frames are made of."""

    name = ""
    pixels: Pixels

    def classify(self, image: Any) -> Answer:
        """Of a frame in the form that this engine's source gives."""
        raise NotImplementedError


def best(probabilities: Sequence[float]) -> Answer:
    """Raises Failure infer.bad_output when the network gave something that is no number."""
    values = [float(value) for value in probabilities]
    if not all(value - value == 0 for value in values):  # false for NaN and infinity
        raise Failure("infer.bad_output")
    index = max(range(len(values)), key=values.__getitem__)
    return Answer(index, values[index], list(values))
