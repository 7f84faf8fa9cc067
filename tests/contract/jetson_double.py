"""Stands in for jetson_inference and jetson_utils; as strict as the real ones in what it accepts (see their sources).

Computes with ONNX Runtime, so that a wrong model, label file, blob or frame gives a wrong answer here too. What varies
between releases is chosen by the environment: JETSON_DOUBLE holds words of `topk` (Classify knows topK, since December
2022), `none` (Capture answers None on a time-out, since March 2023), `nonumpy` (built where there was no NumPy);
`nocv2` is a machine without OpenCV.

CUDA's work is queued and done when somebody waits for it; a frame's memory is the next frame's. The file JETSON_RESIZED
gets a letter for every image that is resized. Python 3.6.
"""

import os
import sys
import time

import cv2
import numpy
import onnxruntime

from shared.preprocess import imagenet_input, prepare

FEATURES = os.environ["JETSON_DOUBLE"].split(",")
FLAGS = ("--model=", "--labels=", "--input_blob=", "--output_blob=", "--threshold=", "--input-flip=", "--headless")


def _parse(argv):
    """Flags by name. The real parser ignores what it does not know; a flag that was removed would be lost in silence."""
    assert "DISPLAY" not in os.environ
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise Exception("failed to parse argv list")
    for word in argv[1:]:
        assert word.startswith(FLAGS), word
    return dict(word[2:].partition("=")[::2] for word in argv[1:])


_queue = []


def cudaDeviceSynchronize():
    while _queue:
        _queue.pop(0)()


class cudaImage:
    """An image in memory that both processors see: opaque, no array."""

    format = "rgb8"

    def __init__(self, rgb):
        self._rgb = rgb

    @property
    def width(self):
        return self._rgb.shape[1]

    @property
    def height(self):
        return self._rgb.shape[0]


def cudaAllocMapped(size=0, width=0, height=0, format=None):
    for number in (size, width, height):
        if not isinstance(number, int):
            raise TypeError("an integer is required")
    if width <= 0 or height <= 0:
        raise Exception("cudaMalloc() requested size/dimensions are negative or zero")
    if format != cudaImage.format:
        raise Exception("cudaMalloc() invalid format string")
    return cudaImage(numpy.full((height, width, 3), 127, numpy.uint8))


def cudaResize(input, output):
    """Without the newer releases' `filter`; nearest neighbour, as theirs is when it shrinks."""
    if not isinstance(input, cudaImage) or not isinstance(output, cudaImage):
        raise Exception("cudaResize() failed to get input/output image pointers (should be cudaImage)")

    def work():
        rows = numpy.arange(output.height) * input.height // output.height
        columns = numpy.arange(output.width) * input.width // output.width
        output._rgb[:] = input._rgb[rows][:, columns]

    with open(os.environ["JETSON_RESIZED"], "a") as stream:
        stream.write("x")
    _queue.append(work)


def cudaToNumpy(array, width=0, height=1, depth=1):
    """The memory itself, not a copy."""
    if not isinstance(array, cudaImage):
        raise Exception("cudaToNumpy() failed to get input CUDA pointer from first arg (should be cudaImage or cudaMemory)")
    return array._rgb


class imageNet:
    def __init__(self, network="googlenet", argv=None):
        flags = _parse(argv)
        # Without these the real one looks for the blobs `data` and `prob`.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the tests beside it want the others
        self._session = onnxruntime.InferenceSession(flags["model"], options, providers=["CPUExecutionProvider"])
        shape = self._session.get_inputs()[0].shape
        if flags["input_blob"] != self._session.get_inputs()[0].name:
            raise Exception("imageNet failed to load network")
        self._spec = dict(imagenet_input(shape[2]), name=flags["input_blob"])
        self._output = flags["output_blob"]
        self._outputs = self._session.get_outputs()[0].shape[1]
        with open(flags["labels"], encoding="utf-8") as stream:
            labels = stream.read().split("\n")
        if labels[-1] == "" or len(labels) > self._outputs:
            raise Exception("imageNet failed to load network")
        with open(flags["model"] + ".1.1.8001.GPU.FP16.engine", "wb"):
            pass
        self._threshold = 0.01
        if "topk" in FEATURES:
            self.SetThreshold = self._set_threshold

    def _set_threshold(self, threshold):
        self._threshold = float(threshold)

    def GetNumClasses(self):
        return self._outputs

    def GetNetworkTime(self):
        return 1.5

    def Classify(self, image, **keywords):
        if not isinstance(image, cudaImage):
            raise TypeError("Classify() expects a cudaImage")
        if set(keywords) - ({"topK"} if "topk" in FEATURES else set()):
            raise Exception("imageNet.Classify() failed to parse args tuple")
        cudaDeviceSynchronize()
        bgr = numpy.ascontiguousarray(image._rgb[:, :, ::-1])
        scores = self._session.run([self._output], {self._spec["name"]: prepare(bgr, self._spec)})[0][0]
        order = [(int(index), float(scores[index])) for index in numpy.argsort(-scores)
                 if scores[index] >= self._threshold]
        if "topK" in keywords:
            return order[:keywords["topK"] or None]
        return order[0] if order else (-1, 0.0)


class videoSource:
    """A folder of images; each is preceded by one time-out, and after the last the stream is closed."""

    def __init__(self, uri="csi://0", argv=None):
        self.flags = _parse(argv)
        folder = uri[len("file://"):] if uri.startswith("file://") else uri
        if not os.path.isdir(folder):
            raise Exception("failed to create videoSource device")
        self._paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        self._turn = 0
        self._memory = None
        self._streaming = True

    def Capture(self, format="rgb8", timeout=1000):
        if self._memory is not None:
            self._memory[:] = 0  # it is the camera's again
        self._turn += 1
        if self._turn % 2:
            time.sleep(0.01)
            if "none" in FEATURES:
                return None
            raise Exception("videoSource failed to capture image")
        if not self._paths:
            self._streaming = False
            raise Exception("videoSource failed to capture image")
        bgr = _imread(self._paths.pop(0))
        rgb = bgr[::-1, ::-1, ::-1] if self.flags.get("input-flip") == "rotate-180" else bgr[:, :, ::-1]
        if self._memory is None:
            self._memory = numpy.empty_like(rgb)
        self._memory[:] = rgb
        return cudaImage(self._memory)

    def IsStreaming(self):
        return self._streaming

    def Close(self):
        self._streaming = False


INFERENCE = [imageNet]
UTILS = [videoSource, cudaAllocMapped, cudaDeviceSynchronize, cudaResize]
if "nonumpy" not in FEATURES:
    UTILS.append(cudaToNumpy)
_imread = cv2.imread
if "nocv2" in FEATURES:
    sys.modules["cv2"] = None
