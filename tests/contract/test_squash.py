"""A frame of any size is squashed to the same pixels everywhere: in training, in the gate, and in the program of the Nano,
which the laptop runs as well when a model is tried there. Held against the formula alone, without NumPy's arithmetic."""

import itertools
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import server_data
import torch

from gpu_server import features, gate, networks
from gpu_server.dataset import Image
from shared import preprocess
from shared.wire import Run

# Height and width: one pixel, one row or column, odd, portrait, smaller than the network's, and those where double precision
# would take other pixels.
EDGES = [(1, 1), (1, 300), (300, 1), (2, 3), (223, 225), (224, 224), (225, 223), (1280, 720), (720, 1280), (1080, 1920),
         (479, 641), (100, 60)]
Size = tuple[int, int]


def random_sizes(count: int, seed: int) -> list[Size]:
    """As many small ones as large ones."""
    chance = random.Random(seed)

    def side() -> int:
        return round(2 ** chance.uniform(0, 10.5))

    return [(side(), side()) for _ in range(count)]


def single(value: float) -> float:
    """Rounded to single precision."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def pixels_taken(size_in: int, size_out: int) -> list[int]:
    """jetson-inference c/tensorConvert.cu, in float32: scale = in / out, index = trunc(x * scale).

    Python computes in double precision, which has so many more bits that rounding its results gives those of single precision.
    """
    scale = single(size_in / size_out)
    return [int(single(x * scale)) for x in range(size_out)]


def numbered(height: int, width: int) -> np.ndarray:
    """A frame in which no two pixels of a row or of a column are alike (up to 2048 of them)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x & 255, y & 255, (x >> 8) * 16 + (y >> 8)], axis=2).astype(np.uint8)


def by_the_formula(frame: np.ndarray, size: Size) -> np.ndarray:
    rows, columns = (pixels_taken(*pair) for pair in zip(frame.shape[:2], size, strict=True))
    return np.array([[frame[row, column] for column in columns] for row in rows], np.uint8)


def fed(frame: np.ndarray, side: int) -> np.ndarray:
    """What the network is to get: a table of 256 single-precision values for each channel, looked up by those pixels."""
    f = np.float32
    squashed = by_the_formula(frame, (side, side))
    tables = [np.array([(f(value) * (f(1) / f(255)) - f(mean)) / f(std) for value in range(256)], np.float32)
              for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
    return np.stack([table[squashed[:, :, 2 - channel]] for channel, table in enumerate(tables)])[np.newaxis]


def same_bits(actual: np.ndarray, expected: np.ndarray, size: Size) -> None:
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, size
    assert np.ascontiguousarray(actual).tobytes() == np.ascontiguousarray(expected).tobytes(), size


def test_every_size_gives_pixels_of_the_frame() -> None:
    """So nothing has to be cut off at its end, which the Nano does not do."""
    chance = random.Random(0)
    pairs = [(chance.randint(1, 8192), chance.randint(1, 1024)) for _ in range(3000)]
    for size_in, size_out in itertools.chain(pairs, ((size, 224) for size in range(1, 2049))):
        taken = pixels_taken(size_in, size_out)
        assert taken[0] == 0 and max(taken) < size_in and taken == sorted(taken), (size_in, size_out)
        assert preprocess.nearest_indices(size_in, size_out).tolist() == taken, (size_in, size_out)


@pytest.mark.parametrize("seed", range(4))
def test_a_frame_is_squashed_by_the_formula(seed: int) -> None:
    for size, target in zip([*EDGES, *random_sizes(30, seed)], random_sizes(30 + len(EDGES), 100 + seed), strict=True):
        small = (min(target[0], 240), min(target[1], 240))
        frame = numbered(*size)
        squashed = preprocess.squash(frame, *small)
        same_bits(squashed, by_the_formula(frame, small), size)
        same_bits(preprocess.squash(squashed, *small), squashed, size)  # training keeps squashed ones, and prepares them


SIDE = 224
FRAMES = [numbered(*size) for size in [*EDGES, *random_sizes(20, 7)]]


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    return [fed(frame, SIDE) for frame in FRAMES]


def all_same(actual: Any, expected: list[np.ndarray]) -> None:
    for frame, one, other in zip(FRAMES, actual, expected, strict=True):
        same_bits(one, other, frame.shape[:2])


def test_training_feeds_the_network_with_it(expected: list[np.ndarray], tmp_path: Path) -> None:
    """From files, as quick, fine and the evaluation read them, and as those prepare it that keep what they have squashed."""
    images, heard = [], {}
    for number, frame in enumerate(FRAMES):
        path = tmp_path / f"{number}.png"
        assert cv2.imwrite(str(path), frame)
        images.append(Image(path, path.name, 0))

    def compute(batch: np.ndarray) -> np.ndarray:
        for one in batch:
            heard[one.tobytes()] = one
        return np.zeros((len(batch), 1280), np.float32)

    run = Run(str(server_data.run_folder(tmp_path, "train")))
    classifier = networks.Classifier(networks.architecture("efficientnet_lite0"), 2)
    spec = preprocess.imagenet_input(SIDE)
    features.extract(run, classifier, images, spec, torch.device("cpu"), compute)
    assert heard.keys() == {one[0].tobytes() for one in expected}
    all_same((preprocess.prepare(preprocess.squash(frame, SIDE, SIDE), spec) for frame in FRAMES), expected)


class _Session:
    """Takes what a network is fed with."""

    def __init__(self) -> None:
        self.fed: list[np.ndarray] = []

    def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.fed += given.values()
        return [np.array([[0.5, 0.5]], np.float32)]


def test_the_gate_feeds_the_written_model_with_it(expected: list[np.ndarray]) -> None:
    session = _Session()
    bundle = {"input": preprocess.imagenet_input(SIDE), "output": {"name": "output_0"}}
    written = gate.Written(session, ["cat", "coffee"], bundle, None)
    for frame in FRAMES:
        written.probabilities(frame, ["cat", "coffee"])
    all_same(session.fed, expected)


@pytest.mark.parametrize("place", ["nano", "laptop"])
def test_the_program_of_the_nano_feeds_the_network_with_it(
    place: str, expected: list[np.ndarray], nano_python: str, tmp_path: Path
) -> None:
    """Under the Nano's Python and under the laptop's, where `try` runs the same program."""
    script = """if 1:
        import sys
        from pathlib import Path
        from types import SimpleNamespace
        from unittest import mock
        import numpy as np
        from shared import preprocess

        class Session:
            def __init__(self, path, options, providers):
                pass

            def get_inputs(self):
                return [SimpleNamespace(name="input_0", shape=[1, 3, SIDE, SIDE])]

            def get_outputs(self):
                return [SimpleNamespace(name="output_0", shape=[1, 2])]

            def run(self, names, given):
                fed.extend(given.values())
                return [np.array([[0.5, 0.5]], np.float32)]

        SIDE, fed = int(sys.argv[3]), []
        sys.modules["onnxruntime"] = SimpleNamespace(SessionOptions=mock.MagicMock, InferenceSession=Session)
        from jetson_nano.model import Model
        from jetson_nano.onnx_engine import OnnxEngine

        spec = preprocess.imagenet_input(SIDE)
        engine = OnnxEngine(Model("m", Path("model.onnx"), ["cat", "coffee"], spec, "output_0", True))
        frames = np.load(sys.argv[1])
        for number in range(len(frames.files)):
            engine.classify(frames["arr_{}".format(number)])
        np.savez(sys.argv[2], *fed)
    """
    np.savez(tmp_path / "frames.npz", *FRAMES)
    python = nano_python if place == "nano" else sys.executable
    command = [python, "-c", script, str(tmp_path / "frames.npz"), str(tmp_path / "fed.npz"), str(SIDE)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(server_data.REMOTE)})
    with np.load(tmp_path / "fed.npz") as there:
        all_same((there[f"arr_{number}"] for number in range(len(there.files))), expected)
