"""The frozen part of a network by ONNX Runtime and by PyTorch: the same numbers, whatever lies in the cache."""

import sys
from pathlib import Path

import numpy as np
import pytest
import server_data  # noqa: F401  (makes the programs importable)
import torch

from gpu_server import networks, runtime, weights

SIZE = 96
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier() -> networks.Classifier:
    return weights.pretrained("efficientnet_lite0", None)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((3, 3, SIZE, SIZE), dtype=np.float32)


def expected(classifier: networks.Classifier, images: np.ndarray, cut: int | None) -> np.ndarray:
    with torch.inference_mode():
        tensor = torch.from_numpy(images)
        found = classifier.features(tensor) if cut is None else classifier.before(tensor, cut)
    return found.numpy()


@pytest.mark.parametrize("cut", [None, 6])
def test_both_give_the_networks_numbers(cut: int | None, classifier: networks.Classifier, images: np.ndarray,
                                        tmp_path: Path) -> None:
    wanted = expected(classifier, images, cut)
    by_torch = runtime.engine(classifier, cut, SIZE, CPU, None, "")
    by_onnx_runtime = runtime.engine(classifier, cut, SIZE, CPU, tmp_path, "lite0")
    assert len(list(tmp_path.glob("*.onnx"))) == 1
    for compute in (by_torch, by_onnx_runtime):
        found = compute(images)
        assert found.dtype == np.float32
        assert np.abs(found - wanted).max() < 1e-4
        assert np.array_equal(found[1:2], compute(images[1:2])) or np.abs(found[1:2] - compute(images[1:2])).max() < 1e-4


def test_the_file_is_made_once_and_again_when_it_is_damaged_or_of_another_network(
        classifier: networks.Classifier, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    export = runtime._export
    monkeypatch.setattr(runtime, "_export", lambda *given: made.append(1) or export(*given))
    wanted = expected(classifier, images, None)

    def compute() -> np.ndarray:
        return runtime.engine(classifier, None, SIZE, CPU, tmp_path, "lite0")(images)

    for _ in range(2):
        assert np.abs(compute() - wanted).max() < 1e-4
    assert len(made) == 1
    path, = tmp_path.glob("*.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert np.abs(compute() - wanted).max() < 1e-4 and len(made) == 2 and path.read_bytes() == whole
    torch.manual_seed(0)
    other = networks.frozen(networks.Classifier(networks.architecture("efficientnet_lite0"), 2))
    runtime.engine(other, None, SIZE, CPU, tmp_path, "other")
    next(tmp_path.glob("other*")).replace(path)
    assert np.abs(compute() - wanted).max() < 1e-4 and len(made) == 4


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_without_onnx_runtime_pytorch_computes(missing: str, classifier: networks.Classifier, images: np.ndarray,
                                               tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    found = runtime.engine(classifier, None, SIZE, CPU, tmp_path, "lite0")(images)
    assert np.abs(found - expected(classifier, images, None)).max() < 1e-4
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_does_no_harm(classifier: networks.Classifier, images: np.ndarray,
                                                     tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = runtime.engine(classifier, None, SIZE, CPU, tmp_path / "file" / "cache", "lite0")(images)
    assert np.abs(found - expected(classifier, images, None)).max() < 1e-4


def test_the_cache_keeps_only_the_newest_files(tmp_path: Path) -> None:
    for number in range(runtime._KEPT_FILES + 3):
        runtime._keep(tmp_path / f"{number}.onnx", b"x")
    assert len(list(tmp_path.iterdir())) == runtime._KEPT_FILES
