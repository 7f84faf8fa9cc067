"""A training ends as lost only where its loss or its weights are no numbers any more; what is merely wild goes on."""

import math
from pathlib import Path
from typing import Any

import pytest
import recipes
import torch
from recipes import CLASSIC, FINE, last, train

from gpu_server import learning, recipe_classic
from gpu_server import training as training_module
from gpu_server.evaluation import Answers
from gpu_server.training import Training
from shared.wire import Failure


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipes.small_server(monkeypatch, tmp_path)


@pytest.mark.parametrize("params", [FINE, CLASSIC], ids=["fine", "classic"])
def test_a_training_that_loses_its_way_ends_clearly_and_keeps_the_best(params: dict[str, Any], tmp_path: Path) -> None:
    before = train(tmp_path, **params)
    kept = before.checkpoint
    with pytest.raises(Failure) as failure:
        train(tmp_path, **{**params, "lr": 1e9})
    assert failure.value.code == "train.diverged" and failure.value.params["lr"] > 0
    trained = last(tmp_path)
    if params is FINE:  # its quick model is there, whole, and told about
        assert trained.of("best")[-1]["stage"] == trained.report["stage"] == "quick"
    else:
        assert trained.checkpoint == kept and not trained.of("best")


def test_a_wild_loss_on_val_alone_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch norms that have seen a few steps make one of many thousands."""
    wild = training_module.Training.metric

    def metric(training: Training, stage: str, epochs: int, fields: dict[str, Any]) -> dict[str, Any]:
        return wild(training, stage, epochs, {**fields, "val_loss": 5e4 if len(training.history) == 0 else fields["val_loss"]})

    monkeypatch.setattr(Training, "metric", metric)
    trained = train(tmp_path, **CLASSIC)
    assert trained.of("metric")[0]["val_loss"] == 5e4 and trained.of("result")[0]["epochs"] == 3


@pytest.mark.parametrize("loss", [0.0, 95.0, 1e4, 3e38])
def test_a_large_loss_is_a_number(loss: float) -> None:
    training_module.require_sense(loss, 0.1)


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_no_number_ends_it(loss: float) -> None:
    with pytest.raises(Failure, match=r"train\.diverged"):
        training_module.require_sense(loss, 0.1)


def test_a_large_loss_of_some_steps_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = learning.cross_entropy
    steps = []

    def large(*given: Any, **named: Any) -> torch.Tensor:
        steps.append(1)
        loss: torch.Tensor = plain(*given, **named)
        return loss + 5e4 if len(steps) <= 2 else loss

    monkeypatch.setattr(learning, "cross_entropy", large)
    trained = train(tmp_path, **CLASSIC)
    assert trained.of("metric")[0]["train_loss"] > 1e4 and trained.of("result")[0]["epochs"] == 3


def spoil_val(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """In the first so many epochs, what the network says of val is beyond what a number can be."""
    plain = recipe_classic._Classic._answers

    def spoilt(classic: Any, split: str) -> Answers:
        answers = plain(classic, split)
        return answers._replace(logits=answers.logits * math.inf) if classic.done <= epochs else answers

    monkeypatch.setattr(recipe_classic._Classic, "_answers", spoilt)


def test_an_infinite_loss_on_val_is_no_best_model_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_val(monkeypatch, 1)
    trained = train(tmp_path, **CLASSIC)
    first, second, _ = trained.of("metric")
    assert first["val_loss"] is None and second["val_loss"] > 0
    assert trained.of("best")[0]["epoch"] == 2
    assert trained.of("result")[0]["epochs"] == 3


def test_without_one_model_that_makes_sense_on_val_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_val(monkeypatch, 3)
    with pytest.raises(Failure, match=r"train\.diverged"):
        train(tmp_path, **CLASSIC)
    assert len(last(tmp_path).of("metric")) == 3 and not last(tmp_path).of("best")
    assert not (tmp_path / "models" / "photos" / "checkpoint.pth").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_end_it(value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the last step show in no training loss, and without val images in nothing else."""
    plain = recipe_classic._Classic._look

    def spoilt(classic: Any) -> None:
        if classic.done == 2:
            with torch.no_grad():
                next(iter(classic.classifier.parameters()))[0, 0, 0, 0] = value
        plain(classic)

    for path in (tmp_path / "models" / "photos" / "val").rglob("*.jpg"):
        path.unlink()
    monkeypatch.setattr(recipe_classic._Classic, "_look", spoilt)
    with pytest.raises(Failure) as failure:
        train(tmp_path, **CLASSIC)
    assert failure.value.code == "train.diverged" and failure.value.params["lr"] == CLASSIC["lr"]
    assert [best["epoch"] for best in last(tmp_path).of("best")] == [1]
