"""A model's folder on the Nano: what classify.py needs to know of it before an engine loads it."""

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from shared.files import sha256
from shared.wire import Failure

LABELS = "labels.txt"
BUNDLE = "bundle.json"
OLDER_RESOLUTION = 224


class Model(NamedTuple):
    """`input` is bundle.json's "input"; a model of the older program has no bundle.json: `described` is False."""

    name: str
    onnx: Path
    classes: List[str]
    input: Dict[str, Any]
    output_name: str
    described: bool


def read_model(folder: Path) -> Model:
    """Raises Failure infer.model_missing {model, folder, file}, infer.model_damaged {model, file}."""
    name = folder.name
    bundle = _read_bundle(folder)
    onnx = folder / "model.onnx" if bundle is not None else _older_onnx(folder)
    for path in (onnx, folder / LABELS):
        if path is None or not path.is_file():
            raise Failure("infer.model_missing", model=name, folder=str(folder), file=path.name if path else "*.onnx")
    assert onnx is not None
    if bundle is None:
        # With NumPy, which a program that waits for its turn needs not, and the host of a container may lack.
        from shared.preprocess import imagenet_input

        return Model(name, onnx, _read_classes(folder), imagenet_input(OLDER_RESOLUTION), "output_0", False)
    for file, expected in bundle["sha256"].items():
        if (folder / file).is_file() and sha256(folder / file) != expected:
            raise Failure("infer.model_damaged", model=name, file=file)
    return Model(name, onnx, _read_classes(folder), bundle["input"], bundle["output"]["name"], True)


def _read_bundle(folder: Path) -> Optional[Dict[str, Any]]:
    try:
        bundle = json.loads((folder / BUNDLE).read_bytes().decode("utf-8"))
        valid = bundle["v"] == 1 and len(bundle["input"]["shape"]) == 4 and bundle["output"]["name"] and all(
            file in bundle["sha256"] for file in ("model.onnx", LABELS))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        raise Failure("infer.model_damaged", model=folder.name, file=BUNDLE)
    return bundle


def _older_onnx(folder: Path) -> Optional[Path]:
    found = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    return found[0] if found else None


def _read_classes(folder: Path) -> List[str]:
    """One class a line; an empty line at the end, which editors leave behind, is no class."""
    try:
        lines = (folder / LABELS).read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Failure("infer.model_damaged", model=folder.name, file=LABELS) from None
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]
