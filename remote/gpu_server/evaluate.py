"""Measures a trained model again on val/ and test/ and rewrites the figures of its report.json (doc/design/wire.md).

params {"model"}; result {"model", "images", "val_accuracy", "test_accuracy", "seconds"}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from shared.wire import Run, guard

if TYPE_CHECKING:
    import torch

    from gpu_server.dataset import Image
    from gpu_server.evaluation import Answers
    from gpu_server.networks import Classifier

BATCH = 4  # what is under way delays a stop


def evaluate(run: Run) -> None:
    """Raises Failure."""
    start = time.monotonic()
    run.progress("train.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch")

    from gpu_server import checkpoint, evaluation
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
    answers = answers_of(run, classifier, images, content["input"], device)
    val, test = (part_of(answers, split) for split in ("val", "test"))
    figures = evaluation.figures(val, test, dataset.classes, content.get("temperature", 1.0))
    counts = {"train": content["images"]["train"], "val": len(val.images), "test": len(test.images)}
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


def answers_of(
    run: Run, classifier: Classifier, images: Sequence[Image], spec: Dict[str, Any], device: torch.device
) -> Answers:
    """The logits of all images that can be read; the others are named in the warning `train.bad_image` and left out."""
    import cv2
    import numpy as np
    import torch

    from gpu_server.dataset import read_image
    from gpu_server.evaluation import Answers
    from gpu_server.folding import fold
    from gpu_server.parallel import each
    from shared.preprocess import prepare

    network = fold(classifier, spec["shape"][2]).to(device).to(memory_format=torch.channels_last)
    cv2.setNumThreads(1)

    def logits_of(batch: Sequence[Image]) -> Tuple[torch.Tensor, List[Image], List[Image]]:
        frames = [(image, read_image(image.path)) for image in batch]
        arrays = [prepare(frame, spec) for _, frame in frames if frame is not None]
        kept = [image for image, frame in frames if frame is not None]
        bad = [image for image, frame in frames if frame is None]
        if not arrays:
            return torch.empty((0, 0)), kept, bad
        prepared = torch.from_numpy(np.concatenate(arrays)).to(device).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return network(prepared).float().cpu().clone(), kept, bad

    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    rows = each(
        logits_of,
        batches,
        lambda done: run.progress("train.features", min(done * BATCH, len(images)), len(images), "images"),
    )
    for image in [image for _, _, bad in rows for image in bad]:
        run.log("train.bad_image", level="warning", file=image.file)
    kept = [image for _, images_kept, _ in rows for image in images_kept]
    logits = [matrix for matrix, images_kept, _ in rows if images_kept]
    outputs = torch.cat(logits) if logits else torch.empty((0, 1))
    return Answers(outputs, torch.tensor([image.label for image in kept], dtype=torch.int64), kept)


def part_of(answers: Answers, split: str) -> Answers:
    """The rows whose images lie in train/, val/ or test/."""
    rows = [row for row, image in enumerate(answers.images) if image.file.startswith(split + "/")]
    return answers._replace(
        logits=answers.logits[rows], labels=answers.labels[rows], images=[answers.images[row] for row in rows]
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
        "stage": content.get("stage"),
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
    sys.exit(main())
