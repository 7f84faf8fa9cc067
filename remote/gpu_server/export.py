"""Turns a model's checkpoint into model.onnx, labels.txt and bundle.json, and publishes them once they have passed the gate.

All is written into `.export-<run>/` in the model's folder, read back and compared there (gate.py); only then do the files
take the place of those before, bundle.json last. What the gate found stands in report.json. Shapes: doc/design/wire.md.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from gpu_server.ending import leave
from gpu_server.start_up import without_compiler
from gpu_server.trt_operators import OPSETS
from shared.wire import Failure, Run, guard

if TYPE_CHECKING:
    import onnx

    from gpu_server.gate import Comparison, Reference, Written

OUTPUT = "output_0"
STAGED = ".export-"
NAMED_IMAGES = 3


class Exported(NamedTuple):
    """What came of a checkpoint: its content, the bytes of model.onnx and what bundle.json says of it before the gate."""

    content: Dict[str, Any]
    checkpoint_sha256: str
    data: bytes
    bundle: Dict[str, Any]
    reference: Reference


def export(run: Run) -> None:
    """Raises Failure."""
    opset = run.params.get("opset") or OPSETS[-1]
    if opset not in OPSETS:
        raise Failure("export.opset", opset=str(opset), known=", ".join(map(str, OPSETS)))
    run.progress("export.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch", "onnx", "onnxruntime")
    libraries.set_up_torch()

    from gpu_server import gate
    from gpu_server.dataset import model_folder, read_dataset

    folder = model_folder(run)
    exported = write_network(run, folder, opset)
    images = gate.choose(read_dataset(folder).splits)
    with staged(run, folder) as place:
        write_files(place, exported)
        written = gate.read_back(place)
        run.progress("export.compare", 0, len(images), "images")
        rows = gate.run(
            written, exported.reference, images, lambda done: run.progress("export.compare", done, len(images), "images")
        )
        if not rows:
            raise Failure("export.no_images", model=folder.name)
        comparison = gate.judge(rows)
        found = findings(exported, comparison, gate.in_half(rows), gate.milliseconds(written))
        refuse(folder, exported, written, comparison, found)
        publish(folder, place, exported, written, found)
    run.result(
        model=folder.name,
        opset=opset,
        ir_version=exported.bundle["onnx"]["ir_version"],
        bytes=len(exported.data),
        operators=exported.bundle["onnx"]["operators"],
        images=comparison.images,
        max_difference=comparison.difference,
        agreement=comparison.agreement,
        checkpoint_sha256=exported.checkpoint_sha256,
        sha256=exported.bundle["sha256"],
    )


def write_network(run: Run, folder: Path, opset: int) -> Exported:
    """The checkpoint as ONNX, in memory; it may be replaced by a better one meanwhile, which is another export's."""
    from torch import nn

    from gpu_server import checkpoint, folding, gate, half, onnx_file
    from gpu_server.dataset import read_classes

    content, digest = checkpoint.load(folder)
    checkpoint.require_same_classes(content, read_classes(folder), folder.name)
    with without_compiler():
        classifier = checkpoint.classifier_of(content, folder.name)
    spec, temperature = content["input"], float(content.get("temperature", 1.0))
    run.progress("export.graph", 0, 1, "steps")
    folded = folding.fold(classifier, spec["shape"][2])
    folding.divide_logits(folded, temperature, spec["shape"][2])
    model = onnx_file.to_onnx(folded, spec, OUTPUT, opset)
    operators = onnx_file.check(model, opset)
    data = model.SerializeToString()
    run.progress("export.graph", 1, 1, "steps")
    reference = gate.Reference(
        classifier, spec, content["classes"], temperature, half.halved(nn.Sequential(folded, nn.Softmax(dim=1)))
    )
    return Exported(content, digest, data, describe(folder, content, model, operators, data), reference)


def describe(
    folder: Path, content: Dict[str, Any], model: onnx.ModelProto, operators: List[str], data: bytes
) -> Dict[str, Any]:
    """The content of bundle.json, but for what the gate and the report will say: what the laptop and the Nano need."""
    import onnx
    import torch

    labels = "\n".join(content["classes"]).encode("utf-8")
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in (("model.onnx", data), ("labels.txt", labels))}
    return {
        "v": 1,
        "model": folder.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "classes": content["classes"],
        "input": content["input"],
        "output": {"name": OUTPUT, "shape": [1, content["num_classes"]], "activation": "softmax"},
        "temperature": content.get("temperature", 1.0),
        "onnx": {"opset": model.opset_import[0].version, "ir_version": model.ir_version, "operators": operators},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "onnx": onnx.__version__},
        "sha256": hashes,
    }


@contextmanager
def staged(run: Run, folder: Path) -> Iterator[Path]:
    """An empty folder of this run's beside the model's files, gone at the end; what killed runs left goes with it."""
    for left in folder.glob(f"{STAGED}*"):
        lock = _lock(left)
        if lock is not None:
            os.close(lock)
            shutil.rmtree(str(left), ignore_errors=True)
    place = folder / f"{STAGED}{run.path.name}"
    place.mkdir()
    lock = _lock(place)
    try:
        yield place
    finally:
        shutil.rmtree(str(place), ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> Optional[int]:
    """The descriptor of a folder that is ours until it is closed or we die; None where another program has it."""
    descriptor = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also from file systems that know no such lock: what is left there stays
        os.close(descriptor)
        return None
    return descriptor


def write_files(place: Path, exported: Exported) -> None:
    from gpu_server.files import write_json, write_whole

    write_whole(place / "model.onnx", exported.data)
    write_whole(place / "labels.txt", "\n".join(exported.content["classes"]).encode("utf-8"))
    write_json(place / "bundle.json", exported.bundle)


def findings(
    exported: Exported, comparison: Comparison, fp16: Optional[Dict[str, Any]], milliseconds: float
) -> Dict[str, Any]:
    """`export` of report.json."""
    return {
        "created": exported.bundle["created"],
        "opset": exported.bundle["onnx"]["opset"],
        "bytes": len(exported.data),
        "images": comparison.images,
        "max_difference": comparison.difference,
        "agreement": comparison.agreement,
        "refused": comparison.refused,
        "milliseconds": milliseconds,
        "fp16": fp16,
    }


def refuse(
    folder: Path, exported: Exported, written: Written, comparison: Comparison, found: Dict[str, Any]
) -> None:
    """Failure `export.differs` {model, difference, images, count} or `export.damaged` {model, file} for what must not be
    published; the report then says why, and what was published before stays."""
    content = exported.content
    if comparison.refused:
        note_in_report(folder, exported, found)
        named = comparison.refused[:NAMED_IMAGES]
        raise Failure(
            "export.differs",
            model=folder.name,
            difference=f"{comparison.difference:.6f}",
            images=", ".join(named) + (", …" if len(comparison.refused) > len(named) else ""),
            count=len(comparison.refused),
        )
    wrong = written.mismatch
    # Too small a difference for any image, and still not what the checkpoint says.
    if wrong is None and (written.labels != content["classes"] or written.bundle["input"] != content["input"]):
        wrong = "bundle.json"
    if wrong is not None:
        raise Failure("export.damaged", model=folder.name, file=wrong)


def publish(folder: Path, place: Path, exported: Exported, written: Written, found: Dict[str, Any]) -> None:
    """The files take the place of those before: bundle.json, which describes them, goes first and comes last."""
    from gpu_server.files import write_json

    report = note_in_report(folder, exported, found)
    write_json(place / "bundle.json", {**written.bundle, **facts(exported, report, found)})
    bundle = folder / "bundle.json"
    if bundle.exists():
        bundle.unlink()
    for name in ("model.onnx", "labels.txt"):
        if name == "model.onnx" or (place / name).read_bytes() != (folder / name).read_bytes():
            os.replace(str(place / name), str(folder / name))
    os.replace(str(place / "bundle.json"), str(bundle))


def facts(exported: Exported, report: Dict[str, Any], found: Dict[str, Any]) -> Dict[str, Any]:
    """`training` and `metrics` of bundle.json; a figure is None where the checkpoint has no report."""
    content = exported.content
    calibration = report.get("calibration")
    return {
        "training": {
            "recipe": content["recipe"],
            "arch": content["arch"],
            "stage": content.get("stage"),
            "epochs": len(report.get("history", [])) or content["epoch"],
            "seed": content["seed"],
            "images": content["images"],
            "val_accuracy": report.get("val_accuracy"),
            "test_accuracy": report.get("test_accuracy"),
            "checkpoint_sha256": exported.checkpoint_sha256,
        },
        "metrics": {
            "test_accuracy": report.get("test_accuracy"),
            "interval": report.get("interval"),
            "ece": calibration["after"]["ece"] if calibration else None,
            "images": found["images"],
            "max_difference": found["max_difference"],
            "fp16_agreement": found["fp16"]["agreement"] if found["fp16"] else None,
        },
    }


def note_in_report(folder: Path, exported: Exported, found: Dict[str, Any]) -> Dict[str, Any]:
    """Writes `found` as `export` of report.json and returns the report; {} where there is none of this checkpoint."""
    from gpu_server import report_file

    def noted(report: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        # A training that goes on may have written one of a better checkpoint meanwhile: that is not this export's.
        if report is None or not report_file.is_of(report, exported.checkpoint_sha256):
            return None
        return {**report, "export": found}

    return report_file.change(folder, noted) or {}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Turns a model's checkpoint into an ONNX file for the Jetson Nano.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), export)


if __name__ == "__main__":
    leave(main())
