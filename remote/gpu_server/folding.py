"""Rewrites a frozen network so that it computes the same with fewer and plainer layers.

Batch normalisation becomes part of the convolution before it, and TensorFlow's SAME convolutions become ordinary ones:
timm computes their padding from the image's size while it runs, which exports as a chain of Shape, Ceil and Pad nodes
that the Nano's TensorRT does not like. For one fixed size the padding is known. Where it is uneven, the kernel is
extended by rows and columns of zeros until even padding means the same: the sums stay the same. A temperature becomes part
of the last layer.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Tuple, TypeVar

import torch
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


class _Trace:
    """What one image passes on its way: the input size of each convolution, and each batch norm fed by one directly."""

    def __init__(self, network: nn.Module, resolution: int) -> None:
        self.sizes: Dict[str, Tuple[int, int]] = {}
        self.norms: Dict[str, str] = {}
        self._outputs: List[Tuple[torch.Tensor, str]] = []  # tensors are kept, so that none can take another's place
        handles: List[Any] = []
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                handles.append(module.register_forward_hook(self._note_convolution(name)))
            elif isinstance(module, nn.BatchNorm2d):
                handles.append(module.register_forward_pre_hook(self._note_norm(name)))
        with torch.no_grad():
            network(torch.zeros(1, 3, resolution, resolution))
        for handle in handles:
            handle.remove()

    def _note_convolution(self, name: str) -> Any:
        def note(_: nn.Module, inputs: Tuple[torch.Tensor], output: torch.Tensor) -> None:
            self.sizes[name] = (inputs[0].shape[2], inputs[0].shape[3])
            self._outputs.append((output, name))

        return note

    def _note_norm(self, name: str) -> Any:
        def note(_: nn.Module, inputs: Tuple[torch.Tensor]) -> None:
            for output, convolution in self._outputs:
                if output is inputs[0]:
                    self.norms[convolution] = name

        return note


def fold(network: Network, resolution: int) -> Network:
    """A copy of `network`, on the CPU, for square images of `resolution` pixels; `network` is in evaluation mode.

    ValueError for a dilated convolution with uneven padding, whose kernel cannot be extended by single zeros.
    """
    folded = copy.deepcopy(network).cpu()
    trace = _Trace(folded, resolution)
    for name, size in trace.sizes.items():
        convolution = _ordinary(folded.get_submodule(name), *size)
        if name in trace.norms:
            norm: Any = folded.get_submodule(trace.norms[name])
            _absorb(convolution, norm)
            # timm's batch norm has its activation inside.
            _replace(folded, trace.norms[name], getattr(norm, "act", nn.Identity()))
        _replace(folded, name, convolution)
    folded.requires_grad_(False).eval()
    return folded


def divide_logits(network: nn.Module, temperature: float, resolution: int) -> None:
    """Makes the network's outputs those of now divided by `temperature`, in the last linear layer or convolution alone.

    What stands behind it may be a ReLU, a mean or a flattening (SqueezeNet), which all keep a positive factor. ValueError
    where it does not come out.
    """
    image = torch.randn(1, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))
    last: List[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: last.append(module))
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    with torch.no_grad():
        before = network(image)
        for handle in handles:
            handle.remove()
        layer: Any = last[-1]
        layer.weight.div_(temperature)
        if layer.bias is not None:
            layer.bias.div_(temperature)
        after = network(image)
    if not torch.allclose(after * temperature, before, rtol=1e-4, atol=1e-5 * float(before.abs().max())):
        raise ValueError(f"the last layer does not carry a temperature: {layer}")


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> Tuple[int, int]:
    """Padding before and after, as TensorFlow's SAME: ceil(size / stride) outputs, the odd one goes after."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def _absorb(convolution: nn.Conv2d, norm: Any) -> None:
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = weight, bias


def _ordinary(given: Any, height: int, width: int) -> nn.Conv2d:
    """The convolution as a plain nn.Conv2d; timm's Conv2dSame stands by its name, its module has moved over time."""
    if type(given).__name__ != "Conv2dSame":
        return _convolution(given, given.weight.detach(), given.padding)
    (top, bottom), (left, right) = (
        same_padding(size, given.kernel_size[axis], given.stride[axis], given.dilation[axis])
        for axis, size in enumerate((height, width))
    )
    if (top != bottom or left != right) and tuple(given.dilation) != (1, 1):
        raise ValueError(f"uneven padding of a dilated convolution: {given}")
    # F.pad takes the last axis first: left, right, top, bottom.
    weight = pad(given.weight.detach(), (right - left, 0, bottom - top, 0))
    return _convolution(given, weight, (bottom, right))


def _convolution(given: Any, weight: torch.Tensor, padding: Any) -> nn.Conv2d:
    made = nn.Conv2d(
        given.in_channels,
        given.out_channels,
        (weight.shape[2], weight.shape[3]),
        stride=given.stride,
        padding=padding,
        dilation=given.dilation,
        groups=given.groups,
        bias=given.bias is not None,
    )
    with torch.no_grad():
        made.weight.copy_(weight)
        if given.bias is not None and made.bias is not None:
            made.bias.copy_(given.bias)
    return made
