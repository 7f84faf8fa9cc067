"""Turns a model's checkpoint into model.onnx and bundle.json; proves that both answer alike (doc/design/wire.md)."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from shared.wire import Failure, Run, guard

if TYPE_CHECKING:
    import numpy as np
    import onnx

OUTPUT = "output_0"
COMPARED_IMAGES = 32


def export(run: Run) -> None:
    """Raises Failure."""
    run.progress("export.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch", "onnx")
    libraries.set_up_torch()

    from gpu_server import checkpoint, onnx_file
    from gpu_server.dataset import model_folder, read_classes
    from gpu_server.files import write_json, write_whole
    from shared.files import sha256

    opset = run.params.get("opset") or onnx_file.OPSETS[-1]
    if opset not in onnx_file.OPSETS:
        raise Failure("export.opset", opset=str(opset), known=", ".join(map(str, onnx_file.OPSETS)))
    folder = model_folder(run)
    content = checkpoint.load(folder)
    classes = read_classes(folder)
    checkpoint.require_same_classes(content, classes, folder.name)
    classifier = checkpoint.classifier_of(content, folder.name)
    spec = content["input"]

    run.progress("export.graph", 0, 1, "steps")
    model = onnx_file.to_onnx(classifier, spec, OUTPUT, opset)
    operators = onnx_file.check(model, opset)
    run.progress("export.graph", 1, 1, "steps")

    images = real_images(folder, spec)
    run.progress("export.compare", 0, len(images), "images")
    comparison = onnx_file.compare(model, classifier, images)
    run.progress("export.compare", len(images), len(images), "images")
    if not comparison.max_difference < onnx_file.TOLERANCE or comparison.agreement < 1:
        raise Failure(
            "export.differs",
            model=folder.name,
            difference=repr(comparison.max_difference),
            agreement=comparison.agreement,
        )

    data = model.SerializeToString()
    bundle_path = folder / "bundle.json"
    if bundle_path.exists():  # it describes the model.onnx that is about to be replaced
        bundle_path.unlink()
    write_whole(folder / "model.onnx", data)
    hashes = {name: sha256(folder / name) or "" for name in ("model.onnx", "labels.txt")}
    bundle = describe(folder, content, model, operators, hashes)
    write_json(bundle_path, bundle)
    run.result(
        model=folder.name,
        opset=opset,
        ir_version=model.ir_version,
        bytes=len(data),
        operators=operators,
        max_difference=comparison.max_difference,
        agreement=comparison.agreement,
        sha256=hashes,
    )


def real_images(folder: Path, spec: Dict[str, Any]) -> List[np.ndarray[Any, Any]]:
    """Up to COMPARED_IMAGES prepared images spread over test/, or else val/ or train/; Failure `export.no_images`."""
    from gpu_server.dataset import SPLITS, read_dataset, read_image
    from shared.preprocess import prepare

    splits = read_dataset(folder).splits
    for split in reversed(SPLITS):
        step = max(1, len(splits[split]) // COMPARED_IMAGES)
        frames = [read_image(image.path) for image in splits[split][::step][:COMPARED_IMAGES]]
        images = [prepare(frame, spec) for frame in frames if frame is not None]
        if images:
            return images
    raise Failure("export.no_images", model=folder.name)


def describe(
    folder: Path, content: Dict[str, Any], model: onnx.ModelProto, operators: List[str], hashes: Dict[str, str]
) -> Dict[str, Any]:
    """The content of bundle.json: all that the laptop and the Nano need to know about model.onnx."""
    import onnx
    import torch

    report = _report(folder)
    return {
        "v": 1,
        "model": folder.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "classes": content["classes"],
        "input": content["input"],
        "output": {"name": OUTPUT, "shape": [1, content["num_classes"]], "activation": "softmax"},
        "onnx": {"opset": model.opset_import[0].version, "ir_version": model.ir_version, "operators": operators},
        "training": {
            "recipe": content["recipe"],
            "arch": content["arch"],
            "epochs": len(report.get("history", [])) or content["epoch"],
            "seed": content["seed"],
            "images": content["images"],
            "val_accuracy": report.get("val_accuracy"),
            "test_accuracy": report.get("test_accuracy"),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "onnx": onnx.__version__},
        "sha256": hashes,
    }


def _report(folder: Path) -> Dict[str, Any]:
    """report.json, or nothing: a checkpoint can be exported without it."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Turns a model's checkpoint into an ONNX file for the Jetson Nano.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), export)


if __name__ == "__main__":
    sys.exit(main())
