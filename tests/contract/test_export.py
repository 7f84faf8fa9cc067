"""export.py as itself: what it writes is what PyTorch computes, here and under the Nano's Python."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import server_data
import torch
from server_data import CLASSES, Ended, copy_of, run_program
from torch import nn

from gpu_server import checkpoint, folding, networks
from shared import preprocess

trained = server_data.trained
OPERATORS = {"Conv", "Clip", "Add", "Mul", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}


@pytest.fixture(scope="module")
def exported(trained: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The folder of a trained and exported model, and how the export went."""
    root = tmp_path_factory.mktemp("exported")
    folder = copy_of(trained[0], root)
    return folder, run_program(root, "export", model="photos", opset=13)


def bundle_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


def classifier_of(folder: Path) -> networks.Classifier:
    return checkpoint.classifier_of(checkpoint.load(folder)[0], "photos")


def frames_of(folder: Path) -> list[np.ndarray]:
    """Real images, and noise on which the network is unsure, so that small errors show."""
    paths = sorted(folder.glob("test/*/*.jpg"))[::3]
    frames = [cv2.imread(str(path)) for path in paths]
    random = np.random.default_rng(5)
    noise = [random.integers(0, 256, (360, 640, 3), dtype=np.uint8) for _ in range(3)]
    return [frame for frame in frames if frame is not None] + noise


def runner(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return lambda prepared: session.run(["output_0"], {"input_0": prepared})[0]


def test_answers_as_pytorch_does(exported: tuple[Path, Ended]) -> None:
    folder, ended = exported
    assert ended.result["agreement"] == 1 and ended.result["max_difference"] < 1e-4
    temperature = bundle_of(folder)["temperature"]
    classifier = classifier_of(folder)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for frame in frames_of(folder):
        prepared = preprocess.prepare(frame, bundle_of(folder)["input"])
        (actual,) = session.run(["output_0"], {"input_0": prepared})
        with torch.inference_mode():
            logits = classifier(torch.from_numpy(prepared)) / temperature
        assert actual.shape == (1, 3) and actual.sum() == pytest.approx(1, abs=1e-5)
        # Logarithms, because a confident softmax hides differences.
        np.testing.assert_allclose(np.log(actual), logits.log_softmax(1).numpy(), atol=1e-3)


def test_is_written_for_an_old_parser(exported: tuple[Path, Ended]) -> None:
    folder, ended = exported
    model = onnx.load(str(folder / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version <= 8
    operators = {node.op_type for node in model.graph.node}
    assert operators <= OPERATORS and sorted(operators) == ended.result["operators"]
    assert [value.name for value in model.graph.input] == ["input_0"]
    assert [value.name for value in model.graph.output] == ["output_0"]
    shapes = [[size.dim_value for size in value.type.tensor_type.shape.dim]
              for value in (model.graph.input[0], model.graph.output[0])]
    assert shapes == [[1, 3, 224, 224], [1, 3]]
    assert model.graph.node[-1].op_type == "Softmax"


def test_bundle_describes_it(exported: tuple[Path, Ended], trained: tuple[Path, Ended]) -> None:
    folder, ended = exported
    bundle, result, training = bundle_of(folder), ended.result, trained[1].result
    assert set(bundle) == {"v", "model", "created", "classes", "input", "output", "temperature", "onnx", "training",
                           "metrics", "versions", "sha256"}
    assert bundle["v"] == 1 and bundle["model"] == "photos" and bundle["classes"] == CLASSES
    assert bundle["input"] == preprocess.imagenet_input(224)
    assert bundle["output"] == {"name": "output_0", "shape": [1, 3], "activation": "softmax"}
    assert bundle["onnx"] == {key: result[key] for key in ("opset", "ir_version", "operators")}
    for key in ("recipe", "arch", "epochs", "images", "val_accuracy", "test_accuracy"):
        assert bundle["training"][key] == training[key], key
    assert bundle["versions"]["torch"] == torch.__version__
    for name in ("model.onnx", "labels.txt"):
        assert bundle["sha256"][name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert bundle["sha256"] == result["sha256"] and result["bytes"] == (folder / "model.onnx").stat().st_size
    assert "Warning" not in ended.output


def test_answers_alike_under_the_nanos_python(exported: tuple[Path, Ended], tmp_path: Path, nano_python: str) -> None:
    """CPython 3.6 and ONNX Runtime 1.10 load the file and give the probabilities that are computed here."""
    folder, _ = exported
    frames = frames_of(folder)
    np.save(tmp_path / "frames.npy", np.stack(frames))
    script = """if 1:
        import io, json, sys
        import numpy as np
        import onnxruntime
        from shared.preprocess import prepare
        model, bundle, frames, output = sys.argv[1:]
        with io.open(bundle, encoding="utf-8") as stream:
            spec = json.load(stream)["input"]
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        answers = [session.run(None, {spec["name"]: prepare(frame, spec)})[0] for frame in np.load(frames)]
        np.save(output, np.concatenate(answers))
    """
    subprocess.run(
        [nano_python, "-c", script, str(folder / "model.onnx"), str(folder / "bundle.json"),
         str(tmp_path / "frames.npy"), str(tmp_path / "answers.npy")],
        check=True, env={"PYTHONPATH": str(server_data.REMOTE)})
    run = runner(folder)
    here = np.concatenate([run(preprocess.prepare(frame, bundle_of(folder)["input"])) for frame in frames])
    there = np.load(tmp_path / "answers.npy")
    assert there.shape == (len(frames), 3)
    np.testing.assert_allclose(np.log(there), np.log(here), atol=1e-3)


def test_the_order_of_labels_is_part_of_the_model(exported: tuple[Path, Ended], tmp_path: Path) -> None:
    """Labels in another order: a stale checkpoint is refused; trained again, outputs and hashes change places too."""
    folder = copy_of(exported[0].parents[1], tmp_path)
    before = bundle_of(folder)
    swapped = ["rocket", "coffee", "cat"]
    (folder / "labels.txt").write_text("\n".join(swapped), encoding="utf-8")
    code, params = run_program(tmp_path, "export", model="photos").error
    assert code == "export.labels" and params["trained"] == "cat, coffee, rocket"
    run_program(tmp_path, "train", model="photos", seed=7)
    assert run_program(tmp_path, "export", model="photos").code == 0
    after = bundle_of(folder)
    assert after["classes"] == swapped
    for name in ("labels.txt", "model.onnx"):
        assert after["sha256"][name] != before["sha256"][name]
    spec = after["input"]
    old, new = runner(exported[0]), runner(folder)
    for frame in frames_of(folder):
        prepared = preprocess.prepare(frame, spec)
        np.testing.assert_allclose(new(prepared)[:, ::-1], old(prepared), atol=0.02)


@pytest.mark.parametrize(("content", "code"), [
    (None, "export.no_checkpoint"), (b"no checkpoint", "model.bad_checkpoint")])
def test_needs_a_checkpoint(tmp_path: Path, content: Any, code: str) -> None:
    folder = tmp_path / "models" / "photos"
    server_data.make_dataset(folder, CLASSES, {"train": 1})
    if content is not None:
        (folder / "checkpoint.pth").write_bytes(content)
    assert run_program(tmp_path, "export", model="photos").error[0] == code
    assert run_program(tmp_path, "evaluate", model="photos").error[0] == code


def test_refuses_an_opset_that_the_nano_cannot_read(trained: tuple[Path, Ended], tmp_path: Path) -> None:
    copy_of(trained[0], tmp_path)
    code, params = run_program(tmp_path, "export", model="photos", opset=18).error
    assert (code, params) == ("export.opset", {"opset": "18", "known": "11, 12, 13"})


@pytest.mark.parametrize("resolution", [224, 225, 227])
def test_folding_changes_nothing_but_the_layers(trained: tuple[Path, Ended], resolution: int) -> None:
    """Also where sizes are odd, and so the padding of each SAME convolution another."""
    classifier = classifier_of(trained[0] / "models" / "photos")
    folded = folding.fold(classifier, resolution)
    kinds = {type(module) for module in folded.modules()}
    assert not any(issubclass(kind, nn.BatchNorm2d) for kind in kinds)
    assert all(kind is nn.Conv2d for kind in kinds if issubclass(kind, nn.Conv2d))
    images = torch.randn(2, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), classifier(images), atol=1e-3, rtol=1e-4)


def test_padding_is_what_tensorflow_calls_same() -> None:
    assert folding.same_padding(224, 3, 2, 1) == (0, 1)
    assert folding.same_padding(225, 3, 2, 1) == (1, 1)
    assert folding.same_padding(56, 5, 2, 1) == (1, 2)
    assert folding.same_padding(7, 3, 1, 1) == (1, 1)
