"""The part of a network that stays as it is, run over many images: by ONNX Runtime where it is installed.

On a CPU it needs a third of PyTorch's time for the same numbers (they differ by some 1e-6). Making its file takes more than
a second, so it is kept in ROOT/.ai_nano/cache under a name that says what it was made of.
"""

from __future__ import annotations

import inspect
import io
import warnings
from pathlib import Path
from typing import Any, Callable, List, Optional

import numpy as np
import torch
from torch import nn

from gpu_server.files import write_whole
from gpu_server.folding import fold
from gpu_server.networks import Classifier
from shared.wire import Failure

# Prepared images float32 (n, 3, h, w) in, float32 arrays out: features (n, d), or the maps (n, c, h, w) before a cut.
Engine = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]

_KEPT_FILES = 12
_OPSET = 13
_NEARLY = 1e-4  # relative to the largest feature


class _Part(nn.Module):
    """The stages before `cut`; with None all of them and the mean, which gives the features."""

    def __init__(self, classifier: Classifier, cut: Optional[int]) -> None:
        super().__init__()
        self.classifier = classifier
        self._cut = cut

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier.features(images) if self._cut is None else self.classifier.before(images, self._cut)


def engine(
    classifier: Classifier, cut: Optional[int], resolution: int, device: torch.device, cache: Optional[Path], key: str
) -> Engine:
    """The part of `classifier` before `cut` (None: its features) for images of `resolution` pixels, safe from any thread.

    `cache` is a folder for the file of ONNX Runtime, `key` names the weights there; without `cache`, on a GPU or where ONNX
    Runtime is not installed PyTorch computes.
    """
    if device.type == "cpu" and cache is not None:
        found = _by_onnx_runtime(_Part(classifier, cut), resolution, cache, key if cut is None else f"{key}-{cut}")
        if found is not None:
            return found
    return _by_torch(_Part(fold(classifier, resolution), cut), device)


def _by_torch(part: _Part, device: torch.device) -> Engine:
    part.to(device).to(memory_format=torch.channels_last)

    def compute(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = torch.from_numpy(images).to(device).to(memory_format=torch.channels_last)
        try:
            with torch.inference_mode():
                return part(batch).cpu().contiguous().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise Failure("train.gpu_memory", device=torch.cuda.get_device_name(device)) from error

    return compute


def _by_onnx_runtime(part: _Part, resolution: int, cache: Path, key: str) -> Optional[Engine]:
    """None where it is not installed, or computes something else than PyTorch."""
    try:
        import onnxruntime
    except (ImportError, OSError):
        return None
    path = cache / f"{key}-{resolution}-torch{torch.__version__}-ort{onnxruntime.__version__}.onnx"
    probe = np.random.default_rng(0).standard_normal((2, 3, resolution, resolution), dtype=np.float32)
    with torch.inference_mode():
        expected = part(torch.from_numpy(probe)).numpy()
    # A file from an earlier training is tried first; one that is damaged, or of another network, is made anew.
    for data in (_content(path), None):
        made = data or _export(part, resolution)
        found = _session(onnxruntime, made) if made is not None else None
        if found is not None and _same(found, probe, expected):
            if data is None and made is not None:
                _keep(path, made)
            return found
    return None


def _content(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _export(part: _Part, resolution: int) -> Optional[bytes]:
    """None where the package `onnx` is not installed, which PyTorch needs to write such a file."""
    folded = _Part(fold(part.classifier, resolution), part._cut).eval()
    options: Any = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this exporter is the older one
            torch.onnx.export(
                folded,
                (torch.zeros(1, 3, resolution, resolution),),
                buffer,
                input_names=["images"],
                output_names=["maps"],
                dynamic_axes={"images": {0: "n"}, "maps": {0: "n"}},
                opset_version=_OPSET,
                **options,
            )
    except (ImportError, RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError):
        return None
    return buffer.getvalue()


def _session(onnxruntime: Any, model: bytes) -> Optional[Engine]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # each of our threads computes an image of its own
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # ONNX Runtime has a tree of exceptions that it does not export
        return None

    def compute(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        outputs: List[np.ndarray[Any, Any]] = session.run(None, {"images": images})
        return outputs[0]

    return compute


def _same(found: Engine, probe: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    try:
        actual = found(probe)
    except Exception:  # as above
        return False
    return actual.shape == expected.shape and bool(np.abs(actual - expected).max() <= _NEARLY * np.abs(expected).max())


def _keep(path: Path, data: bytes) -> None:
    """Only the newest files stay. Without room or rights the next training makes the file again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        kept = sorted(path.parent.glob("*.onnx"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in kept[_KEPT_FILES:]:
            file.unlink()
    except OSError:
        pass
