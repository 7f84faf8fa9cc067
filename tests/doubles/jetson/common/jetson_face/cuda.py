"""CUDA's images: memory that both processors see. Work on it is queued, and done when somebody waits for it [U4]."""

import numpy

from jetson_face import face, settings

LOG = "jetson.utils -- "
CHANNELS = {"rgb8": (numpy.uint8, 3), "rgba8": (numpy.uint8, 4), "rgb32f": (numpy.float32, 3), "rgba32f": (numpy.float32, 4)}
_queue = []


class cudaImage:
    """Opaque, no array [U1]. `timestamp` came in 2022."""

    def __init__(self, pixels, format):
        self._pixels = pixels
        self.format = format
        self.height, self.width, self.channels = self.shape = pixels.shape
        self.size = pixels.nbytes
        self.mapped = True
        if face.current.year >= 2022:
            self.timestamp = 0

    def __repr__(self):
        return f"<{LOG.split(' ')[0]}.cudaImage object>"


def cudaDeviceSynchronize():
    while _queue:
        _queue.pop(0)()


def cudaAllocMapped(size=0, width=0, height=0, format=None):
    """[U2]"""
    for number in (size, width, height):
        if not isinstance(number, (int, float)):
            raise TypeError("an integer is required")
    if size <= 0 and (width <= 0 or height <= 0):
        raise Exception(LOG + "cudaAllocMapped() requested size/dimensions are negative or zero")
    if format not in CHANNELS:
        raise Exception(LOG + "cudaAllocMapped() invalid format string")
    kind, channels = CHANNELS[format]
    return cudaImage(numpy.full((int(height), int(width), channels), 127, kind), format)


def cudaResize(input, output):
    """[U3] Nearest neighbour, as theirs is when it shrinks."""
    if not isinstance(input, cudaImage) or not isinstance(output, cudaImage):
        raise Exception(LOG + "cudaResize() failed to get input/output image pointers (should be cudaImage)")
    if input.format != output.format:
        raise Exception(LOG + "cudaResize() input and output image formats are different")

    def work():
        rows = numpy.arange(output.height) * input.height // output.height
        columns = numpy.arange(output.width) * input.width // output.width
        output._pixels[:] = input._pixels[rows][:, columns]

    _queue.append(work)


def _cudaToNumpy(array, width=0, height=1, depth=1):
    """[U5] The memory itself, not a copy."""
    if not isinstance(array, cudaImage):
        raise Exception(LOG + "cudaToNumpy() failed to get input CUDA pointer from first arg "
                        "(should be cudaImage or cudaMemory)")
    return array._pixels


if settings.get("numpy"):  # built where there was NumPy
    cudaToNumpy = _cudaToNumpy
