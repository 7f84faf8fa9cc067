"""How a camera frame becomes the network's input: the one place, for training, laptop and Nano (Python 3.6, numpy).

On the Nano, jetson-inference prepares the frame of an ONNX classifier itself (jetson-inference c/tensorConvert.cu,
c/imageNet.cpp): the whole frame is squashed to the network's size by nearest neighbour, without crop or filter, in
float32. A model is therefore trained, measured and tried under exactly this preparation.
"""

from typing import Any, Dict, Sequence, Tuple

import numpy as np

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_input(resolution: int) -> Dict[str, Any]:
    """The input of a classifier as imageNet feeds it, in the form of bundle.json's "input"."""
    return {
        "name": "input_0",
        "shape": [1, 3, resolution, resolution],
        "resize": "nearest",
        "colour": "RGB",
        "range": [0, 1],
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


def nearest_indices(size_in: int, size_out: int) -> np.ndarray:
    """Which of `size_in` source pixels each of `size_out` pixels shows: trunc(x * (in / out)), all in float32.

    In double precision some sizes (720 to 224 among them) give other pixels than the Nano takes.
    """
    scale = np.float32(size_in) / np.float32(size_out)
    indices = (np.arange(size_out, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(indices, size_in - 1)


def squash(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """The whole frame (H, W, channels) at (height, width) by nearest neighbour; its proportions are not kept."""
    rows = nearest_indices(frame.shape[0], height)
    columns = nearest_indices(frame.shape[1], width)
    return frame.take(rows, axis=0).take(columns, axis=1)


def prepare(frame_bgr: np.ndarray, spec: Dict[str, Any]) -> np.ndarray:
    """A frame as OpenCV gives it, uint8 BGR (H, W, 3), as network input, float32 (1, 3, h, w), C-contiguous.

    `spec` is "input" of bundle.json. ValueError when the frame is no such array, or when `spec` asks for a
    preparation that this version does not know: a wrong preparation would only show as wrong answers.
    """
    if frame_bgr.dtype != np.uint8 or frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3 or 0 in frame_bgr.shape:
        raise ValueError("not a BGR frame of bytes: {} {}".format(frame_bgr.dtype, frame_bgr.shape))
    height, width = _known_size(spec)
    low, high = (np.float32(bound) for bound in spec["range"])
    channels = squash(frame_bgr, height, width)[:, :, ::-1].transpose(2, 0, 1)
    values = channels.astype(np.float32, order="C")
    values *= (high - low) / np.float32(255)
    values += low
    values -= _per_channel(spec["mean"])
    values /= _per_channel(spec["std"])
    return values[np.newaxis]


def _known_size(spec: Dict[str, Any]) -> Tuple[int, int]:
    if spec["resize"] != "nearest" or spec["colour"] != "RGB":
        raise ValueError("unknown preparation: resize {!r}, colour {!r}".format(spec["resize"], spec["colour"]))
    batch, channels, height, width = spec["shape"]
    if batch != 1 or channels != 3 or height < 1 or width < 1:
        raise ValueError("unknown input shape: {}".format(spec["shape"]))
    return height, width


def _per_channel(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(3, 1, 1)
