"""jetson.inference of 2020, as its __init__.py loads the extension module."""

from jetson_face.inference import imageNet

import jetson.utils  # noqa: F401

__all__ = ["imageNet"]
VERSION = "1.0.0"
