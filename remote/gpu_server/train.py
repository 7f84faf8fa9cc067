"""Trains a model on the dataset in its folder: checkpoint.pth and report.json (doc/design/wire.md).

Recipe `quick`: a network pretrained on ImageNet stays frozen, every image goes through it once, and a logistic
regression on the features becomes its last layer.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries
from shared.preprocess import imagenet_input
from shared.wire import Failure, Run, guard

if TYPE_CHECKING:
    from gpu_server import evaluation, head, networks
    from gpu_server.features import Features

RECIPES = ("quick",)


class Parameters(NamedTuple):
    recipe: str
    arch: str
    epochs: Optional[int]
    seed: int
    weights: Optional[str]


def parameters(given: Dict[str, Any]) -> Parameters:
    """Checked. Failures: `train.unknown_recipe` {recipe, known}, `train.bad_parameter` {name, value}."""
    recipe = given.get("recipe") or "quick"
    if recipe not in RECIPES:
        raise Failure("train.unknown_recipe", recipe=str(recipe), known=", ".join(RECIPES))
    epochs, seed, weights = given.get("epochs"), given.get("seed") or 0, given.get("weights")
    if epochs is not None and not (_is_integer(epochs) and 1 <= epochs <= 10_000):
        raise Failure("train.bad_parameter", name="epochs", value=str(epochs))
    if not (_is_integer(seed) and 0 <= seed < 2**63):
        raise Failure("train.bad_parameter", name="seed", value=str(seed))
    if weights is not None and not isinstance(weights, str):
        raise Failure("train.bad_parameter", name="weights", value=str(weights))
    return Parameters(recipe, str(given.get("arch") or "efficientnet_lite0"), epochs, seed, weights)


def train(run: Run) -> None:
    """The whole training; raises Failure."""
    start = time.monotonic()
    asked = parameters(run.params)
    run.progress("train.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch")

    import torch

    from gpu_server import calibration, checkpoint, evaluation, features, networks
    from gpu_server.dataset import SPLITS, model_folder, read_dataset, require_every_class, warn_of_gaps
    from gpu_server.files import write_json
    from shared.files import sha256

    torch.manual_seed(asked.seed)
    folder = model_folder(run)
    architecture = networks.architecture(asked.arch)
    dataset = read_dataset(folder)
    require_every_class(dataset.splits["train"], dataset.classes, folder.name)
    warn_of_gaps(run, dataset)
    device = libraries.set_up_torch()
    run.log("train.device", device=libraries.device_name(device))
    classifier = networks.pretrained(asked.arch, asked.weights)
    spec = imagenet_input(architecture.resolution)

    features_start = time.monotonic()
    images = [image for split in SPLITS for image in dataset.splits[split]]
    extracted = features.extract(run, classifier, images, spec, device)
    by_split = {split: features.select(extracted, split) for split in SPLITS}
    require_every_class(by_split["train"].images, dataset.classes, folder.name)
    head_start = time.monotonic()
    fitted = fit_head(run, by_split["train"], by_split["val"], len(dataset.classes), asked.epochs)
    classifier.set_head(*fitted.head)
    head_end = time.monotonic()

    answers = {split: answers_of(classifier, by_split[split]) for split in ("val", "test")}
    temperature = calibration.temperature(answers["val"])
    figures = evaluation.figures(answers["val"], answers["test"], dataset.classes, temperature)
    counts = {split: len(by_split[split].images) for split in SPLITS}
    checkpoint.save(
        folder,
        classifier,
        epoch=fitted.best.epoch,
        arch=asked.arch,
        resolution=architecture.resolution,
        classes=dataset.classes,
        num_classes=len(dataset.classes),
        accuracy=fitted.best.train_accuracy if fitted.best.val_accuracy is None else fitted.best.val_accuracy,
        loss=fitted.best.train_loss if fitted.best.val_loss is None else fitted.best.val_loss,
        optimizer=fitted.optimizer,
        input=spec,
        recipe=asked.recipe,
        seed=asked.seed,
        images=counts,
        temperature=temperature,
    )
    total = time.monotonic() - start
    seconds = {"features": head_start - features_start, "head": head_end - head_start, "total": total}
    report = {
        "v": 1,
        "model": folder.name,
        "recipe": asked.recipe,
        "arch": asked.arch,
        "classes": dataset.classes,
        "images": counts,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "history": history(fitted.history, asked.epochs),
        **figures,
    }
    write_json(folder / "report.json", report)
    run.result(
        model=folder.name,
        recipe=asked.recipe,
        arch=asked.arch,
        images=counts,
        epochs=len(fitted.history),
        val_accuracy=figures["val_accuracy"],
        test_accuracy=figures["test_accuracy"],
        seconds=round(time.monotonic() - start, 3),
        checkpoint_sha256=sha256(folder / checkpoint.FILE),
    )


def answers_of(classifier: networks.Classifier, features: Features) -> evaluation.Answers:
    """What the last layer says of the features."""
    import torch

    from gpu_server.evaluation import Answers

    with torch.inference_mode():
        logits = classifier.network.classifier(features.matrix)
    return Answers(logits.clone(), features.labels, features.images)


def fit_head(run: Run, train: Features, val: Features, classes: int, epochs: Optional[int]) -> head.Fit:
    """Chooses the strength of the penalty on val/, then fits once more and sends each epoch as a `metric` event."""
    from gpu_server import head

    limit = epochs or head.EPOCHS
    learn, check = head.Split(train.matrix, train.labels), head.Split(val.matrix, val.labels)
    strength = head.choose_strength(
        learn, check, classes, limit, lambda done, total: run.progress("train.head", done, total, "steps")
    )
    return head.fit(
        learn, check, classes, strength, limit, lambda epoch: run.emit("metric", epochs=limit, **epoch._asdict())
    )


def history(epochs: List[head.Epoch], limit: Optional[int]) -> List[Dict[str, Any]]:
    """The fields of the metric events, for report.json."""
    from gpu_server import head

    return [{**epoch._asdict(), "epochs": limit or head.EPOCHS} for epoch in epochs]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Trains a model on the dataset in its folder.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), train)


if __name__ == "__main__":
    sys.exit(main())
