"""EfficientNet-Lite0 with the names and the arithmetic of timm's `tf_efficientnet_lite0`, without timm.

Importing timm and torchvision took as long as training a small data set (1.6 s and 1.2 s), for a network of a hundred
lines. tests/contract/test_networks.py compares the two. timm's `efficientnet_lite0`, without `tf_`, pads otherwise than
the published weights want.
"""

from __future__ import annotations

import math
from typing import Any, Tuple

import torch
from torch import nn
from torch.nn.functional import pad

_EPS = 1e-3  # of the batch norms, as in TensorFlow, where the weights come from
# Blocks: how many, kernel, stride of the first, by how much each widens inside, channels out.
_BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280


class Conv2dSame(nn.Conv2d):
    """Pads as TensorFlow's SAME: ceil(size / stride) outputs, and an odd row or column goes after the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = (self._padding(int(images.shape[axis]), axis - 2) for axis in (2, 3))
        return super().forward(pad(images, (left, right, top, bottom)))

    def _padding(self, size: int, axis: int) -> Tuple[int, int]:
        total = max((math.ceil(size / self.stride[axis]) - 1) * self.stride[axis] + self.kernel_size[axis] - size, 0)
        return total // 2, total - total // 2


class NormAct(nn.BatchNorm2d):
    """A batch norm and the activation after it (`act`), under one name as in timm."""

    def __init__(self, channels: int, act: bool = True) -> None:
        super().__init__(channels, eps=_EPS)
        self.act: nn.Module = nn.ReLU6(inplace=True) if act else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.act(super().forward(images))
        return normed


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return Conv2dSame(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


class _Separable(nn.Module):
    """Depthwise, then pointwise; the first block."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(inputs, inputs, kernel, groups=inputs)
        self.bn1 = NormAct(inputs)
        self.conv_pw = _convolution(inputs, outputs)
        self.bn2 = NormAct(outputs, act=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(images))))
        return maps


class _Inverted(nn.Module):
    """Widens, looks depthwise, narrows; adds what came in where the shape is the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widen: int) -> None:
        super().__init__()
        inside = inputs * widen
        self.conv_pw = _convolution(inputs, inside)
        self.bn1 = NormAct(inside)
        self.conv_dw = _convolution(inside, inside, kernel, stride, groups=inside)
        self.bn2 = NormAct(inside)
        self.conv_pwl = _convolution(inside, outputs)
        self.bn3 = NormAct(outputs, act=False)
        self._adds = stride == 1 and inputs == outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(images))))))
        return maps + images if self._adds else maps


class Lite0(nn.Module):
    """Its parts run one after the other as networks.py names them; it has no `forward` of its own."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv_stem = _convolution(3, _STEM, 3, 2)
        self.bn1 = NormAct(_STEM)
        stages = []
        channels = _STEM
        for count, kernel, stride, widen, outputs in _BLOCKS:
            blocks = []
            for number in range(count):
                if widen == 1:
                    blocks.append(_Separable(channels, outputs, kernel))
                else:
                    blocks.append(_Inverted(channels, outputs, kernel, stride if number == 0 else 1, widen))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _convolution(channels, _HEAD)
        self.bn2 = NormAct(_HEAD)
        self.classifier = nn.Linear(_HEAD, num_classes)
        self.apply(_initialise)


def _initialise(module: Any) -> None:
    """For a training from scratch: the usual normal distribution by fan-out."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
