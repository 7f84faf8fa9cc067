"""Measures a trained model again on val/ and test/ and rewrites the figures of its report.json (doc/design/wire.md).

params {"model"}; result {"model", "images", "val_accuracy", "test_accuracy", "seconds"}. A report of another checkpoint, which
a training has written meanwhile, stays as it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from gpu_server.ending import leave
from shared.wire import Run, guard


def evaluate(run: Run) -> None:
    """Raises Failure."""
    start = time.monotonic()
    run.progress("train.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch")

    from gpu_server import checkpoint, evaluation, features, report_file
    from gpu_server.dataset import model_folder, read_dataset, warn_of_gaps

    folder = model_folder(run)
    content, digest = checkpoint.load(folder)
    dataset = read_dataset(folder)
    warn_of_gaps(run, dataset)
    checkpoint.require_same_classes(content, dataset.classes, folder.name)
    device = libraries.set_up_torch()
    classifier = checkpoint.classifier_of(content, folder.name)
    images = dataset.splits["val"] + dataset.splits["test"]
    extracted = features.extract(run, classifier, images, content["input"], device)
    head = classifier.head
    val, test = (
        features.answers(features.select(extracted, split), head.weight, head.bias) for split in ("val", "test")
    )
    figures = evaluation.figures(val, test, dataset.classes, content.get("temperature", 1.0))
    counts = {"train": content["images"]["train"], "val": len(val.images), "test": len(test.images)}

    def measured(report: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        if report is not None and not report_file.is_of(report, digest):
            return None
        return {**(report or _report_of(content, digest, folder.name)), **figures, "images": counts}

    report_file.change(folder, measured)
    run.result(
        model=folder.name,
        images=counts,
        val_accuracy=figures["val_accuracy"],
        test_accuracy=figures["test_accuracy"],
        seconds=round(time.monotonic() - start, 3),
    )


def _report_of(content: Dict[str, Any], checkpoint_sha256: str, model: str) -> Dict[str, Any]:
    """What a checkpoint alone knows: how long training took and its curve are lost with the report."""
    return {
        "v": 1,
        "model": model,
        "recipe": content["recipe"],
        "arch": content["arch"],
        "classes": content["classes"],
        "images": content["images"],
        "stage": content.get("stage"),
        "checkpoint_sha256": checkpoint_sha256,
        "settings": content.get("settings", {}),
        "seconds": {"start": None, "first_image": None, "total": None},
        "history": [],
    }


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measures a trained model again on its val/ and test/ images.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), evaluate)


if __name__ == "__main__":
    leave(main())
