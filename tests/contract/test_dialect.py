"""Every kind of network as the Nano's parser reads it: operators of TensorRT 8.0 and 8.2, nothing computed that is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import server_data  # noqa: F401  puts remote/ on the path
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gpu_server import folding, half, libraries, onnx_file, trt_operators
from shared.preprocess import imagenet_input
from shared.wire import Failure

TEMPERATURE = 1.7
# What each network comes down to.
NETWORKS = {
    "efficientnet_lite0": {"Add", "Clip", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "Softmax"},
    "resnet18": {"Add", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "MaxPool", "Relu", "Softmax"},
    "mobilenet_v2": {"Add", "Clip", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "Softmax"},
    "mobilenet_v3_large": {"Add", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "HardSigmoid", "Mul", "Relu", "Softmax"},
    "squeezenet1_1": {"Concat", "Conv", "Flatten", "GlobalAveragePool", "MaxPool", "Relu", "Softmax"},
}


def network_of(name: str) -> nn.Module:
    """With random weights, and batch norms that have seen images: fresh ones let signals fade."""
    torchvision = libraries.load_torchvision()
    torch.manual_seed(3)
    if name == "efficientnet_lite0":
        import timm  # only beside a torchvision that has loaded

        network = timm.create_model("tf_efficientnet_lite0", num_classes=4)
    else:
        network = getattr(torchvision.models, name)(num_classes=4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.7
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 96, 96))
        network.eval()
        # Logits of a trained network's size.
        folding.divide_logits(network, float(network(torch.randn(2, 3, 224, 224)).std()) / 2, 224)
    return network


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, network_of(request.param)


def folded_of(network: nn.Module) -> nn.Module:
    folded = folding.fold(network, 224)
    folding.divide_logits(folded, TEMPERATURE, 224)
    return folded


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_network_is_written_for_the_nano(network: tuple[str, nn.Module], opset: int) -> None:
    """The plain operators, one input and output of fixed shape, and what PyTorch says, divided by the temperature."""
    name, original = network
    model = onnx_file.to_onnx(folded_of(original), imagenet_input(224), "output_0", opset)
    assert set(onnx_file.check(model, opset)) == NETWORKS[name]
    assert model.ir_version <= 8 and model.graph.node[-1].op_type == "Softmax"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    (said,) = session.run(["output_0"], {"input_0": image.numpy()})
    with torch.inference_mode():
        logits = original(image) / TEMPERATURE
    assert float(logits.std()) > 1e-3, "a network that says nothing proves nothing"
    np.testing.assert_allclose(np.log(said), logits.log_softmax(1).numpy(), atol=1e-4)


def test_half_precision_is_pytorchs_own(network: tuple[str, nn.Module]) -> None:
    """Against PyTorch's half-precision kernels, which take half a second for each image."""
    folded = folded_of(network[1])
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        single, ours = folded(image), half.halved(folded)(image)
        theirs = folded.half()(image.half()).float()
    scale = float(single.abs().max())
    assert 0 < float((ours - single).abs().max()) < 0.02 * scale
    assert float((ours - theirs).abs().max()) < 3 * float((theirs - single).abs().max()) + 1e-3 * scale


def test_half_precision_overflows_as_on_the_nano() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.ReLU(), nn.Conv2d(1, 1, 1, bias=False)).eval()
    network[0].weight.data.fill_(300.0)
    network[2].weight.data.fill_(0.001)
    bright = torch.full((1, 3, 2, 2), 100.0)
    assert torch.isfinite(network(bright)).all() and torch.isinf(half.halved(network)(bright)).all()


def test_a_temperature_that_does_not_reach_the_end_is_noticed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Sigmoid()).eval()
    with pytest.raises(ValueError, match="does not carry"):
        folding.divide_logits(network, 2.0, 16)


# ---- what is refused -------------------------------------------------------------------------------------------------


def model_of(*nodes: onnx.NodeProto, initializers: Any = (), shape: Any = (1, 3, 8, 8), output: Any = None,
             opset: int = 13, ir_version: int = 7) -> onnx.ModelProto:
    """A model from input_0 to output_0 of these nodes."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes), "g", [value("input_0", TensorProto.FLOAT, shape)],
        [value("output_0", TensorProto.FLOAT, output or shape)],
        [numpy_helper.from_array(array, name) for name, array in initializers])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def node(kind: str, *inputs: str, output: str = "output_0", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(("model", "reason"), [
    (lambda: model_of(node("Round", "input_0")), "Round"),
    (lambda: model_of(node("Relu", "input_0"), ir_version=10), "IR 10"),
    (lambda: model_of(node("Relu", "input_0"), opset=14), "opset"),
    (lambda: model_of(node("Relu", "input_0"), shape=("n", 3, 8, 8)), "shape of input_0"),
    (lambda: model_of(node("ReduceMin", "input_0", output="low", keepdims=0), node("Clip", "input_0", "low")), "Clip: input 1"),
    (lambda: model_of(node("Relu", "w", output="computed"), node("Conv", "input_0", "computed"),
                      initializers=[("w", floats(3, 3, 1, 1))]), "Conv: input 1"),
    (lambda: model_of(node("Conv", "input_0", "w", kernel_shape=[1]), shape=(1, 3, 8),
                      initializers=[("w", floats(3, 3, 1))]), "Conv: not of two"),
    (lambda: model_of(node("MaxPool", "input_0", kernel_shape=[2, 2], dilations=[2, 2]), output=(1, 3, 6, 6)), "dilations"),
    (lambda: model_of(node("AveragePool", "input_0", kernel_shape=[3, 3], pads=[0, 0, 2, 2])), "uneven"),
    (lambda: model_of(node("Pad", "input_0", "pads", mode="reflect"), initializers=[("pads", np.zeros(8, np.int64))]), "Pad"),
    (lambda: model_of(node("Gather", "input_0", "at", axis=1),
                      initializers=[("at", np.array([-1], np.int64))], output=(1, 1, 8, 8)), "Gather"),
    (lambda: model_of(node("Cast", "w", output="x", to=TensorProto.FLOAT), node("Add", "input_0", "x"),
                      initializers=[("w", np.ones((1, 3, 8, 8)))]), "type of w"),
    (lambda: model_of(node("Relu", "nothing")), None)])
def test_what_the_parser_does_not_take(model: Callable[[], onnx.ModelProto], reason: str | None) -> None:
    with pytest.raises(Failure, match=reason) as raised:
        onnx_file.check(model(), 13)
    assert raised.value.code == "export.unsupported"


@pytest.mark.parametrize("model", [
    lambda: model_of(node("Relu", "input_0")),
    lambda: model_of(node("Clip", "input_0", "low", "high"), initializers=[("low", floats()), ("high", floats())]),
    lambda: model_of(node("Clip", "input_0", "", "high"), initializers=[("high", floats())]),
    lambda: model_of(node("AveragePool", "input_0", kernel_shape=[2, 2], pads=[0, 0, 1, 1]))])
def test_what_the_parser_takes(model: Callable[[], onnx.ModelProto]) -> None:
    assert onnx_file.check(model(), 13)


def test_the_list_has_what_both_releases_have() -> None:
    """Spot checks against the two published tables: of these 8.2 alone has the second row, none the third."""
    assert {"Conv", "Clip", "Gemm", "Softmax", "HardSigmoid", "Relu", "Concat", "MaxPool"} <= trt_operators.OPERATORS
    assert not {"Einsum", "Round", "Sign", "IsNaN", "GatherND", "ScatterND"} & trt_operators.OPERATORS
    assert not {"HardSwish", "Hardmax", "OneHot", "Mod", "NonMaxSuppression"} & trt_operators.OPERATORS
    assert len(trt_operators.OPERATORS) == 120 and trt_operators.RESTRICTIONS.keys() <= trt_operators.OPERATORS
    assert {release for release, _, _ in trt_operators.SOURCES} == {"8.0", "8.2"}
