"""What computes a prediction: ONNX Runtime on the processor, or TensorRT through jetson-inference.

Which one is used is the caller's choice alone. A missing one is an error, never a reason to take the other.
"""

from typing import Any, List, NamedTuple, Optional, Sequence

from jetson_nano.model import Model
from shared.wire import Failure, Run

THREADS = 2


class Answer(NamedTuple):
    """`class_index` is -1 when no class is known; `probabilities` has None for what the engine does not tell."""

    class_index: int
    confidence: float
    probabilities: List[Optional[float]]


class Engine:
    """A loaded network. `name` is the engine's name in config.json."""

    name = ""

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


class OnnxEngine(Engine):
    """ONNX Runtime; a frame is uint8 BGR (H, W, 3), prepared by shared/preprocess.py."""

    name = "onnxruntime"

    def __init__(self, model: Model) -> None:
        """Raises Failure infer.engine_missing, infer.model_damaged, infer.labels_mismatch."""
        runtime = _import_runtime()
        from shared.preprocess import prepare

        self._prepare = prepare
        options = runtime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
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
        outputs = self._session.run([self._output], {self._input["name"]: self._prepare(image, self._input)})
        return best(outputs[0].reshape(-1))


def _import_runtime() -> Any:
    try:
        import cv2  # noqa: F401  the frames' source needs it
        import numpy  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise Failure("infer.engine_missing", engine="onnxruntime", module=error.name or "onnxruntime",
                      error=str(error)) from error
    return onnxruntime


def open_engine(name: str, model: Model, run: Run) -> Engine:
    """Raises Failure infer.unknown_engine and what the engine itself raises."""
    if name == OnnxEngine.name:
        return OnnxEngine(model)
    from jetson_nano.tensorrt import TensorRtEngine

    if name == TensorRtEngine.name:
        return TensorRtEngine(model, run)
    raise Failure("infer.unknown_engine", engine=name)
