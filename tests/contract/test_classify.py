"""classify.py: a camera's frames become predictions and lit LEDs, one for each frame and in order."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import nano_programs  # noqa: F401
import pytest
from classification import PINS, Nano, predictions
from colours import CLASSES, MjpegCamera, make_clip, make_images, make_model, make_onnx
from machine import Message, read_lines, wait_for

from jetson_nano.classify import check_params
from jetson_nano.model import read_model
from jetson_nano.sources import SourceLost, open_source
from shared.wire import Failure


def test_every_frame_is_predicted_once_and_in_order(nano: Nano, tmp_path: Path) -> None:
    shown = ["red", "blue", "blue", "green", "grey", "red"]
    before = time.time()
    events = nano.run(make_images(tmp_path / "images", shown))
    seen = predictions(events)
    assert [event["class"] for event in seen] == ["red", "blue", "blue", "green", None, "red"]
    assert [event["class_index"] for event in seen] == [0, 2, 2, 1, -1, 0]
    assert [event["frame"] for event in seen] == list(range(6))
    assert [event["lit"] for event in seen] == [[12], [18], [18], [16], [], [12]]
    for event in seen:
        assert list(event["probabilities"]) == CLASSES
        assert sum(event["probabilities"].values()) == pytest.approx(1)
        assert event["confidence"] == max(event["probabilities"].values())
        assert before <= event["t"] <= time.time()
    assert events[0]["code"] == "infer.ready"
    assert events[0]["params"] == {"model": "colours-001", "engine": "onnxruntime", "classes": 3,
                                   "seconds": events[0]["params"]["seconds"]}
    assert events[-1]["type"] == "result" and (events[-1]["frames"], events[-1]["ended"]) == (6, True)
    off = [(pin, False) for pin in PINS]
    assert nano.switched() == [*off, (12, True), (12, False), (18, True), (18, False), (16, True), (16, False),
                               (12, True), (12, False), *off]


def test_a_clip_is_classified_frame_by_frame(nano: Nano, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip ü.avi", ["red"] * 4 + ["green"] * 3 + ["blue"] * 2)
    seen = predictions(nano.run(clip.as_uri()))
    assert [event["class"] for event in seen] == ["red"] * 4 + ["green"] * 3 + ["blue"] * 2
    assert seen[-1]["t"] - seen[0]["t"] >= 7.5 / 50  # no sooner than its 50 frames a second say


def test_frames_limits_how_many(nano: Nano, tmp_path: Path) -> None:
    events = nano.run(make_images(tmp_path / "images", ["red"] * 9), frames=4)
    assert len(predictions(events)) == events[-1]["frames"] == 4 and events[-1]["ended"] is False


def test_the_folder_has_ended_also_where_images_cannot_be_read(nano: Nano, tmp_path: Path) -> None:
    """What was passed over is what has no prediction; a folder of nothing else has ended as well."""
    images = make_images(tmp_path / "images", ["red", "green", "blue"])
    (images / "001.png").write_bytes(b"no image")
    events = nano.run(images, threshold=0.0)
    assert [event["file"] for event in predictions(events)] == ["000.png", "002.png"]
    assert (events[-1]["frames"], events[-1]["ended"]) == (2, True)
    for name in ("000.png", "002.png"):
        (images / name).write_bytes(b"no image")
    shutil.rmtree(nano.machine.run_path("c"))
    [result] = nano.run(images, threshold=0.0)
    assert (result["frames"], result["ended"]) == (0, True)


def test_seconds_limit_how_long(nano: Nano, camera: MjpegCamera) -> None:
    camera.show("red")
    events = nano.run(camera.uri, seconds=0.5)
    assert events[-1]["type"] == "result" and events[-1]["seconds"] >= 0.5
    assert nano.lit() == []


def test_a_class_without_a_pin_lights_nothing(nano: Nano, tmp_path: Path) -> None:
    seen = predictions(nano.run(make_images(tmp_path / "images", ["red", "green", "blue"]), pins=[12, 16]))
    assert [(event["class"], event["lit"]) for event in seen] == [("red", [12]), ("green", [16]), ("blue", [])]


def test_leds_file_and_none(nano: Nano, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", ["red"])
    nano.run(images, leds="none")
    assert nano.switched() == []
    shutil.rmtree(nano.machine.run_path("c"))
    nano.run(images, leds_file=str(tmp_path / "élsewhere.jsonl"))
    assert nano.switched() == [] and (12, True) in [(line["pin"], line["on"])
                                                    for line in read_lines(tmp_path / "élsewhere.jsonl")]


@pytest.mark.parametrize("with_length", [True, False])
def test_a_network_camera_is_watched_until_stop(nano: Nano, with_length: bool) -> None:
    camera = MjpegCamera(with_length)
    try:
        follower = nano.start(camera.uri)
        for colour, pin in (("red", 12), ("blue", 18), ("green", 16)):
            camera.show(colour)
            event = follower.read_event("prediction")
            assert (event["class"], event["lit"], nano.lit()) == (colour, [pin], [pin])
        follower.send(type="stop")
        assert follower.read_event("result")["frames"] == 3
        assert follower.read_all()[-1]["state"] == "done"
        assert nano.lit() == []
    finally:
        camera.close()


def test_the_threshold_can_be_moved_while_it_runs(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    camera.show("grey")
    assert follower.read_event("prediction")["class"] is None
    follower.send(type="set", threshold="high")
    follower.send(type="set", threshold=7)
    follower.send(type="set", threshold=0.1)

    def lights() -> bool:
        camera.show("grey")
        return bool(follower.read_event("prediction")["lit"])

    wait_for(lights, "the new threshold")
    follower.send(type="stop")
    follower.read_event("result")


def test_of_a_fast_camera_the_newest_frame_counts(nano: Nano, camera: MjpegCamera) -> None:
    """Frames that came while the network was busy are passed over, none is predicted twice, and the last is not lost."""
    follower = nano.start(camera.uri)
    camera.show(*["red", "green"] * 300, "blue")
    seen = [follower.read_event("prediction")]
    while seen[-1]["class"] != "blue":
        seen.append(follower.read_event("prediction"))
    assert len(seen) <= 601
    assert [event["t"] for event in seen] == sorted({event["t"] for event in seen})
    follower.send(type="stop")
    assert follower.read_event("result")["frames"] == len(seen)


def test_a_camera_may_be_pulled_out_and_put_back(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    camera.show("red")
    assert follower.read_event("prediction")["class"] == "red"
    camera.unplug()
    lost = follower.read_event("log", "infer.camera_lost")
    assert lost["level"] == "warning" and lost["params"] == {"camera": camera.uri}
    assert nano.lit() == []
    camera.plug_in()
    camera.show("green")
    assert follower.read_event("log", "infer.camera_back")["params"] == {"camera": camera.uri}
    assert follower.read_event("prediction")["class"] == "green"
    assert nano.lit() == [16]
    follower.send(type="stop")
    assert follower.read_event("result")["frames"] == 2


@pytest.mark.parametrize("uri", ["webcam:99", "file:///nowhere.mp4", "http://127.0.0.1:1/x.mjpg", "rtsp://127.0.0.1:1/x"])
def test_a_camera_that_is_not_there(nano: Nano, uri: str) -> None:
    code, params = nano.error(uri)
    assert code == "infer.camera_missing" and params["camera"] == uri and params["error"]


@pytest.mark.parametrize("uri", ["/dev/video99", "v4l2:///dev/video99", "/nowhere"])
def test_what_is_not_plugged_in_is_not_opened(uri: str) -> None:
    with pytest.raises(SourceLost):
        open_source(uri, None, None)


def test_a_camera_of_an_unknown_kind(nano: Nano) -> None:
    assert nano.error("csi://0") == ("infer.camera_unsupported", {"camera": "csi://0", "engine": "onnxruntime"})


def refused(folder: Path) -> tuple[str, Message]:
    with pytest.raises(Failure) as caught:
        read_model(folder)
    return caught.value.code, caught.value.params


@pytest.mark.parametrize("file", ["model.onnx", "labels.txt"])
def test_a_model_that_is_missing(tmp_path: Path, file: str) -> None:
    model = make_model(tmp_path / "colours-001")
    (model / file).unlink()
    assert refused(model) == ("infer.model_missing", {"model": "colours-001", "folder": str(model), "file": file})


def test_a_folder_that_is_missing(nano: Nano) -> None:
    assert nano.error("webcam:0", model_dir="/nowhere/m")[0] == "infer.model_missing"


@pytest.mark.parametrize("file", ["model.onnx", "labels.txt", "bundle.json"])
def test_a_model_that_is_damaged(tmp_path: Path, file: str) -> None:
    model = make_model(tmp_path / "colours-001")
    (model / file).write_bytes((model / file).read_bytes()[:-1])
    assert refused(model) == ("infer.model_damaged", {"model": "colours-001", "file": file})


def test_a_model_of_the_older_program(nano: Nano, tmp_path: Path) -> None:
    """Without bundle.json: one *.onnx with names and a size of its own, and an empty line after the labels."""
    older = tmp_path / "élder"
    older.mkdir()
    make_onnx(older / "resnet18.onnx", input_name="data", output_name="prob")
    (older / "labels.txt").write_text("red\ngreen\nblue\n\n")
    seen = predictions(nano.run(make_images(tmp_path / "images", ["blue", "red"]), model_dir=str(older)))
    assert [event["class"] for event in seen] == ["blue", "red"]


def test_an_older_model_that_is_no_onnx_file(nano: Nano, tmp_path: Path) -> None:
    older = tmp_path / "older"
    older.mkdir()
    (older / "resnet18.onnx").write_bytes(b"not a network")
    (older / "labels.txt").write_text("red\ngreen")
    assert nano.error("webcam:0", model_dir=str(older)) == (
        "infer.model_damaged", {"model": "older", "file": "resnet18.onnx"})


@pytest.mark.parametrize("labels", ["red\ngreen", "red\ngreen\nblue\nyellow"])
def test_labels_that_are_not_the_network_s(nano: Nano, tmp_path: Path, labels: str) -> None:
    older = tmp_path / "older"
    older.mkdir()
    make_onnx(older / "resnet18.onnx")
    (older / "labels.txt").write_text(labels)
    assert nano.error("webcam:0", model_dir=str(older)) == (
        "infer.labels_mismatch", {"model": "older", "labels": len(labels.split()), "outputs": 3})


@pytest.mark.parametrize(("change", "code"), [
    ({"engine": "magic"}, "infer.unknown_engine"), ({"leds": "neon"}, "leds.unknown"), ({"threshold": 2}, "infer.bad_params"),
    ({"leds_file": "/nowhere/leds.jsonl"}, "leds.file")])
def test_bad_parameters(nano: Nano, change: Message, code: str) -> None:
    assert nano.error("webcam:0", **change)[0] == code


@pytest.mark.parametrize(("change", "code"), [
    ({"flip": "sideways"}, "infer.bad_flip"), ({"camera": 0}, "infer.bad_params"), ({"engine": None}, "infer.bad_params"),
    ({"threshold": None}, "infer.bad_params"), ({"threshold": -0.1}, "infer.bad_params")])
def test_parameters_are_looked_at_first(change: Message, code: str) -> None:
    usual = {"model_dir": "m", "camera": "c", "engine": "onnxruntime", "leds": "none", "threshold": 0.6}
    check_params(usual)
    with pytest.raises(Failure) as caught:
        check_params({**usual, **change})
    assert caught.value.code == code


def test_a_missing_engine_is_an_error_and_no_fallback(nano: Nano) -> None:
    code, params = nano.error("webcam:0", engine="tensorrt")
    assert code == "infer.engine_missing"
    assert (params["engine"], params["module"]) == ("tensorrt", "jetson_inference")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_leds_dark(nano: Nano, camera: MjpegCamera, number: int, code: int) -> None:
    follower = nano.start(camera.uri)
    camera.show("red")
    assert follower.read_event("prediction")["lit"] == [12]
    assert nano.lit() == [12]
    os.kill(json.loads((nano.machine.run_path("c") / "pid.json").read_text())["pid"], number)
    assert follower.read_all()[-1]["exit"]["code"] == code
    assert nano.lit() == []


def test_cancel_leaves_the_leds_dark(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    camera.show("red")
    follower.read_event("prediction")
    assert nano.machine.cancel("c")["state"] == "cancelled"
    assert nano.lit() == []


def test_a_lost_lease_leaves_the_leds_dark(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri, lease_s=2)
    camera.show("red")
    assert follower.read_event("prediction")["lit"] == [12]
    assert nano.lit() == [12]
    assert follower.read_event("log", "infer.lease_lost")["level"] == "warning"
    assert nano.lit() == []
    assert follower.read_event("result")["frames"] == 1
    assert follower.read_all()[-1]["state"] == "done"


def test_leds_are_dark_within_3_s_while_the_laptop_is_not_heard(nano: Nano, tmp_path: Path) -> None:
    follower = nano.start(make_clip(tmp_path / "red.avi", ["red"] * 1000), lease_s=60)
    assert follower.read_event("prediction")["lit"] == [12]
    follower.send(type="lease")
    heard = time.monotonic()
    while follower.read_event("prediction")["lit"]:
        pass
    assert 1 < time.monotonic() - heard < 3 and nano.lit() == []
    seen = follower.read_event("prediction")
    assert (seen["class"], seen["lit"]) == ("red", [])
    follower.send(type="lease")
    while not follower.read_event("prediction")["lit"]:
        pass
    assert nano.lit() == [12]
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"
    assert nano.lit() == []


def test_an_error_leaves_the_leds_dark(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    camera.show("red")
    follower.read_event("prediction")
    (nano.machine.run_path("c") / "commands.jsonl").mkdir()  # cannot be read, as on a broken SD card
    assert follower.read_event("error")["code"] == "program.crashed"
    assert nano.lit() == []
