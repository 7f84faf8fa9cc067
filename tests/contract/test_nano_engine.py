"""build_engine.py: a TensorRT engine is built once at deploy, told of as it goes, and used again only where it fits."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from classification import predictions
from colours import make_images, make_onnx
from machine import Message, of, wait_for
from nano_faces import BUILD, Board, board, codes, current, either, newest  # noqa: F401

ENGINE = "model.onnx.1.1.8201.GPU.FP16.engine"


def result(events: list[Message]) -> Message:
    assert events[-1]["type"] == "result", events[-1]
    return events[-1]


def failure(events: list[Message]) -> tuple[str, Message]:
    assert events[-1]["type"] == "error", events[-1]
    return events[-1]["code"], events[-1]["params"]


def check_built_once(nano: Board, tmp_path: Path) -> None:
    events, log = nano.build()
    built = result(events)
    assert codes(events)[-1] == "engine.built" and "infer.building_engine" in codes(events)
    assert (built["engine"], built["reused"], built["tensorrt"]) == (ENGINE, False, "8.2.1")
    assert nano.engines() == [ENGINE] and "completed building CUDA engine" in log and "\033" not in log
    record = json.loads((nano.model / "engine.json").read_text())
    assert record["engine"] == ENGINE and record["device"] and len(record["model_sha256"]) == 64
    events, log = nano.build()
    assert result(events)["reused"] is True and codes(events) == ["engine.reused"]
    assert "building CUDA engine" not in log
    assert codes(nano.classify(make_images(tmp_path / "images", ["red"]))) == ["infer.ready"]


def test_built_once_under_python_36(board: Board, tmp_path: Path) -> None:  # noqa: F811
    check_built_once(board, tmp_path)


def test_built_once_under_a_newer_python(current: Board, tmp_path: Path) -> None:  # noqa: F811
    check_built_once(current, tmp_path)


def test_it_is_told_as_it_goes(either: Board) -> None:  # noqa: F811
    """Each line of the library's log at once, also where it is buffered into a pipe (before April 2023)."""
    either.set(build_s=4.8)
    either.machine.start("b", program=BUILD, model_dir=str(either.model))
    follower = either.machine.follow("b")
    told = [follower.read_event("building")]
    while len([each for each in told if "Timing Runner" in each["line"]]) < 2:
        told.append(follower.read_event("building"))
    either.set(build_s=0.0)
    assert 0.9 < told[0]["seconds"] < told[1]["seconds"]
    assert all(each["available_mb"] > 0 for each in told)
    result([message["event"] for message in follower.read_all() if message["type"] == "event"])


def test_an_estimate_is_learned(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    newest.set(build_s=1.5)
    events, _ = newest.build()
    assert {event["total"] for event in of(events, "progress")} == {None}
    other = newest.model.with_name("colours-002")
    shutil.copytree(newest.model, other, ignore=shutil.ignore_patterns("*engine*", "*.sha256sum"))
    events, _ = newest.build(other)
    (told,) = of(events, "progress")[:1]
    assert told["what"] == "engine.build" and told["unit"] == "s"
    took = json.loads((newest.model / "engine.json").read_text())["seconds"]
    assert told["total"] == max(1, round(took)) and told["eta_s"] >= 0 and told["done"] <= told["total"]


def exchange_model(nano: Board) -> None:
    """Another network under the same name, as a new export: red and blue change places."""
    import hashlib

    import numpy as np
    from onnx import load, numpy_helper, save

    network = load(str(nano.model / "model.onnx"))
    turned = np.eye(3, dtype=np.float32)[::-1] * 2
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), "weights"))
    save(network, str(nano.model / "model.onnx"))
    bundle = json.loads((nano.model / "bundle.json").read_text())
    bundle["sha256"]["model.onnx"] = hashlib.sha256((nano.model / "model.onnx").read_bytes()).hexdigest()
    (nano.model / "bundle.json").write_text(json.dumps(bundle))


@pytest.mark.parametrize("with_record", [True, False])
def test_an_exchanged_model_is_built_anew(either: Board, tmp_path: Path, with_record: bool) -> None:  # noqa: F811
    """In 2020 jetson-inference itself would go on with the old one's engine."""
    either.build()
    if not with_record:
        (either.model / "engine.json").unlink()
    exchange_model(either)
    os.utime(either.model / "model.onnx", (time.time() + 5, time.time() + 5))
    seen = predictions(either.classify(make_images(tmp_path / "images", ["red"])))
    assert [event["class"] for event in seen] == ["blue"]


def test_an_engine_of_the_older_program_is_kept(either: Board, tmp_path: Path) -> None:  # noqa: F811
    either.build()
    (either.model / "engine.json").unlink()
    assert codes(either.classify(make_images(tmp_path / "images", ["red"]))) == ["infer.ready"]
    assert json.loads((either.model / "engine.json").read_text())["seconds"] == 0


def test_a_newer_tensorrt_builds_anew_and_the_old_engine_goes(newest: Board) -> None:  # noqa: F811
    newest.build()
    newest.set(tensorrt=8502)
    built = result(newest.build()[0])
    assert built["tensorrt"] == "8.5.2" and built["reused"] is False
    assert newest.engines() == [built["engine"]]


def test_an_engine_of_another_board(either: Board, tmp_path: Path) -> None:  # noqa: F811
    """A cloned SD card: its record says another board; without one TensorRT refuses it, and it is built anew."""
    either.build()
    record = json.loads((either.model / "engine.json").read_text())
    (either.model / "engine.json").write_text(json.dumps({**record, "device": "NVIDIA Orin Nano"}))
    events, _ = either.build()
    assert result(events)["reused"] is False and "engine.refused" not in codes(events)
    (either.model / "engine.json").unlink()
    either.set(device="another board")
    events, _ = either.build()
    assert "engine.refused" in codes(events) and result(events)["reused"] is False
    either.set(device="a third one")
    said = codes(either.classify(make_images(tmp_path / "images", ["red"])))
    assert said == ["engine.refused", "infer.building_engine", "infer.ready"]


def test_an_engine_that_crashes_tensorrt_does_so_once(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    newest.build()
    (newest.model / "engine.json").unlink()
    newest.set(device="another board", foreign="crashes")
    images = make_images(tmp_path / "images", ["red"])
    newest.start(images, engine="tensorrt")
    assert newest.machine.follow("c").read_all()[-1]["exit"]["signal"] == signal.SIGSEGV
    shutil.rmtree(newest.machine.run_path("c"))
    assert codes(newest.classify(images)) == ["engine.refused", "infer.building_engine", "infer.ready"]
    assert codes(newest.classify(images)) == ["infer.ready"]
    (newest.model / "engine.json").unlink()
    newest.set(device="a third board")
    events, _ = newest.build()
    assert "engine.refused" in codes(events) and result(events)["reused"] is False


@pytest.mark.parametrize("kept", [0, 100])
def test_half_an_engine(newest: Board, kept: int) -> None:  # noqa: F811
    """The power went while it was written: no record, and only its beginning."""
    newest.build()
    (newest.model / "engine.json").unlink()
    os.truncate(newest.model / ENGINE, kept)
    assert result(newest.build()[0])["bytes"] > 100


@pytest.mark.parametrize(("how", "code"), [
    ("killed", "engine.out_of_memory"), ("out_of_memory", "engine.out_of_memory"), ("crashes", "engine.crashed"),
    ("fails", "infer.engine_failed")])
def test_what_goes_wrong_is_said(newest: Board, how: str, code: str) -> None:  # noqa: F811
    newest.set(build=how)
    found, params = failure(newest.build()[0])
    assert found == code and params["model"] == "colours-001"
    if code == "engine.out_of_memory":
        assert params["memory_mb"] > 0 and params["swap_mb"] >= 0
    assert newest.engines() == []
    if how == "crashes":
        newest.set(build=None)
        assert result(newest.build()[0])["reused"] is False, "nothing is left that the next one stumbles over"


def test_a_file_that_is_no_network(newest: Board) -> None:  # noqa: F811
    older = newest.model.with_name("older")
    older.mkdir()
    (older / "resnet18.onnx").write_bytes(b"not a network")
    (older / "labels.txt").write_text("red\ngreen")
    code, params = failure(newest.build(older)[0])
    assert code == "engine.not_parsed" and "resnet18.onnx" in params["error"]


def test_a_missing_library(newest: Board) -> None:  # noqa: F811
    newest.machine.environment["PYTHONPATH"] = ""
    assert failure(newest.build()[0])[0] == "infer.engine_missing"


def test_more_labels_than_outputs(newest: Board) -> None:  # noqa: F811
    older = newest.model.with_name("older")
    older.mkdir()
    make_onnx(older / "model.onnx")
    (older / "labels.txt").write_text("red\ngreen\nblue\nyellow")
    assert failure(newest.build(older)[0])[0] == "infer.labels_mismatch"


@pytest.mark.root
def test_a_folder_that_cannot_be_written(newest: Board, tmp_path: Path) -> None:  # noqa: F811
    """On a file system mounted read-only, since root may write everywhere else."""
    import subprocess

    subprocess.run(["mount", "--bind", str(newest.model), str(newest.model)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(newest.model)], check=True)
        assert failure(newest.build()[0]) == (
            "engine.folder_not_writable", {"model": "colours-001", "folder": str(newest.model)})
        # A classification goes on without keeping it, and says so.
        said = codes(newest.classify(make_images(tmp_path / "images", ["red"])))
        assert said == ["infer.building_engine", "engine.not_kept", "infer.ready"]
    finally:
        subprocess.run(["umount", str(newest.model)], check=True)


@pytest.mark.root
def test_a_full_disk(newest: Board) -> None:  # noqa: F811
    import subprocess

    folder = newest.model.with_name("small")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    try:
        shutil.copytree(newest.model, folder, dirs_exist_ok=True)
        code, params = failure(newest.build(folder)[0])
        assert code == "engine.no_room" and params["free_mb"] < params["needed_mb"] and params["folder"] == str(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_cancelled_leaves_nothing_running_and_no_engine(newest: Board) -> None:  # noqa: F811
    newest.set(build_s=60)
    newest.machine.start("b", program=BUILD, model_dir=str(newest.model))
    follower = newest.machine.follow("b")
    follower.read_event("building")
    answer = newest.machine.cancel("b")
    assert answer["gone"] is True and answer["state"] == "cancelled"
    assert newest.engines() == []


def test_the_builder_killed_alone_is_no_success(newest: Board) -> None:  # noqa: F811
    newest.set(build_s=60)
    newest.machine.start("b", program=BUILD, model_dir=str(newest.model))
    follower = newest.machine.follow("b")
    follower.read_event("building")
    program = newest.machine.process_id("b")
    (child,) = wait_for(lambda: Path(f"/proc/{program}/task/{program}/children").read_text().split(), "the builder")
    os.kill(int(child), signal.SIGKILL)
    assert follower.read_event("error")["code"] == "engine.out_of_memory"


def test_versions_in_names() -> None:
    import nano_programs

    sys.path.insert(0, str(nano_programs.REMOTE))
    from jetson_nano.engine_record import tensorrt_of
    from jetson_nano.model import Model

    model = Model("m", Path("model.onnx"), [], {}, "output_0", True)
    for number, version in (("8201", "8.2.1"), ("8502", "8.5.2"), ("100300", "10.3.0"), ("x", None)):
        assert tensorrt_of(f"model.onnx.1.1.{number}.GPU.FP16.engine", model) == version
