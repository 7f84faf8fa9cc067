"""What `from jetson_utils import *` gives."""

import os

import cv2
import numpy

from jetson_face.cuda import *  # noqa: F403
from jetson_face.cuda import CHANNELS, LOG, cudaImage
from jetson_face.video import IMAGES, videoSource  # noqa: F401


def loadImage(filename, format="rgb8"):
    """[U6] Memory of its own, which nobody uses again."""
    if format not in CHANNELS:
        raise Exception(LOG + "loadImage() invalid format string")
    extension = os.path.splitext(filename)[1][1:].lower()
    pixels = cv2.imread(filename, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if extension in IMAGES else None
    if pixels is None:
        raise Exception(LOG + "loadImage() failed to load image")
    kind, channels = CHANNELS[format]
    image = numpy.full(pixels.shape[:2] + (channels,), 255, kind)
    image[:, :, :3] = pixels[:, :, ::-1]
    return cudaImage(image, format)
