"""How a frame is prepared for the network, against a slow reading of jetson-inference's kernel and under Python 3.6."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import server_data

from shared import preprocess

SIZES = [(720, 1280, 224), (480, 640, 224), (1080, 1920, 224), (360, 640, 224), (224, 224, 224), (90, 160, 224),
         (719, 1277, 240)]


def frame_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_the_nano_does(frame: np.ndarray, size: int) -> np.ndarray:
    """gpuTensorNormMeanStd of jetson-inference c/tensorConvert.cu, one pixel after the other, in float32."""
    f = np.float32
    scale_x, scale_y = f(frame.shape[1]) / f(size), f(frame.shape[0]) / f(size)
    columns = [int(f(x) * scale_x) for x in range(size)]
    rows = [int(f(y) * scale_y) for y in range(size)]
    output = np.empty((1, 3, size, size), np.float32)
    for channel, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        answer = [(f(value) * (f(1) / f(255)) - f(mean)) / f(std) for value in range(256)]
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                output[0, channel, y, x] = answer[frame[row, column, 2 - channel]]
    return output


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{1}x{0}-{2}".format(*size))
def test_takes_the_pixels_that_the_nano_takes(size: tuple[int, int, int]) -> None:
    frame = frame_of(size[0], size[1])
    prepared = preprocess.prepare(frame, preprocess.imagenet_input(size[2]))
    expected = as_the_nano_does(frame, size[2])
    assert prepared.shape == expected.shape and prepared.dtype == np.float32 and prepared.flags.c_contiguous
    np.testing.assert_array_equal(prepared, expected)


def test_single_and_double_precision_take_other_pixels() -> None:
    """The reason for float32: were these equal, the tests above could not tell one from the other."""
    in_double = (np.arange(224) * (720 / 224)).astype(int)
    assert (preprocess.nearest_indices(720, 224) != in_double).any()


def test_the_whole_frame_is_squashed_and_colours_are_turned() -> None:
    frame = np.zeros((400, 800, 3), np.uint8)
    frame[:, 400:] = (0, 0, 255)  # red in BGR, right half
    prepared = preprocess.prepare(frame, preprocess.imagenet_input(100))[0]
    red = np.float32((1 - 0.485) / 0.229)
    np.testing.assert_allclose(prepared[0, :, 50:], red, rtol=1e-6)
    np.testing.assert_allclose(prepared[0, :, :50], -0.485 / 0.229, rtol=1e-6)
    np.testing.assert_allclose(prepared[2], -0.406 / 0.225, rtol=1e-6)


@pytest.mark.parametrize(("key", "value"), [("resize", "linear"), ("colour", "BGR"), ("shape", [2, 3, 224, 224]),
                                            ("shape", [1, 1, 224, 224])])
def test_refuses_a_preparation_that_it_does_not_know(key: str, value: object) -> None:
    with pytest.raises(ValueError, match="unknown"):
        preprocess.prepare(frame_of(20, 20), {**preprocess.imagenet_input(224), key: value})


@pytest.mark.parametrize("frame", [np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8),
                                   np.zeros((20, 20, 3), np.float32), np.zeros((0, 20, 3), np.uint8)])
def test_refuses_what_is_no_frame(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not a BGR frame"):
        preprocess.prepare(frame, preprocess.imagenet_input(224))


def test_gives_the_same_bits_under_the_nanos_python(tmp_path: Path, nano_python: str) -> None:
    script = """if 1:
        import sys
        import numpy as np
        from shared import preprocess
        frame = np.load(sys.argv[1])
        np.save(sys.argv[2], preprocess.prepare(frame, preprocess.imagenet_input(224)))
    """
    for height, width, _ in SIZES[:3]:
        frame = frame_of(height, width)
        np.save(tmp_path / "frame.npy", frame)
        command = [nano_python, "-c", script, str(tmp_path / "frame.npy"), str(tmp_path / "there.npy")]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(server_data.REMOTE)})
        here = preprocess.prepare(frame, preprocess.imagenet_input(224))
        np.testing.assert_array_equal(np.load(tmp_path / "there.npy"), here)
