"""The network on the processor, by ONNX Runtime."""

import time
from typing import Any

from jetson_nano.engine import Answer, Engine, best
from jetson_nano.model import Model
from jetson_nano.pixels import Arrays
from shared.wire import Failure

THREADS = 2


class OnnxEngine(Engine):
    """ONNX Runtime; a frame is uint8 BGR (H, W, 3), prepared by shared/preprocess.py."""

    name = "onnxruntime"
    pixels = Arrays()

    def __init__(self, model: Model) -> None:
        """Raises Failure infer.engine_missing, infer.model_damaged, infer.labels_mismatch."""
        runtime = _import_runtime()
        from shared.preprocess import prepare

        self._prepare = prepare
        options = runtime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # Its threads would turn in circles until the next frame comes, and take more of the processor than the network does.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(model.onnx), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions have no common class in its API
            print(error)
            raise Failure("infer.model_damaged", model=model.name, file=model.onnx.name) from error
        self._input, output = self._match(model)
        self._output = output.name
        outputs = output.shape[-1]
        if isinstance(outputs, int) and outputs != len(model.classes):
            raise Failure("infer.labels_mismatch", model=model.name, labels=len(model.classes), outputs=outputs)

    def _match(self, model: Model) -> Any:
        """The input's description and the output, by bundle.json's names or, where there is none, the network's own."""
        inputs = {each.name: each for each in self._session.get_inputs()}
        outputs = {each.name: each for each in self._session.get_outputs()}
        if model.described:
            if model.input["name"] not in inputs or model.output_name not in outputs:
                raise Failure("infer.model_damaged", model=model.name, file="bundle.json")
            return model.input, outputs[model.output_name]
        first = self._session.get_inputs()[0]
        shape = [given if isinstance(given, int) else usual for given, usual in zip(first.shape, model.input["shape"])]
        return dict(model.input, name=first.name, shape=shape), self._session.get_outputs()[0]

    def classify(self, image: Any) -> Answer:
        began = time.perf_counter()
        tensor = self._prepare(image, self._input)
        prepared = time.perf_counter()
        outputs = self._session.run([self._output], {self._input["name"]: tensor})
        answered = time.perf_counter()
        return best(outputs[0].reshape(-1))._replace(
            preprocess_ms=(prepared - began) * 1000, network_ms=(answered - prepared) * 1000)


def _import_runtime() -> Any:
    try:
        import cv2  # noqa: F401  the frames' source needs it
        import numpy  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise Failure("infer.engine_missing", engine="onnxruntime", module=error.name or "onnxruntime",
                      error=str(error)) from error
    return onnxruntime
