"""The ONNX file of a network: in the dialect that the Nano's TensorRT reads, and held to it."""

from __future__ import annotations

import inspect
import io
from typing import Any, Dict, List, Optional, Set

import onnx
import torch
from torch import nn

from gpu_server.trt_operators import OPERATORS, OPSETS
from shared.wire import Failure

HIGHEST_IR_VERSION = 8
_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64)


def to_onnx(folded: nn.Module, spec: Dict[str, Any], output: str, opset: int) -> onnx.ModelProto:
    """The folded network for one image of spec["shape"], softmax at its end: jetson-inference applies none itself."""
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
    _plain_constants(model.graph)
    return model


def check(model: onnx.ModelProto, opset: int) -> List[str]:
    """The operators of a model that the Nano will load; Failure `export.unsupported` {reason} for any other."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise Failure("export.unsupported", reason=str(error).strip().splitlines()[0]) from error
    written = {entry.domain: entry.version for entry in model.opset_import}
    if opset not in OPSETS or written != {"": opset}:
        raise Failure("export.unsupported", reason=f"opset {written}")
    if model.ir_version > HIGHEST_IR_VERSION:
        raise Failure("export.unsupported", reason=f"IR {model.ir_version}")
    operators = sorted({node.op_type for node in model.graph.node})
    unknown = [name for name in operators if name not in OPERATORS]
    if unknown:
        raise Failure("export.unsupported", reason=", ".join(unknown))
    stored = {tensor.name for tensor in model.graph.initializer}
    problems = [problem for node in model.graph.node for problem in [_problem(node, stored)] if problem]
    problems += [f"type of {tensor.name}" for tensor in model.graph.initializer if tensor.data_type not in _TYPES]
    problems += [
        f"shape of {value.name}"
        for value in [*model.graph.input, *model.graph.output]
        if not all(size.dim_value > 0 for size in value.type.tensor_type.shape.dim)
    ]
    if problems:
        raise Failure("export.unsupported", reason=problems[0])
    return operators


def _problem(node: onnx.NodeProto, stored: Set[str]) -> Optional[str]:
    """What of trt_operators.RESTRICTIONS a node does not keep; None where it keeps them all."""
    attributes = {each.name: each for each in node.attribute}
    kind = node.op_type
    if any(each.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for each in node.attribute):
        return f"{kind}: a graph inside"
    constant = {"Clip": (1, 2), "Conv": (1, 2), "Pad": (1, 2), "Slice": (3,), "Split": (1,), "Squeeze": (1,), "Unsqueeze": (1,)}
    for position in constant.get(kind, ()):
        given = node.input[position] if position < len(node.input) else ""
        if given and given not in stored:
            return f"{kind}: input {position} is computed"
    if kind in ("Conv", "MaxPool", "AveragePool"):
        if "kernel_shape" in attributes and len(attributes["kernel_shape"].ints) != 2:
            return f"{kind}: not of two dimensions"
    if kind in ("MaxPool", "AveragePool"):
        if len(node.output) != 1 or any(step != 1 for step in attributes.get("dilations", onnx.AttributeProto()).ints):
            return f"{kind}: indices or dilations"
        pads = list(attributes.get("pads", onnx.AttributeProto()).ints)
        if kind == "AveragePool" and any(pads[axis + 2] - pads[axis] not in (0, 1) for axis in range(len(pads) // 2)):
            return f"{kind}: uneven padding"
    if kind == "Pad" and "mode" in attributes and attributes["mode"].s != b"constant":
        return "Pad: not with zeros"
    if kind == "Gather":
        return "Gather: indices may be negative"
    return None


def _plain_constants(graph: onnx.GraphProto) -> None:
    """Constants as stored tensors instead of nodes, which old parsers handle best.

    Of tensors with the same numbers PyTorch stores one and lets Identity nodes give it other names.
    """
    stored = {tensor.name for tensor in graph.initializer}
    other_names: Dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            stored.add(tensor.name)
        elif node.op_type == "Identity" and node.input[0] in stored:
            other_names[node.output[0]] = node.input[0]
            stored.add(node.output[0])
        else:
            kept.append(node)
    for node in kept:
        for position, name in enumerate(node.input):
            while name in other_names:
                name = other_names[name]
            node.input[position] = name
    del graph.node[:]
    graph.node.extend(kept)
