"""training.pth: where a training stands after each epoch, so that one that was killed goes on and ends as it would have.

What decides the outcome is in its fingerprint; a training that differs in any of it begins anew and says why. Random numbers
need no place here: each epoch draws from a generator seeded with the seed and its number.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Dict, Optional

import torch

from gpu_server.checkpoint import FILE as CHECKPOINT
from gpu_server.dataset import SPLITS
from gpu_server.files import write_whole
from gpu_server.parallel import cores
from gpu_server.training import Best, Training

FILE = "training.pth"
_VERSION = 1
# In this order; the first that differs is named.
_REASONS = {
    "form": "train.begun_anew_damaged",
    "images": "train.begun_anew_images",
    "settings": "train.begun_anew_settings",
    "weights": "train.begun_anew_weights",
    "machine": "train.begun_anew_machine",
}


def fingerprint(training: Training) -> Dict[str, str]:
    """By what it is of: all that decides how the training ends."""
    files = [
        (image.file, image.path.stat().st_size, int(image.path.stat().st_mtime))
        for split in SPLITS
        for image in training.dataset.splits[split]
    ]
    return {
        "form": str(_VERSION),
        "images": _hash([training.classes, files]),
        "settings": _hash([value for name, value in training.settings._asdict().items() if name != "weights"]),
        "weights": training.weights_sha256,
        "machine": f"torch {torch.__version__}, {training.device}, {cores()}",
    }


def save(training: Training, state: Dict[str, Any]) -> None:
    """Writes `state`, the recipe's own (tensors, numbers, dicts of them), beside what `training` knows."""
    content = {
        "fingerprint": fingerprint(training),
        "state": state,
        "history": training.history,
        "stages": training.stages,
        "best": training.best._asdict() if training.best is not None else None,
        "report": training.report,
        "images": training.images,
        "used": training.used,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(training.folder / FILE, buffer.getvalue())


def is_there(training: Training) -> bool:
    """Whether an earlier training of this model has not ended."""
    return (training.folder / FILE).is_file()


def load(training: Training) -> Optional[Dict[str, Any]]:
    """The recipe's state of an unfinished training that is the same as this one, and `training` put where that one stood.

    None where there is none, or only another, which is then named: `train.begun_anew_...`. Log `train.resumed` {epoch}.
    """
    if not is_there(training):
        return None
    reason = _REASONS["form"]
    content = _read(training.folder / FILE)
    if content is not None:
        own = fingerprint(training)
        differing = [name for name in _REASONS if content["fingerprint"].get(name) != own[name]]
        if not differing:
            best = content["best"]
            training.history[:], training.stages[:] = content["history"], content["stages"]
            training.best = Best(**best) if best is not None else None
            training.report, training.images = content["report"], content["images"]
            training.used = content["used"]
            training.run.log("train.resumed", epoch=len(training.history))
            state: Dict[str, Any] = content["state"]
            return state
        reason = _REASONS[differing[0]]
    training.run.log(reason, level="warning")
    return None


def remove(folder: Path) -> None:
    """Of a training that has ended, and what a killed one was writing."""
    for path in [folder / FILE, *folder.glob(f".{FILE}.*"), *folder.glob(f".{CHECKPOINT}.*")]:
        if path.exists():
            path.unlink()


def _read(path: Path) -> Optional[Dict[str, Any]]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch.load raises whatever its unpickler meets in a damaged file
        return None
    keys = {"fingerprint", "state", "history", "stages", "best", "report", "images", "used"}
    return content if isinstance(content, dict) and content.keys() == keys else None


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()
