"""Figures that are pure functions of logits: against values worked out by hand and by trying every value."""

import math
from pathlib import Path

import numpy as np
import pytest
import server_data  # noqa: F401  puts remote/ on the path
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_server import calibration, evaluation
from gpu_server.dataset import Image

NONE = evaluation.Answers(torch.empty((0, 3)), torch.empty(0, dtype=torch.int64), [])


def answers(logits: np.ndarray, labels: list[int]) -> evaluation.Answers:
    images = [Image(Path(f"{number}.jpg"), f"test/{label}/{number}.jpg", label) for number, label in enumerate(labels)]
    return evaluation.Answers(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64), images)


def sure(shares: list[float], right: list[bool]) -> evaluation.Answers:
    """Two classes; each image gets the first with this probability, and shows it where `right`."""
    logits = np.log(np.array([[share, 1 - share] for share in shares]))
    return answers(logits, [0 if one else 1 for one in right])


def drawn(seed: int, count: int, classes: int, scale: float) -> evaluation.Answers:
    """Labels drawn from the softmax of the logits, which are then made `scale` times as large: the temperature that
    undoes it is `scale`."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return answers(scale * logits, [int(random.choice(classes, p=row)) for row in shares])


def cost(given: evaluation.Answers, temperature: float) -> float:
    """What the temperature minimises, as doc/design/training.md says it, in plain NumPy."""
    logits = given.logits.numpy().astype(np.float64) / temperature
    logits -= logits.max(1, keepdims=True)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    chosen = shares[np.arange(len(shares)), given.labels.numpy()]
    return -np.log(chosen).sum() + math.log(temperature) ** 2 / (2 * calibration.PRIOR_STD ** 2)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("count", [3, 40, 400])
def test_the_temperature_is_the_best_of_all(count: int, scale: float) -> None:
    given = drawn(1, count, 4, scale)
    tried = np.geomspace(calibration.LOWEST, calibration.HIGHEST, 3000)
    best = tried[int(np.argmin([cost(given, float(one)) for one in tried]))]
    assert calibration.temperature(given) == pytest.approx(best, rel=0.003)


def test_many_images_tell_the_temperature() -> None:
    for scale in (0.5, 1.0, 3.0):
        assert calibration.temperature(drawn(2, 3000, 5, scale)) == pytest.approx(scale, rel=0.1)


def test_a_few_images_all_right_prove_little() -> None:
    few = calibration.temperature(sure([0.95] * 5, [True] * 5))
    many = calibration.temperature(sure([0.6] * 2000, [True] * 2000))
    assert 0.7 < few < 1
    assert many == calibration.LOWEST


def test_the_temperature_has_bounds_and_needs_images() -> None:
    assert calibration.temperature(sure([1 - 1e-7] * 400, [False] * 400)) == calibration.HIGHEST
    assert calibration.temperature(NONE) == 1.0
    assert calibration.temperature(answers(np.array([[np.nan, 1.0, 2.0]]), [0])) == 1.0


def test_calibration_by_hand() -> None:
    given = sure([0.95, 0.95, 0.65, 0.2], [True, False, True, False])
    # The last one: the second class with 0.8, which is right.
    measured = calibration.measure(given, 1.0)
    assert measured["ece"] == pytest.approx(2 / 4 * (0.95 - 0.5) + 1 / 4 * (1 - 0.65) + 1 / 4 * (1 - 0.8), abs=1e-6)
    assert measured["nll"] == pytest.approx(-(math.log(0.95) + math.log(0.05) + math.log(0.65) + math.log(0.8)) / 4, abs=1e-6)
    filled = {number: one for number, one in enumerate(measured["bins"]) if one["count"]}
    assert {number: (one["count"], one["accuracy"]) for number, one in filled.items()} == {6: (1, 1), 8: (1, 1), 9: (2, 0.5)}
    assert filled[9]["confidence"] == pytest.approx(0.95, abs=1e-6) and (filled[9]["low"], filled[9]["high"]) == (0.9, 1.0)
    assert measured["bins"][0] == {"low": 0.0, "high": 0.1, "count": 0, "confidence": None, "accuracy": None}


def test_the_temperature_divides_the_logits() -> None:
    given = drawn(3, 50, 3, 1.0)
    cooler = given._replace(logits=given.logits / 2.5)
    assert calibration.measure(given, 2.5)["nll"] == pytest.approx(calibration.measure(cooler, 1.0)["nll"], abs=1e-5)


def test_confidence_of_exactly_one_has_its_place() -> None:
    measured = calibration.measure(answers(np.array([[500.0, 0.0]]), [0]), 1.0)
    assert measured["bins"][9]["count"] == 1 and measured["ece"] == 0


def test_without_images_there_is_no_calibration() -> None:
    assert calibration.measure(NONE, 1.0) == {"ece": None, "nll": None, "bins": []}


def test_more_true_after_the_temperature_of_other_images() -> None:
    val, test = drawn(4, 400, 5, 3.0), drawn(5, 400, 5, 3.0)
    measured = evaluation.figures(val, test, list("abcde"), calibration.temperature(val))["calibration"]
    assert measured["after"]["ece"] < 0.5 * measured["before"]["ece"]
    assert measured["after"]["nll"] < measured["before"]["nll"] and measured["temperature"] == pytest.approx(3, rel=0.2)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilsons_interval_by_its_definition(counts: tuple[int, int]) -> None:
    """Its ends are the true rates from which what was seen lies just 1.96 standard deviations away."""
    right, count = counts
    ends = evaluation.interval(right, count)
    assert ends is not None and 0 <= ends[0] <= right / count <= ends[1] <= 1
    for end, at_the_end in zip(ends, (right == 0, right == count), strict=True):
        if not at_the_end:
            away = abs(right / count - end) / math.sqrt(end * (1 - end) / count)
            assert away == pytest.approx(1.959964, rel=1e-4)


def test_wilsons_interval_by_its_known_values() -> None:
    assert evaluation.interval(0, 0) is None
    assert evaluation.interval(10, 10) == pytest.approx([0.7225, 1.0], abs=1e-4)
    assert evaluation.interval(46, 48) == pytest.approx([0.8602, 0.9885], abs=1e-4)


def test_figures_of_four_images() -> None:
    # Right, taken for b with 0.9, right, taken for a with 0.6.
    logits = np.log(np.array([[0.8, 0.1, 0.1], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]]))
    given = evaluation.figures(NONE, answers(logits, [0, 0, 1, 1]), ["a", "b", "c"], 1.0)
    assert given["val_accuracy"] is None and given["test_accuracy"] == 0.5
    assert given["confusion"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert given["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "images": 2}
    assert given["per_class"]["c"] == {"precision": None, "recall": None, "images": 0}
    assert [(one["class"], one["predicted"], one["confidence"]) for one in given["samples"]] == [
        ("a", "b", 0.9), ("b", "a", 0.6), ("a", "a", 0.8), ("b", "b", 0.8)]
    assert [(one["predicted"], one["confidence"]) for one in given["answers"]] == [
        ("a", 0.8), ("b", 0.9), ("b", 0.8), ("a", 0.6)]
    assert given["answers_left_out"] == 0


def test_of_many_images_the_answers_of_every_class_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_ANSWERS", 4)
    logits = np.log(np.array([[0.8, 0.2]] * 6 + [[0.2, 0.8]] * 4))
    given = evaluation.figures(NONE, answers(logits, [0] * 6 + [1] * 4), ["a", "b"], 1.0)
    assert [one["predicted"] for one in given["answers"]] == ["a", "a", "a", "b"] and given["answers_left_out"] == 6


def test_confidences_are_those_of_the_exported_model() -> None:
    logits = np.log(np.array([[0.8, 0.2]]))
    (sample,) = evaluation.figures(NONE, answers(logits, [0]), ["a", "b"], 2.0)["samples"]
    assert sample["confidence"] == pytest.approx(math.sqrt(0.8) / (math.sqrt(0.8) + math.sqrt(0.2)), abs=1e-4)


def test_figures_without_any_images() -> None:
    given = evaluation.figures(NONE, NONE, ["a", "b"], 1.0)
    assert given["test_accuracy"] is None and given["interval"] is None and given["samples"] == []
    assert given["confusion"] == [[0, 0], [0, 0]]
    assert given["answers"] == [] and given["answers_left_out"] == 0
