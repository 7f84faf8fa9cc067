"""The gate of the export: what is on the disk is compared, and what differs is not published."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import server_data
import torch
from onnx import numpy_helper
from server_data import Ended, copy_of, run_program

from gpu_server import checkpoint, export, gate
from gpu_server.dataset import Image
from shared.wire import Failure, Run

trained = server_data.trained
Change = Callable[[Path], object]


def image(number: int, split: str = "test", label: int = 0) -> Image:
    return Image(Path(f"{number}.jpg"), f"{split}/cat/{number:04}.jpg", label)


def row(expected: list[float], actual: list[float], number: int = 0, halved: list[float] | None = None) -> gate.Row:
    return gate.Row(image(number), np.array(expected), np.array(actual), None if halved is None else np.array(halved))


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expected", "actual", "passes"), [
    ([0.7, 0.3], [0.7, 0.3], True),
    ([0.7, 0.3], [0.70009, 0.29991], True),
    ([0.7, 0.3], [0.70011, 0.29989], False),
    # Another class is first, which only passes where the two best are as close on both sides.
    ([0.500045, 0.499955], [0.499955, 0.500045], True),
    ([0.50004, 0.49994], [0.49997, 0.50009], False),
    ([0.7, 0.3], [0.3, 0.7], False),
    ([0.7, 0.3], [np.nan, 0.3], False),
    ([np.nan, 0.3], [0.7, 0.3], False),
    # So sure that no probability shows what happened to the logits.
    ([1 - 1e-7, 1e-7], [1 - 2e-7, 2e-7], False),
    ([1 - 1e-7, 1e-7], [1 - 1.001e-7, 1.001e-7], True),
    ([1.0, 0.0], [1.0, 1e-30], True)])
def test_what_one_image_may_say(expected: list[float], actual: list[float], passes: bool) -> None:
    comparison = gate.judge([row(expected, actual)])
    assert (comparison.refused == []) == passes
    assert 0 <= comparison.difference <= 1


def test_the_image_that_differs_is_named() -> None:
    rows = [row([0.9, 0.1], [0.9, 0.1], number) for number in range(7)]
    rows[3] = row([0.9, 0.1], [0.88, 0.12], 3)
    rows[5] = row([0.9, 0.1], [0.1, 0.9], 5)
    comparison = gate.judge(rows)
    assert comparison.refused == ["test/cat/0003.jpg", "test/cat/0005.jpg"]
    assert comparison.images == 7 and comparison.agreement == 6 / 7 and comparison.difference == pytest.approx(0.8)


def test_images_are_spread_over_all_classes() -> None:
    images = [image(number) for number in range(1200)]
    chosen = gate.choose({"train": images, "val": images[:3], "test": images}, 500)
    assert len(chosen) == len({one.file for one in chosen}) == 500
    numbers = [int(one.path.stem) for one in chosen]
    assert numbers == sorted(numbers) and max(np.diff([0, *numbers, 1199])) <= 3
    assert gate.choose({"train": images, "val": images[:3], "test": []}) == images[:3]
    assert gate.choose({"train": [], "val": [], "test": []}) == []


def test_half_precision_in_figures() -> None:
    rows = [row([0.9, 0.1], [0.9, 0.1], 0, [0.8, 0.2]), row([0.6, 0.4], [0.6, 0.4], 1, [0.45, 0.55]),
            row([0.9, 0.1], [0.9, 0.1], 2, [np.nan, np.nan]), row([0.9, 0.1], [0.9, 0.1], 3)]
    assert gate.in_half(rows) == {"images": 3, "accuracy": 2 / 3, "max_difference": 1.0, "agreement": 2 / 3}
    assert gate.in_half(rows[3:]) is None


# ---- what is on the disk ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(trained: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROOT with an exported model."""
    root = tmp_path_factory.mktemp("published")
    copy_of(trained[0], root)
    assert run_program(root, "export", model="photos").code == 0
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy with two test images of each class."""
    folder = copy_of(published, tmp_path)
    for number, path in enumerate(sorted(folder.glob("test/*/*.jpg"))):
        if number % 6 > 1:
            path.unlink()
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run in a process of their own elsewhere; here their start would be most of the time."""
    monkeypatch.setattr(export.libraries, "quiet", lambda: None)


def export_here(root: Path) -> dict[str, Any]:
    """The result of an export in this process. Raises Failure."""
    run = server_data.run_folder(root, "export", model="photos")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        export.export(Run(str(run)))
    return server_data.read_events(run)[-1]


@pytest.fixture(scope="module")
def network(published: Path) -> export.Exported:
    """What an export computes before it writes; the same for all that follows."""
    run = Run(str(server_data.run_folder(published, "export", model="photos")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return export.write_network(run, published / "models" / "photos", 13)


def keep_promise(place: Path) -> None:
    """bundle.json says again what the other files are."""
    bundle = json.loads((place / "bundle.json").read_text())
    bundle["sha256"] = {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in bundle["sha256"]}
    (place / "bundle.json").write_text(json.dumps(bundle))


def change_weight(place: Path, operator: str, promise: bool = True) -> None:
    """One number of the first such layer's weights."""
    model = onnx.load(str(place / "model.onnx"))
    node = next(node for node in model.graph.node if node.op_type == operator)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    values = numpy_helper.to_array(weights).copy()
    values.flat[0] += 0.5 * np.abs(values).max()
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    (place / "model.onnx").write_bytes(model.SerializeToString())
    if promise:
        keep_promise(place)


def swap_labels(place: Path, promise: bool = True) -> None:
    labels = (place / "labels.txt").read_text().split("\n")
    labels[0], labels[1] = labels[1], labels[0]
    (place / "labels.txt").write_text("\n".join(labels))
    if promise:
        change_bundle(place, classes=labels)
        keep_promise(place)


def change_bundle(place: Path, **changes: Any) -> None:
    bundle = json.loads((place / "bundle.json").read_text())
    bundle.update(changes)
    (place / "bundle.json").write_text(json.dumps(bundle))


def change_input(place: Path, **changes: Any) -> None:
    given = json.loads((place / "bundle.json").read_text())["input"]
    change_bundle(place, input={**given, **changes})


Spoilt = Callable[[Path, Change], Failure]


@pytest.fixture
def export_with(network: export.Exported, in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> Spoilt:
    """The failure of an export whose files are changed after they were written and before the gate reads them."""
    write = export.write_files
    monkeypatch.setattr(export, "write_network", lambda run, folder, opset: network)

    def with_change(root: Path, change: Change) -> Failure:
        def write_and_change(place: Path, exported: export.Exported) -> None:
            write(place, exported)
            change(place)

        monkeypatch.setattr(export, "write_files", write_and_change)
        with pytest.raises(Failure) as raised:
            export_here(root)
        return raised.value

    return with_change


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("model.onnx", "labels.txt", "bundle.json")}


@pytest.mark.parametrize("change", [
    lambda place: change_weight(place, "Gemm"), lambda place: change_weight(place, "Conv"),
    lambda place: change_weight(place, "Gemm", promise=False), swap_labels, lambda place: swap_labels(place, promise=False),
    lambda place: change_input(place, mean=[0.485, 0.456, 0.42]), lambda place: change_input(place, std=[0.25, 0.224, 0.225]),
    lambda place: change_input(place, range=[0, 255])],
    ids=["head", "convolution", "weight and hash", "labels", "labels.txt alone", "mean", "std", "range"])
def test_what_answers_otherwise_is_refused(change: Change, root: Path, export_with: Spoilt) -> None:
    folder = root / "models" / "photos"
    before = contents(folder)
    failure = export_with(root, change)
    assert failure.code == "export.differs" and failure.params["count"] > 0
    noted = json.loads((folder / "report.json").read_text())["export"]
    assert len(noted["refused"]) == failure.params["count"] and noted["refused"][0] in failure.params["images"]
    assert all((folder / file).is_file() and file.startswith("test/") for file in noted["refused"])
    assert contents(folder) == before, "what was published before stays"
    assert list(folder.glob(".export-*")) == []


@pytest.mark.parametrize(("change", "file"), [
    (lambda place: (place / "model.onnx").write_bytes((place / "model.onnx").read_bytes()[:5000]), "model.onnx"),
    (lambda place: (place / "bundle.json").write_text("{"), "bundle.json"),
    (lambda place: (place / "labels.txt").write_bytes(b"\xff"), "bundle.json"),
    (lambda place: change_input(place, shape=[1, 3, 200, 200]), "bundle.json"),
    (lambda place: change_input(place, resize="area"), "bundle.json"),
    # Too little for any answer to change, and still not what was trained.
    (lambda place: change_input(place, mean=[0.485, 0.456, 0.406 + 1e-9]), "bundle.json"),
    (lambda place: change_bundle(place, sha256={"model.onnx": "0" * 64, "labels.txt": "0" * 64}), "model.onnx")])
def test_what_does_not_fit_together_is_refused(change: Change, file: str, root: Path, export_with: Spoilt) -> None:
    folder = root / "models" / "photos"
    before = contents(folder)
    failure = export_with(root, change)
    assert (failure.code, failure.params["file"]) == ("export.damaged", file)
    assert contents(folder) == before and list(folder.glob(".export-*")) == []


def test_a_first_export_that_is_refused_publishes_nothing(
    trained: tuple[Path, Ended], tmp_path: Path, export_with: Spoilt
) -> None:
    folder = copy_of(trained[0], tmp_path)
    export_with(tmp_path, lambda place: change_weight(place, "Gemm"))
    assert not (folder / "model.onnx").exists() and not (folder / "bundle.json").exists()


# ---- what is published -----------------------------------------------------------------------------------------------


def test_the_report_and_the_bundle_tell_what_the_gate_found(published: Path) -> None:
    folder = published / "models" / "photos"
    report, bundle = (json.loads((folder / name).read_text()) for name in ("report.json", "bundle.json"))
    found = report["export"]
    assert found["refused"] == [] and found["images"] == 18 and found["agreement"] == 1
    assert found["max_difference"] < 1e-4 and found["opset"] == 13 and found["milliseconds"] > 0
    assert found["bytes"] == (folder / "model.onnx").stat().st_size and found["created"] == bundle["created"]
    assert found["fp16"]["images"] == 18 and found["fp16"]["agreement"] > 0.9
    assert 0 < found["fp16"]["max_difference"] < 0.1
    assert bundle["metrics"] == {"test_accuracy": report["test_accuracy"], "interval": report["interval"],
                                 "ece": report["calibration"]["after"]["ece"], "images": 18,
                                 "max_difference": found["max_difference"], "fp16_agreement": found["fp16"]["agreement"]}
    assert bundle["temperature"] == report["calibration"]["temperature"]


def test_the_temperature_is_in_the_model(root: Path, in_this_process: None) -> None:
    """60 % on the Nano means 60 %: the file gives softmax(logits / temperature)."""
    folder = root / "models" / "photos"
    content = torch.load(folder / "checkpoint.pth", weights_only=True)
    content["temperature"] = 3.0
    torch.save(content, folder / "checkpoint.pth")
    export_here(root)
    classifier = checkpoint.classifier_of(content, "photos")
    written = gate.read_back(folder)
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with torch.inference_mode():
        logits = classifier(torch.from_numpy(gate.prepare(frame, content["input"])))
    np.testing.assert_allclose(written.probabilities(frame, content["classes"]), (logits[0] / 3).softmax(0), atol=1e-5)
    assert written.bundle["temperature"] == 3.0


def test_without_test_images_others_are_compared(root: Path, in_this_process: None) -> None:
    folder = root / "models" / "photos"
    for path in folder.glob("test/*/*.jpg"):
        path.unlink()
    assert export_here(root)["images"] == 9
    for path in folder.glob("*/*/*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(Failure) as raised:
        export_here(root)
    assert raised.value.code == "export.no_images"


def test_a_report_of_a_better_checkpoint_is_not_touched(root: Path, in_this_process: None) -> None:
    """Training goes on while the export runs, and has written its next best model's report."""
    path = root / "models" / "photos" / "report.json"
    report = json.loads(path.read_text())
    report["checkpoint_sha256"], report["export"] = "another", None
    path.write_text(json.dumps(report))
    before = path.read_bytes()
    export_here(root)
    assert path.read_bytes() == before
    bundle = json.loads(path.with_name("bundle.json").read_text())
    assert bundle["metrics"]["test_accuracy"] is None and bundle["training"]["test_accuracy"] is None


def test_what_a_killed_export_left_goes_and_another_one_at_work_stays(root: Path, in_this_process: None) -> None:
    folder = root / "models" / "photos"
    for name in ("killed", "running"):
        (folder / f".export-{name}").mkdir()
        (folder / f".export-{name}" / "model.onnx").write_bytes(b"half")
    lock = os.open(folder / ".export-running", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        export_here(root)
    finally:
        os.close(lock)
    assert [path.name for path in folder.glob(".export-*")] == [".export-running"]


def test_labels_are_those_of_the_checkpoint(root: Path, in_this_process: None) -> None:
    """An editor's line ends and empty line are no part of a class's name."""
    path = root / "models" / "photos" / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfcat\r\ncoffee\r\nrocket\r\n")
    result = export_here(root)
    assert path.read_bytes() == b"cat\ncoffee\nrocket"
    assert result["sha256"]["labels.txt"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_told_stop_publishes_nothing(root: Path) -> None:
    folder = root / "models" / "photos"
    before = contents(folder)
    run = server_data.run_folder(root, "export", model="photos")
    process = subprocess.Popen(server_data.command("export", run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not any(event.get("what") == "export.compare" for event in server_data.read_events(run)):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert contents(folder) == before and list(folder.glob(".export-*")) == []
