"""The ONNX file of a network: in the dialect that the Nano's TensorRT reads, checked and compared with PyTorch."""

from __future__ import annotations

import inspect
import io
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

import numpy as np
import onnx
import torch
from torch import nn

from gpu_server.folding import fold
from gpu_server.networks import Classifier
from shared.wire import Failure

# TensorRT 8.0 and 8.2 (JetPack 4.6) stop at opset 13; below 11 Clip takes its bounds as attributes.
OPSETS = (11, 12, 13)
HIGHEST_IR_VERSION = 8
OPERATORS = {"Conv", "Clip", "Add", "Mul", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}
TOLERANCE = 1e-3


class Comparison(NamedTuple):
    """Largest difference of any probability, and the share of images with the same first class."""

    max_difference: float
    agreement: float


def to_onnx(classifier: Classifier, spec: Dict[str, Any], output: str, opset: int) -> onnx.ModelProto:
    """The network for one image of spec["shape"], softmax at its end: jetson-inference applies none itself."""
    folded = fold(classifier, spec["shape"][2])
    network = nn.Sequential(folded, nn.Softmax(dim=1)).eval()
    options: Dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # since torch 2.9 the default exporter writes opset 18 and IR 10 whatever it is asked
    buffer = io.BytesIO()
    torch.onnx.export(
        network,
        (torch.zeros(*spec["shape"]),),
        buffer,
        input_names=[spec["name"]],
        output_names=[output],
        opset_version=opset,
        do_constant_folding=True,
        **options,
    )
    model = onnx.load_from_string(buffer.getvalue())
    _constants_to_initializers(model.graph)
    return model


def check(model: onnx.ModelProto, opset: int) -> List[str]:
    """The operators of a model that the Nano will load; Failure `export.unsupported` {reason} for any other."""
    onnx.checker.check_model(model, full_check=True)
    operators = sorted({node.op_type for node in model.graph.node})
    unknown = [name for name in operators if name not in OPERATORS]
    written = {entry.domain: entry.version for entry in model.opset_import}
    if unknown:
        raise Failure("export.unsupported", reason=", ".join(unknown))
    if written != {"": opset}:
        raise Failure("export.unsupported", reason=f"opset {written}")
    if model.ir_version > HIGHEST_IR_VERSION:
        raise Failure("export.unsupported", reason=f"IR {model.ir_version}")
    return operators


def compare(model: onnx.ModelProto, classifier: Classifier, images: Sequence[np.ndarray[Any, Any]]) -> Comparison:
    """Runs both on prepared images (1, 3, h, w), on the CPU."""
    run_onnx = onnx_runner(model.SerializeToString())
    differences: List[float] = []
    same = 0
    for image in images:
        with torch.inference_mode():
            expected = classifier(torch.from_numpy(image)).softmax(1).numpy()
        actual = run_onnx(image)
        differences.append(float(np.abs(actual - expected).max()))
        same += int(actual.argmax() == expected.argmax())
    return Comparison(max(differences), same / len(images))


def onnx_runner(model: bytes) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Runs a model of one input and output by ONNX Runtime where it is installed, else by ONNX's slow reference."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        session: Any = ReferenceEvaluator(onnx.load_from_string(model))
        name = session.input_names[0]
    else:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Constants as stored tensors instead of nodes, which old parsers handle best; a shared one is stored once."""
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
