"""The engine by its name in config.json: ONNX Runtime on the processor, or TensorRT through jetson-inference.

Which one is used is the caller's choice alone. A missing one is an error, never a reason to take the other.
"""

from jetson_nano.engine import Engine
from jetson_nano.model import Model
from jetson_nano.onnx_engine import OnnxEngine
from shared.wire import Failure, Run


def open_engine(name: str, model: Model, run: Run) -> Engine:
    """Raises Failure infer.unknown_engine and what the engine itself raises."""
    if name == OnnxEngine.name:
        return OnnxEngine(model)
    from jetson_nano.tensorrt import TensorRtEngine

    if name == TensorRtEngine.name:
        return TensorRtEngine(model, run)
    raise Failure("infer.unknown_engine", engine=name)
