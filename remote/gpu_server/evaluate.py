"""Measures a trained model again on val/ and test/ and rewrites the figures of its report.json (doc/design/wire.md).

params {"model"}; result {"model", "images", "val_accuracy", "test_accuracy", "seconds"}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from shared.wire import Run, guard


def evaluate(run: Run) -> None:
    """Raises Failure."""
    start = time.monotonic()
    run.progress("train.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch")

    from gpu_server import checkpoint, evaluation, features
    from gpu_server.dataset import model_folder, read_dataset, warn_of_gaps
    from gpu_server.files import write_json

    folder = model_folder(run)
    content = checkpoint.load(folder)
    dataset = read_dataset(folder)
    warn_of_gaps(run, dataset)
    checkpoint.require_same_classes(content, dataset.classes, folder.name)
    device = libraries.set_up_torch()
    classifier = checkpoint.classifier_of(content, folder.name)
    images = dataset.splits["val"] + dataset.splits["test"]
    extracted = features.extract(run, classifier, images, content["input"], device)
    figures = evaluation.figures(classifier, extracted, dataset.classes)
    counts = {
        "train": content["images"]["train"],
        "val": len(features.select(extracted, "val").images),
        "test": len(features.select(extracted, "test").images),
    }
    path = folder / "report.json"
    report = _earlier_report(path) or _report_of(content, folder.name)
    report.update(figures)
    report["images"] = counts
    write_json(path, report)
    run.result(
        model=folder.name,
        images=counts,
        val_accuracy=figures["val_accuracy"],
        test_accuracy=figures["test_accuracy"],
        seconds=round(time.monotonic() - start, 3),
    )


def _earlier_report(path: Path) -> Optional[Dict[str, Any]]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _report_of(content: Dict[str, Any], model: str) -> Dict[str, Any]:
    """What a checkpoint alone knows: how long training took and its curve are lost with the report."""
    return {
        "v": 1,
        "model": model,
        "recipe": content["recipe"],
        "arch": content["arch"],
        "classes": content["classes"],
        "images": content["images"],
        "seconds": {"features": None, "head": None, "total": None},
        "history": [],
    }


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measures a trained model again on its val/ and test/ images.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), evaluate)


if __name__ == "__main__":
    sys.exit(main())
