"""checkpoint.pth: the best network of a training, in the form of dusty-nv/pytorch-classification and some keys more."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch

from gpu_server.files import write_whole
from gpu_server.networks import Classifier, architecture, frozen
from shared.wire import Failure

FILE = "checkpoint.pth"
_KEYS = {
    "epoch",
    "arch",
    "resolution",
    "classes",
    "num_classes",
    "state_dict",
    "accuracy",
    "loss",
    "optimizer",
    "input",
    "recipe",
    "seed",
    "images",
    "temperature",
    "stage",
    "settings",
}
_LATER_KEYS = {"temperature", "stage", "settings"}  # an older checkpoint lacks them


def save(folder: Path, classifier: Classifier, **facts: Any) -> str:
    """Writes the whole state_dict of `classifier` and `facts`, which are the other keys; no time of day goes in.

    Gives the file's SHA-256.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    # Pickle notes which equal strings are one object, and a resumed training has others: read back they are all new.
    content = {**json.loads(json.dumps(facts)), "state_dict": state}
    if content.keys() != _KEYS:
        raise ValueError(f"keys of a checkpoint: {sorted(content.keys() ^ _KEYS)}")
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    write_whole(folder / FILE, data)
    return hashlib.sha256(data).hexdigest()


def load(folder: Path) -> Tuple[Dict[str, Any], str]:
    """The content, on the CPU, and the SHA-256 of these very bytes: a training may put a better one in their place meanwhile.

    Failures: `export.no_checkpoint` {model}, `model.bad_checkpoint` {model, reason}.
    """
    try:
        data = (folder / FILE).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise Failure("export.no_checkpoint", model=folder.name) from None
    try:
        content: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a damaged file
        raise Failure("model.bad_checkpoint", model=folder.name, reason=type(error).__name__) from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS - _LATER_KEYS:
        raise Failure("model.bad_checkpoint", model=folder.name, reason="keys")
    return content, hashlib.sha256(data).hexdigest()


def classifier_of(content: Dict[str, Any], model: str) -> Classifier:
    """The network of a checkpoint, frozen. Failure `model.bad_checkpoint` where its weights do not fit `arch`."""
    classifier = Classifier(architecture(content["arch"]), content["num_classes"])
    try:
        classifier.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise Failure("model.bad_checkpoint", model=model, reason="state_dict") from error
    return frozen(classifier)


def require_same_classes(content: Dict[str, Any], classes: List[str], model: str) -> None:
    """Failure `export.labels` {model, trained, found}: in another order, every answer would have a wrong name."""
    if content["classes"] != classes:
        raise Failure("export.labels", model=model, trained=", ".join(content["classes"]), found=", ".join(classes))
