"""The network as the Nano computes it: in half precision (fp16), where a large sum overflows and small steps are lost.

Weights and what passes from layer to layer are rounded to half precision (torch.float16); sums inside a layer are kept in
single precision, as PyTorch's own half-precision kernels for the processor keep them. Those compute the same far more
slowly (doc/design/training.md), and PyTorch 2.1 lacks some of them.
"""

from __future__ import annotations

import copy
from typing import Any, Tuple

import torch
from torch import nn

# Give back half-precision numbers where they got such.
_EXACT = (nn.Identity, nn.ReLU, nn.Hardtanh, nn.MaxPool2d, nn.Dropout, nn.Flatten)


def halved(folded: nn.Module) -> nn.Module:
    """A copy of a folded network that takes and gives single precision and computes in half precision."""
    network = copy.deepcopy(folded)
    with torch.no_grad():
        for values in [*network.parameters(), *network.buffers()]:
            if values.is_floating_point():
                values.copy_(values.half())
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(_round_inputs)
            module.register_forward_hook(_keep if isinstance(module, _EXACT) else _round_output)
    return network


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """The same object where it has been rounded before: rounding takes longer than many a layer."""
    if getattr(values, "is_rounded", False):
        return values
    rounded: Any = values.half().float()
    rounded.is_rounded = True
    return rounded


def _round_inputs(module: nn.Module, inputs: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """The sum of two branches is no layer of its own: the layer that gets it rounds it."""
    return tuple(_rounded(each) if isinstance(each, torch.Tensor) else each for each in inputs)


def _round_output(module: nn.Module, inputs: Tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
    return _rounded(output)


def _keep(module: nn.Module, inputs: Tuple[Any, ...], output: Any) -> Any:
    output.is_rounded = True
    return output
