"""The recipes fine and classic: a best model at any time, the same one for the same seed, also after a KILL."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import recipes
import server_data
import torch
from recipes import CLASSIC, FINE, Killed, last, train

from gpu_server import augment, checkpoint, files, learning, maps, recipe_classic, recipe_fine, report_file, resume
from gpu_server import training as training_module
from gpu_server.training import Training
from shared.wire import Failure, Run, guard

ASKED = Training.asked_to_stop


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipes.small_server(monkeypatch, tmp_path)


def interrupted(monkeypatch: pytest.MonkeyPatch, root: Path, after: int, params: dict[str, Any],
                place: tuple[Any, str] = (resume, "save")) -> None:
    """A training that is killed when it calls `place` for the time number `after`, before that does anything."""
    whole: Callable[..., Any] = getattr(*place)
    calls = []

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == after:
            raise Killed
        return whole(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(*place, counted)
        with pytest.raises(Killed):
            train(root, **params)


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in metric.items() if name != "images_per_s"} for metric in history]


def test_fine_begins_with_quick_and_keeps_the_better_one(tmp_path: Path) -> None:
    trained = train(tmp_path, **FINE)
    best = trained.of("best")
    assert best[0]["stage"] == "quick"
    assert [(one["val_accuracy"], -one["val_loss"]) for one in best] == sorted(
        (one["val_accuracy"], -one["val_loss"]) for one in best)
    report, result = trained.report, trained.of("result")[0]
    assert [stage["stage"] for stage in report["stages"]][:2] == ["quick", "fine"]
    assert [stage["stage"] for stage in report["stages"] if stage["taken"]][-1] == report["stage"] == result["stage"]
    assert best[-1]["checkpoint_sha256"] == report["checkpoint_sha256"] == result["checkpoint_sha256"]
    assert [metric["epoch"] for metric in trained.of("metric")] == list(range(1, len(report["history"]) + 1))
    assert report["settings"]["batch"] == 4 and report["settings"]["lr"] > 0
    assert not (trained.folder / resume.FILE).exists()


def test_what_fine_has_tuned_is_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logits come from kept maps; those of the checkpoint's network, from the image on, are the same."""
    offered = []
    monkeypatch.setattr(Training, "_is_better", lambda self, accuracy, loss: True)
    whole = training_module.evaluation.figures

    def noted(val: Any, test: Any, *more: Any) -> Any:
        offered.append(test)
        return whole(val, test, *more)

    monkeypatch.setattr(training_module.evaluation, "figures", noted)
    trained = train(tmp_path, **FINE)
    assert trained.report["stage"] == "deeper"
    content, _ = checkpoint.load(trained.folder)
    classifier = checkpoint.classifier_of(content, "photos")
    test = offered[-1]
    from gpu_server.dataset import read_image
    from shared.preprocess import prepare

    for image, logits in zip(test.images, test.logits, strict=True):
        with torch.inference_mode():
            found = classifier(torch.from_numpy(prepare(read_image(image.path), content["input"])))[0]
        torch.testing.assert_close(found, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("params", [FINE, CLASSIC], ids=["fine", "classic"])
def test_the_same_seed_gives_the_same_model(params: dict[str, Any], tmp_path: Path) -> None:
    first, second = (train(tmp_path, **params, seed=5) for _ in range(2))
    assert first.of("result")[0]["checkpoint_sha256"] == second.of("result")[0]["checkpoint_sha256"]
    assert without_times(first.of("metric")) == without_times(second.of("metric"))
    other = train(tmp_path, **params, seed=6)
    assert without_times(other.of("metric"))[-1] != without_times(first.of("metric"))[-1]


@pytest.mark.parametrize(("params", "place", "after"), [
    (FINE, (resume, "save"), 1), (FINE, (resume, "save"), 3), (FINE, (learning.Learner, "step"), 5),
    (FINE, (report_file, "write_json"), 1), (FINE, (maps, "_maps"), 5), (CLASSIC, (resume, "save"), 2),
    (CLASSIC, (learning.Learner, "step"), 8), (CLASSIC, (checkpoint, "write_whole"), 1)])
def test_a_killed_training_ends_as_it_would_have(params: dict[str, Any], place: tuple[Any, str], after: int, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "_is_better", lambda self, accuracy, loss: True)
    undisturbed = train(tmp_path, **params)
    expected, history = undisturbed.checkpoint, without_times(undisturbed.report["history"])
    (undisturbed.folder / "checkpoint.pth").unlink()
    interrupted(monkeypatch, tmp_path, after, params, place)
    saved = (undisturbed.folder / resume.FILE).exists()
    trained = train(tmp_path, **params)
    assert trained.checkpoint == expected
    assert without_times(trained.report["history"]) == history
    assert ("train.resumed" in trained.logs) == saved
    assert trained.logs[0] == "train.data"


def test_an_unfinished_training_of_something_else_is_not_gone_on_with(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "photos"

    def begun_anew(**changed: Any) -> list[str]:
        return [code for code in train(tmp_path, **{**CLASSIC, **changed}).logs if code.startswith(("train.begun", "train.re"))]

    interrupted(monkeypatch, tmp_path, 2, CLASSIC)
    assert begun_anew(seed=9) == ["train.begun_anew_settings"]
    interrupted(monkeypatch, tmp_path, 2, CLASSIC)
    (folder / "train" / "cat" / "cat-004.jpg").unlink()
    assert begun_anew() == ["train.begun_anew_images"]
    interrupted(monkeypatch, tmp_path, 2, CLASSIC)
    data = (folder / resume.FILE).read_bytes()
    (folder / resume.FILE).write_bytes(data[: len(data) // 2])
    assert begun_anew() == ["train.begun_anew_damaged"]
    interrupted(monkeypatch, tmp_path, 2, CLASSIC)
    assert begun_anew() == ["train.resumed"]


def test_a_stop_keeps_the_best_so_far(tmp_path: Path) -> None:
    trained = train(tmp_path, stop=True, **FINE)
    result = trained.of("result")[0]
    assert result["stopped"] is True and result["stage"] == "quick"
    assert {metric["stage"] for metric in trained.of("metric")} == {"quick"}


def test_a_stop_is_heard_while_copies_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[int] = []
    progress = Run.progress

    def stopping(run: Run, what: str, done: float, *more: Any) -> None:
        progress(run, what, done, *more)
        if what == "train.maps":
            prepared.append(int(done))
            (run.path / "commands.jsonl").write_text('{"v":1,"type":"stop"}\n')

    monkeypatch.setattr(Run, "progress", stopping)
    monkeypatch.setattr(Training, "asked_to_stop", lambda training: _asked(training))
    trained = train(tmp_path, **FINE)
    assert trained.of("result")[0]["stopped"] is True and prepared == [1]
    assert {metric["stage"] for metric in trained.of("metric")} == {"quick"}


def _asked(training: Training) -> bool:
    """At once, whenever it was looked last."""
    training._looked = 0.0
    return ASKED(training)


def test_classic_stopped_in_its_first_epoch_has_a_model_all_the_same(tmp_path: Path) -> None:
    trained = train(tmp_path, stop=True, **CLASSIC)
    result = trained.of("result")[0]
    assert result["stopped"] is True and result["epochs"] == 1 and result["stage"] == "classic"


def test_classic_says_what_it_means_to_begin_from_scratch(tmp_path: Path) -> None:
    trained = train(tmp_path, **{**CLASSIC, "epochs": 1})
    warned = [event for event in trained.of("log") if event["level"] == "warning"]
    assert [event["code"] for event in warned] == ["train.from_scratch"]
    assert warned[0]["params"]["path"].endswith("squeezenet1_1-b8a52dc0.pth")


def test_the_other_recipes_do_not_begin_from_scratch(tmp_path: Path) -> None:
    for recipe in ("quick", "fine"):
        with pytest.raises(Failure, match=r"train\.no_weights"):
            train(tmp_path, recipe=recipe, arch="resnet18")


def test_a_full_disk_leaves_the_earlier_model_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "_is_better", lambda self, accuracy, loss: True)
    folder = tmp_path / "models" / "photos"
    saved = []

    def full(descriptor: int) -> None:
        saved.append(descriptor)
        if len(saved) > 3:  # checkpoint, report and state of the first epoch have found room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    run = Run(str(server_data.run_folder(tmp_path, "train", model="photos", **CLASSIC)))

    def start(run: Run) -> None:
        recipe_classic.train(Training(run, recipes.settings.read(run.params), 0.0))

    assert guard(run, start) == 1
    trained = last(tmp_path)
    assert trained.events[-1]["code"] == "program.disk_full"
    assert trained.report["checkpoint_sha256"] == trained.of("best")[-1]["checkpoint_sha256"]
    checkpoint.load(folder)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [report_file.LOCK]


def test_time_and_speed_are_told(tmp_path: Path) -> None:
    trained = train(tmp_path, **{**CLASSIC, "epochs": 6})
    progress = [event for event in trained.of("progress") if event["what"] == "train.classic"]
    assert [event["done"] for event in progress] == list(range(1, progress[-1]["total"] + 1))
    assert all(event["eta_s"] >= 0 for event in progress)
    assert progress[-1]["eta_s"] < 0.2 + progress[len(progress) // 2]["eta_s"]
    assert all(metric["images_per_s"] > 0 for metric in trained.of("metric"))


def test_the_plan_of_fine_follows_the_minutes_and_the_images(tmp_path: Path) -> None:
    run = Run(str(server_data.run_folder(tmp_path, "train", model="photos", recipe="fine")))

    def epochs(images: int, **asked: Any) -> list[int]:
        training = Training(run, recipes.settings.read({**run.params, **asked}), 0.0)
        return [part.epochs for part in recipe_fine.plan(training, images)]

    assert sum(epochs(480, minutes=1)) < sum(epochs(480)) < sum(epochs(480, minutes=4))
    assert sum(epochs(480)) < sum(epochs(240))
    assert epochs(100_000)[0] >= 1  # what was asked for is begun, however long it takes
    assert sum(epochs(480, epochs=7)) == 7


@pytest.mark.parametrize(("classes", "mirrored"), [(("left", "right"), False), (("cat", "coffee"), True)])
def test_what_means_another_class_in_the_mirror_is_not_mirrored(classes: tuple[str, str], mirrored: bool, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "photos"
    shutil.rmtree(folder)
    server_data.make_dataset(folder, list(classes), {"train": 8, "val": 6, "test": 2}, width=160, height=90)
    if not mirrored:
        random = np.random.default_rng(0)
        for path in folder.glob("*/*/*.jpg"):
            cv2.imwrite(str(path), arrow(path.parent.name == "left", random))
    asked = []
    monkeypatch.setattr(maps, "copies", lambda *given: asked.append(given[-1]) or augment.copies(*given))
    trained = train(tmp_path, **FINE)
    assert set(asked) == {mirrored}
    assert ("train.mirror_differs" in trained.logs) == (not mirrored)


def arrow(to_the_left: bool, random: np.random.Generator) -> np.ndarray:
    """uint8 (90, 160, 3), somewhere in the picture."""
    frame = np.full((90, 160, 3), 230, np.uint8)
    tail, tip = np.array([30, 45]) + random.integers(-15, 15, 2), np.array([130, 45]) + random.integers(-15, 15, 2)
    cv2.arrowedLine(frame, *((tip, tail) if to_the_left else (tail, tip)), (40, 40, 40), 6, cv2.LINE_AA, tipLength=0.4)
    return frame


def test_copies_that_do_not_fit_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "_ROOM", 10 * 3 * 112 * 4 * 4 * 2)
    trained = train(tmp_path, **FINE)
    fewer = [event["params"] for event in trained.of("log") if event["code"] == "train.fewer_copies"]
    assert fewer[0]["copies"] == 3 < fewer[0]["wanted"]


def test_rates() -> None:
    rates = [learning.one_cycle(step, 40, 1.0) for step in range(40)]
    assert max(rates) == rates[10] == 1.0 and rates[0] == pytest.approx(0.1) and rates[-1] < 0.02
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert [round(recipe_classic.rate_of(epoch, 0.1), 9) for epoch in (0, 29, 30, 34)] == [0.1, 0.1, 0.01, 0.01]


class _Memory:
    """A network on a GPU with room for so many images."""

    def __init__(self, room: int) -> None:
        self.layer, self.room = torch.nn.Linear(4, 2), room
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(8.0).reshape(2, 4) / 10)
            self.layer.bias.zero_()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        logits: torch.Tensor = self.layer(images)
        return logits


def test_a_full_gpu_gets_fewer_images_at_a_time_and_learns_the_same(tmp_path: Path) -> None:
    run = Run(str(server_data.run_folder(tmp_path, "train", model="photos", recipe="classic", arch="squeezenet1_1")))
    training = Training(run, recipes.settings.read(run.params), 0.0)
    random = torch.Generator().manual_seed(1)
    images, labels = torch.randn(20, 4, generator=random), torch.arange(20) % 2
    learnt = []
    for room in (100, 5):
        network = _Memory(room)
        learner = learning.Learner(training, network, torch.optim.SGD(network.layer.parameters(), 0.1), 0.0)
        learner.step(images, labels, 0.1)
        learnt.append(network.layer.weight.detach().clone())
    torch.testing.assert_close(*learnt)
    told = [event["params"]["batch"] for event in last(tmp_path).of("log") if event["code"] == "train.batch_halved"]
    assert told == [10, 5]
    with pytest.raises(Failure, match=r"train\.gpu_memory"):
        network = _Memory(0)
        learning.Learner(training, network, torch.optim.SGD(network.layer.parameters(), 0.1), 0.0).step(
            images, labels, 0.1)


def test_what_an_export_wrote_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "photos"
    whole = training_module.Training.end_stage

    def exported(self: Training, *given: Any) -> None:
        if self.best is not None and self.best.stage == "quick":
            report_file.change(folder, lambda report: {**(report or {}), "export": {"opset": 13}})
        whole(self, *given)

    monkeypatch.setattr(training_module.Training, "end_stage", exported)
    monkeypatch.setattr(Training, "_is_better", lambda self, accuracy, loss: self.best is None)
    assert train(tmp_path, **FINE).report["export"] == {"opset": 13}
