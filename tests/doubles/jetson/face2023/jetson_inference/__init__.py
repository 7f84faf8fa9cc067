"""jetson_inference of 2023."""

import jetson_utils  # noqa: F401
from jetson_face.inference import imageNet

__all__ = ["imageNet"]
VERSION = "1.0.0"
