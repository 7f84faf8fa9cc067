"""imageNet [I1] to [I9]."""

import os
import time

import numpy

from jetson_face import cuda, face, log, tensor_net
from jetson_face.command_line import CommandLine, strings

LOG = "jetson.inference -- "
# IMAGENET_DEFAULT_INPUT, IMAGENET_DEFAULT_OUTPUT
INPUT, OUTPUT = "data", "prob"
THRESHOLD = 0.01
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _text(value, name):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, not {type(value).__name__}")
    return value


class imageNet:
    def __init__(self, network="googlenet", argv=None, **keywords):
        model, labels, blobs = None, None, [INPUT, OUTPUT]
        if keywords:
            model, labels, blobs = self._keywords(keywords)
        threshold = None
        words = strings(argv, LOG + "imageNet.__init()__")
        if words:  # [I2] wins over the keywords
            line = CommandLine(words)
            model = line.string("network") or line.string("model", "googlenet")
            labels = line.string("labels")
            blobs = [line.string("input_blob", INPUT), line.string("output_blob", OUTPUT)]
            threshold = line.number("threshold", THRESHOLD)
        elif model is None:
            model = _text(network, "network")
        try:
            self._load(model, labels, *blobs)
        except tensor_net.LoadFailed:
            log.error(f"{log.TRT}failed to load {model}")
            log.error(log.TRT + "imageNet -- failed to initialize.")
            raise Exception(LOG + "imageNet failed to load network") from None  # [I3] for every cause
        self._threshold = THRESHOLD if threshold is None else threshold
        self._smoothing, self._smoothed = 0.0, None
        self._network_ms = 0.0
        if face.current.top_k:
            self.SetThreshold, self.GetThreshold = self._set_threshold, lambda: self._threshold
            self.SetSmoothing, self.GetSmoothing = self._set_smoothing, lambda: self._smoothing
            self.GetClassLabel = self.GetClassDesc

    def _keywords(self, keywords):
        known = {"model", "labels", "input_blob", "output_blob"} if face.current.keywords else set()
        if set(keywords) - known:
            if face.current.year >= 2023:  # [I1] Python's own words since December 2022
                raise TypeError(f"'{sorted(set(keywords) - known)[0]}' is an invalid keyword argument for this function")
            raise Exception(LOG + "imageNet.__init()__ failed to parse args tuple")
        for name, value in keywords.items():
            _text(value, name)
        return keywords.get("model"), keywords.get("labels"), [keywords.get("input_blob", INPUT),
                                                               keywords.get("output_blob", OUTPUT)]

    def _load(self, model, labels, input_blob, output_blob):
        if face.current.year >= 2023 and not os.path.splitext(model)[1]:
            log.error(f"{log.TRT}couldn't find built-in classification model '{model}'")
            raise tensor_net.LoadFailed()
        if labels is None:
            raise tensor_net.LoadFailed()
        self._model = model
        self._session = tensor_net.load_network(model, input_blob, output_blob)
        shape = {each.name: each.shape for each in self._session.get_inputs()}[input_blob]
        self._input, self._output = input_blob, output_blob
        self._size = (shape[2], shape[3])
        self._classes = {each.name: each.shape for each in self._session.get_outputs()}[output_blob][1]
        self._labels = self._read_labels(labels)

    def _read_labels(self, labels):
        """[I4] Fewer than classes are filled up, more are refused; an empty line at the end is one more."""
        try:
            with open(labels, encoding="utf-8") as stream:
                lines = [line.rstrip("\n") for line in stream]
        except OSError:
            log.error(f"{log.TRT}tensorNet::LoadClassLabels() failed to find {labels}")
            lines = []
            if face.current.year == 2020:
                raise tensor_net.LoadFailed() from None
        described = [line[10:] if len(line) > 9 and line[0] == "n" and line[9] == " " else line for line in lines]
        described += [f"Class #{number}" for number in range(len(described), self._classes)]
        if len(described) != self._classes:
            log.error(f"{log.TRT}imageNet -- failed to load synset class descriptions  ({len(described)} / {len(described)} "
                      f"of {self._classes})")
            raise tensor_net.LoadFailed()
        return described

    def GetNumClasses(self):
        return self._classes

    def GetClassDesc(self, index):
        if not isinstance(index, int):
            raise Exception(LOG + "imageNet failed to parse arguments")
        if not (face.current.year < 2023 and index < 0) and index < self._classes:
            return self._labels[index]
        raise Exception(LOG + "imageNet requested class index is out of bounds")

    def GetNetworkName(self):
        return os.path.basename(self._model)

    def GetNetworkTime(self):
        """[I8] Milliseconds of the network alone."""
        return self._network_ms

    def _set_threshold(self, threshold):
        self._threshold = float(threshold)

    def _set_smoothing(self, factor):
        self._smoothing = float(factor)

    def Classify(self, image, width=0, height=0, format="rgba32f", **keywords):
        """[I5] [I6] [I7]"""
        if set(keywords) - ({"topK"} if face.current.top_k else set()):
            if face.current.year >= 2023:
                raise TypeError(f"'{sorted(keywords)[0]}' is an invalid keyword argument for this function")
            raise Exception(LOG + "imageNet.Classify() failed to parse args tuple")
        if not isinstance(image, cuda.cudaImage):
            raise Exception("jetson.utils -- function wasn't passed a valid cudaImage or cudaMemory object")
        scores = self._run(image)
        top_k = keywords.get("topK", -1)
        if top_k < 0:
            return self._best(scores)
        found = [(index, float(score)) for index, score in enumerate(scores) if score >= numpy.float32(self._threshold)]
        found.sort(key=lambda each: -each[1])
        return found[:top_k] if top_k > 0 else found

    def _best(self, scores):
        index, best = -1, numpy.float32(0.0 if face.current.top_k else -1.0)
        for number, score in enumerate(scores):
            if score > best and not (face.current.top_k and score < numpy.float32(self._threshold)):
                index, best = number, score
        if index < 0 and not face.current.top_k:  # every score is no number
            raise Exception(LOG + "imageNet.Classify() encountered an error classifying the image")
        return index, float(best)

    def _run(self, image):
        cuda.cudaDeviceSynchronize()
        tensor = prepare(image._pixels, *self._size)
        began = time.perf_counter()
        scores = self._session.run([self._output], {self._input: tensor})[0][0]
        self._network_ms = (time.perf_counter() - began) * 1000
        factor = 1 / self._smoothing if self._smoothing > 1 else self._smoothing
        if not 0 < factor < 1:
            return scores
        old = scores if self._smoothed is None else self._smoothed
        self._smoothed = old + numpy.float32(factor) * (scores - old)
        return self._smoothed


def prepare(pixels, height, width):
    """[I9] The kernel gpuTensorNormMean, pixel by pixel, in its order and in float32 throughout."""
    single = numpy.float32
    rows = [int(single(y) * (single(pixels.shape[0]) / single(height))) for y in range(height)]
    columns = [int(single(x) * (single(pixels.shape[1]) / single(width))) for x in range(width)]
    taken = pixels[rows][:, columns]
    multiplier = (single(1.0) - single(0.0)) / single(255.0)
    tensor = numpy.empty((1, 3, height, width), single)
    for channel in range(3):
        value = taken[:, :, channel].astype(single) * multiplier + single(0.0)
        tensor[0, channel] = (value - single(MEAN[channel])) / single(DEVIATION[channel])
    return tensor
