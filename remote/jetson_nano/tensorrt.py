"""TensorRT through jetson-inference (dusty-nv): the network and the camera, with frames that stay on the GPU.

Read from the sources of jetson-inference and jetson-utils from 2020 on: every release looks the blobs up with an
underscore (`--input_blob`; only newer ones also take a hyphen), older ones raise a plain Exception for a keyword they
do not know, and `Capture` says "nothing yet" with None since 2023 and with an exception before.
"""

import importlib
import os
import sys
import time
from typing import Any, List, Optional, Tuple

from jetson_nano.engine import Answer, Engine, best
from jetson_nano.model import Model
from jetson_nano.sources import Frame, Source, SourceEnded, SourceLost, local_path
from shared.wire import Failure, Run

MODULES = (("jetson_inference", "jetson_utils"), ("jetson.inference", "jetson.utils"))
CAPTURE_MS = 500
RAISED_PAUSE_S = 0.05
SCHEMES = ("csi", "v4l2", "rtsp", "rtp", "webrtc", "file")


def import_jetson() -> Tuple[Any, Any]:
    """(jetson_inference, jetson_utils) under the names of this release. Raises Failure infer.engine_missing."""
    os.environ.pop("DISPLAY", None)  # jetson-utils would open a window there
    missing: Optional[ImportError] = None
    for inference, utils in MODULES:
        try:
            return importlib.import_module(inference), importlib.import_module(utils)
        except ImportError as error:
            missing = missing or error
    raise Failure("infer.engine_missing", engine="tensorrt", module="jetson_inference", error=str(missing)) from missing


class TensorRtEngine(Engine):
    """imageNet; a frame is a cudaImage, which imageNet prepares itself as shared/preprocess.py describes."""

    name = "tensorrt"

    def __init__(self, model: Model, run: Run) -> None:
        """Raises Failure infer.engine_missing, infer.engine_failed, infer.labels_mismatch.

        The first load of a model builds its TensorRT engine beside model.onnx, which takes minutes on a Nano.
        """
        inference, self._utils = import_jetson()
        if not list(model.onnx.parent.glob("*.engine")):
            run.log("infer.building_engine", model=model.name)
        # imageNet takes an empty line at the end for a class; a copy has none, whatever was delivered.
        labels = run.path / "labels.txt"
        labels.write_bytes("\n".join(model.classes).encode("utf-8"))
        output = model.output_name
        argv = [sys.argv[0], f"--model={model.onnx}", f"--labels={labels}", f"--input_blob={model.input['name']}",
                f"--output_blob={output}", "--headless"]
        try:
            self._net = inference.imageNet("custom", argv)
        except Exception as error:  # the bindings raise nothing more specific
            raise Failure("infer.engine_failed", engine=self.name, model=model.name, error=str(error)) from error
        self._classes = len(model.classes)
        outputs = self._net.GetNumClasses()
        if outputs != self._classes:
            raise Failure("infer.labels_mismatch", model=model.name, labels=self._classes, outputs=outputs)
        if hasattr(self._net, "SetThreshold"):
            self._net.SetThreshold(0.0)  # else classes below 0.01 are left out
        self._top_k: Optional[bool] = None
        self._small: Any = None

    def classify(self, image: Any) -> Answer:
        if self._top_k is not False:
            try:
                known = dict(self._net.Classify(image, topK=0))
                self._top_k = True
                return best([known.get(index, 0.0) for index in range(self._classes)])
            except Failure:
                raise
            except Exception:  # TypeError or, in older releases, Exception: this release knows no topK
                if self._top_k:
                    raise
                self._top_k = False
        index, confidence = self._net.Classify(image)
        probabilities: List[Optional[float]] = [None] * self._classes
        if index < 0:
            return Answer(-1, 0.0, probabilities)
        probabilities[index] = confidence
        return Answer(index, confidence, probabilities)

    def picture(self, image: Any, width: int) -> Any:
        """Shrunk on the GPU into memory of our own: the camera's is reused, and slow to read for the Nano's processor.

        Raises what jetson-utils raises; AttributeError where it was built without NumPy.
        """
        utils = self._utils
        width = min(width, image.width)
        height = max(1, round(image.height * width / image.width))
        if self._small is None or (self._small.width, self._small.height) != (width, height):
            self._small = utils.cudaAllocMapped(width=width, height=height, format=image.format)
        utils.cudaResize(image, self._small)
        utils.cudaDeviceSynchronize()  # cudaResize only queues the work
        return utils.cudaToNumpy(self._small)[:, :, ::-1]


class JetsonSource(Source):
    """jetson_utils.videoSource: cameras (csi://0, /dev/video0), rtsp:// and files; http:// is none of its protocols."""

    def __init__(self, uri: str, flip: Optional[str]) -> None:
        """Raises SourceLost, Failure infer.engine_missing, infer.camera_unsupported."""
        _, utils = import_jetson()
        resource = _jetson_uri(uri)
        argv = [sys.argv[0], "--headless"] + ([f"--input-flip={flip}"] if flip else [])
        try:
            self._video = utils.videoSource(resource, argv)
        except Exception as error:
            raise SourceLost(str(error)) from error
        self._stored = uri.startswith("file:") or local_path(uri) is not None

    def read(self, timeout_s: float) -> Optional[Frame]:
        """Waits up to half a second for the camera, whatever the time-out: Capture starts anew with each call."""
        try:
            image = self._video.Capture(timeout=CAPTURE_MS)
        except Exception as error:
            if self._video.IsStreaming():
                time.sleep(RAISED_PAUSE_S)
                return None
            raise (SourceEnded() if self._stored else SourceLost(str(error))) from error
        if image is None:
            return None
        return Frame(image, time.time())

    def close(self) -> None:
        self._video.Close()


def _jetson_uri(uri: str) -> str:
    if uri.startswith("webcam:"):
        return "/dev/video" + uri[len("webcam:"):]
    scheme = uri.split("://")[0] if "://" in uri else "file"
    if scheme not in SCHEMES:
        raise Failure("infer.camera_unsupported", camera=uri, engine="tensorrt")
    return uri
