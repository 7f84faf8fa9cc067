"""classify.py on the double of jetson-inference, in the faces of its releases of 2020, 2022 and 2023."""

import shutil
import time
from pathlib import Path

import cv2
import nano_programs  # noqa: F401
import numpy as np
import pytest
from classification import predictions
from colours import BGR, CLASSES, MjpegCamera, image, make_images, make_onnx
from machine import wait_for
from nano_faces import Board, board, codes, current, either, newest  # noqa: F401

from jetson_nano.classify import check_params
from shared.wire import Failure

KNOWS_ALL = {"2020": False, "2022": False, "2023": True}


def check_every_frame(nano: Board, tmp_path: Path) -> None:
    shown = ["red", "blue", "grey", "green"]
    events = nano.classify(make_images(tmp_path / "im ages", shown))
    seen = predictions(events)
    assert [event["class"] for event in seen] == ["red", "blue", None, "green"]
    assert [event["lit"] for event in seen] == [[12], [18], [], [16]]
    assert codes(events) == ["infer.building_engine", "infer.ready"]
    assert events[-1]["type"] == "result" and events[-1]["frames"] == 4 and nano.lit() == []
    for event in seen:
        assert len(event["probabilities"]) == (3 if KNOWS_ALL[nano.face] else 1)
        assert set(event["ms"]) == {"capture", "preprocess", "network", "leds"}
        assert all(value >= 0 for value in event["ms"].values()) and event["ms"]["network"] > 0
        assert event["class"] is None or event["confidence"] == event["probabilities"][event["class"]]
    assert codes(nano.classify(tmp_path / "im ages")) == ["infer.ready"]  # in a folder with a space the engine is found again


def test_every_frame_under_python_36(board: Board, tmp_path: Path) -> None:  # noqa: F811
    check_every_frame(board, tmp_path)


def test_every_frame_under_a_newer_python(current: Board, tmp_path: Path) -> None:  # noqa: F811
    check_every_frame(current, tmp_path)


def test_both_engines_see_the_same_pixels(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    """The double's own reading of imageNet's kernel, and shared/preprocess.py: every probability agrees."""
    noise = np.random.default_rng(6)
    images = tmp_path / "images"
    images.mkdir()
    for number, (height, width) in enumerate([(720, 1280), (480, 640), (719, 1277), (90, 160)]):
        cv2.imwrite(str(images / f"{number}.png"), noise.integers(0, 256, (height, width, 3), dtype=np.uint8))
    first = predictions(newest.classify(images))
    second = predictions(newest.classify(images, engine="onnxruntime"))
    assert len(first) == len(second) == 4
    for one, other in zip(first, second, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_a_folder_of_classes_is_gone_through_by_both_engines_alike(either: Board, tmp_path: Path) -> None:  # noqa: F811
    """The test split: every image once, in the same order, and named."""
    folder = tmp_path / "test"
    for colour in ("red", "blue"):
        make_images(folder / colour, [colour] * 2)
    (folder / "blue" / "000.png").write_bytes(b"no image")
    first = either.classify(folder, threshold=0.0)
    second = either.classify(folder, engine="onnxruntime", threshold=0.0)
    for events in (first, second):
        assert [(event["file"], event["class"]) for event in predictions(events)] == [
            ("blue/001.png", "blue"), ("red/000.png", "red"), ("red/001.png", "red")]
        assert (events[-1]["frames"], events[-1]["ended"]) == (3, True)


# /dev/video0 is what most tests here have.
@pytest.mark.parametrize("uri", ["webcam:0", "v4l2:///dev/video0", "csi://0", "rtsp://room/nano"])
def test_cameras_by_uri(newest: Board, tmp_path: Path, uri: str) -> None:  # noqa: F811
    name = {"webcam:0": "/dev/video0", "v4l2:///dev/video0": "/dev/video0"}.get(uri, uri)
    newest.set(cameras={name: str(make_images(tmp_path / "seen", ["green"]))}, fps=200)
    seen = predictions(newest.classify(uri, frames=2))
    assert [event["class"] for event in seen] == ["green", "green"]


def test_the_stage_is_a_camera(either: Board, camera: MjpegCamera) -> None:  # noqa: F811
    either.set(cameras={"/dev/video0": camera.uri})
    follower = either.start("/dev/video0", engine="tensorrt")
    for colour, pin in (("red", 12), ("blue", 18)):
        camera.show(colour)
        event = follower.read_event("prediction")
        assert (event["class"], event["lit"], either.lit()) == (colour, [pin], [pin])
    follower.send(type="stop")
    assert follower.read_event("result")["frames"] == 2
    assert either.lit() == []


def test_a_camera_lost_and_back(either: Board, tmp_path: Path) -> None:  # noqa: F811
    """A USB camera that is pulled out: None in 2023, an exception before, IsStreaming true in all."""
    seen = {"/dev/video0": str(make_images(tmp_path / "seen", ["red"]))}
    either.set(cameras=seen, fps=10)
    follower = either.start("/dev/video0", engine="tensorrt")
    assert follower.read_event("prediction")["lit"] == [12]
    either.set(cameras={})
    unplugged = time.monotonic()
    assert follower.read_event("log", "infer.camera_lost")["params"] == {"camera": "/dev/video0"}
    assert time.monotonic() - unplugged < 6
    assert either.lit() == []
    time.sleep(1.2)  # an attempt while it is not there
    either.set(cameras=seen)
    follower.read_event("log", "infer.camera_back")
    assert follower.read_event("prediction")["lit"] == [12]
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"


@pytest.mark.parametrize("uri", ["/dev/video9", "file:///nowhere.mp4"])
def test_a_camera_that_is_not_there(newest: Board, uri: str) -> None:  # noqa: F811
    code, params = newest.error(uri, engine="tensorrt")
    assert code == "infer.camera_missing" and params["camera"] == uri and "videoSource" in params["error"]


def test_http_is_no_protocol_of_it(newest: Board) -> None:  # noqa: F811
    assert newest.error("http://127.0.0.1:1/x", engine="tensorrt")[0] == "infer.camera_unsupported"


def with_a_top(path: Path) -> Path:
    """Green at the top, blue at the bottom."""
    path.mkdir()
    picture = image("red")
    picture[24:] = BGR["blue"]
    picture[:12] = BGR["green"]
    cv2.imwrite(str(path / "0.png"), picture)
    return path


def test_size_and_flip_reach_the_camera(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    """Seen in the live picture, which has the proportions and the top that the network saw."""
    newest.set(cameras={"/dev/video0": str(with_a_top(tmp_path / "seen"))}, fps=50)
    for flip, top in ((None, "green"), ("rotate-180", "blue")):
        follower = newest.start("/dev/video0", engine="tensorrt", flip=flip, size=[320, 480], threshold=0.0)
        follower.read_event("prediction")
        watcher = newest.machine.watch("c")
        watcher.begin()
        header, jpeg = watcher.read()
        assert (header["width"], header["height"]) == (320, 480)
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert np.abs(pixels[40, 160].astype(int) - BGR[top]).max() < 40, flip
        follower.send(type="stop")
        follower.read_all()
        watcher.close()
        shutil.rmtree(newest.machine.run_path("c"))


def test_the_first_releases_do_not_turn_usb_cameras_and_it_is_said(board: Board, tmp_path: Path) -> None:  # noqa: F811
    board.set(cameras={"/dev/video0": str(make_images(tmp_path / "seen", ["red"]))}, fps=100)
    said = codes(board.classify("/dev/video0", flip="rotate-180", frames=1))
    assert ("infer.flip_ignored" in said) == (board.face == "2020")


@pytest.mark.parametrize("size", [[0, 10], [640], "640x480", [640.5, 480], [640, 10**6]])
def test_a_size_that_makes_no_sense(size: object) -> None:
    params = {"model_dir": "m", "camera": "c", "engine": "tensorrt", "leds": "none", "threshold": 0.6}
    check_params({**params, "size": [640, 480]})
    with pytest.raises(Failure) as caught:
        check_params({**params, "size": size})
    assert (caught.value.code, caught.value.params) == ("infer.bad_params", {"key": "size"})


def test_settings_change_while_it_runs(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    """Grey is below the threshold; lowered it lights, with smoothing the event says what was smoothed."""
    newest.set(cameras={"csi://0": str(make_images(tmp_path / "seen", ["grey"]))}, fps=100)
    follower = newest.start("csi://0", engine="tensorrt", hysteresis=0.1)
    first = follower.read_event("prediction")
    assert first["class"] is None and first["class_index"] == -1 and "smoothed" not in first
    follower.send(type="set", threshold=0.05, smoothing_s=0.2)
    wait_for(lambda: follower.read_event("prediction")["lit"], "the new threshold")
    assert list(follower.read_event("prediction")["smoothed"]) == CLASSES
    follower.send(type="set", smoothing_s=0)
    wait_for(lambda: "smoothed" not in follower.read_event("prediction"), "smoothing off")
    follower.send(type="stop")
    follower.read_all()


def test_health_each_second(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    newest.set(cameras={"csi://0": str(make_images(tmp_path / "seen", ["grey"]))}, fps=20)
    follower = newest.start("csi://0", engine="tensorrt")
    seen = [follower.read_event("health") for _ in range(2)]
    assert seen[0].keys() == {"v", "type", "temperatures", "throttled", "memory", "power_mode"}
    assert seen[1]["memory"]["total_mb"] >= seen[1]["memory"]["available_mb"] > 0
    follower.send(type="stop")
    follower.read_all()


def test_labels_that_do_not_match(either: Board, tmp_path: Path) -> None:  # noqa: F811
    """More than outputs: imageNet says so in its log alone. Fewer: it fills them up, and we say so."""
    older = tmp_path / "older"
    older.mkdir()
    make_onnx(older / "resnet18.onnx")
    for labels, count in (("red\ngreen\n\n", 2), ("red\ngreen\nblue\nyellow", 4)):
        (older / "labels.txt").write_text(labels)
        events = either.classify("webcam:0", model_dir=str(older))
        assert (events[-1]["code"], events[-1]["params"]) == (
            "infer.labels_mismatch", {"model": "older", "labels": count, "outputs": 3})


def test_a_network_with_other_names(either: Board, tmp_path: Path) -> None:  # noqa: F811
    older = tmp_path / "older"
    older.mkdir()
    make_onnx(older / "resnet18.onnx", input_name="data", output_name="prob")
    (older / "labels.txt").write_text("red\ngreen\nblue")
    assert either.error("webcam:0", engine="tensorrt", model_dir=str(older)) == (
        "engine.blob_missing", {"model": "older", "blob": "input_0"})


def test_a_file_name_that_a_shell_would_read_otherwise(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    older = tmp_path / "older"
    older.mkdir()
    make_onnx(older / "res net;18.onnx")
    (older / "labels.txt").write_text("red\ngreen\nblue")
    assert newest.error("webcam:0", engine="tensorrt", model_dir=str(older))[0] == "engine.file_name"


def test_a_very_long_folder(either: Board, tmp_path: Path) -> None:  # noqa: F811
    """Releases before June 2022 have 512 bytes for the engine's path."""
    folder = tmp_path.joinpath(*["x" * 120] * 5, "m")
    folder.parent.mkdir(parents=True)
    either.model.rename(folder)
    seen = predictions(either.classify(make_images(tmp_path / "images", ["blue"]), model_dir=str(folder)))
    assert [event["class"] for event in seen] == ["blue"]


def test_a_network_that_gives_no_numbers(either: Board, tmp_path: Path) -> None:  # noqa: F811
    from onnx import load, numpy_helper, save

    network = load(str(either.model / "model.onnx"))
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((3, 3), np.nan, np.float32), "weights"))
    older = tmp_path / "older"
    older.mkdir()
    save(network, str(older / "model.onnx"))
    (older / "labels.txt").write_text("red\ngreen\nblue")
    events = either.classify(make_images(tmp_path / "images", ["blue"]), model_dir=str(older))
    assert events[-1]["code"] == ("infer.bad_output" if KNOWS_ALL[either.face] else "infer.engine_failed")
