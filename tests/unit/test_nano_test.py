"""The test split on a Nano: what is made of its answers, what is kept, and what ends it."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from room import Room

from ai_nano.cli.commands import summary
from ai_nano.core import bundle, report, texts
from ai_nano.core.answers import Nonsense
from ai_nano.core.errors import AiNanoError, Cancelled, ContactLost, MachineError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Log, Prediction, Progress, ignore
from ai_nano.core.nano import nano_test
from ai_nano.core.nano.nano_test import Difference, NanoTest, Seen, Times
from ai_nano.core.ports import JobEnd
from ai_nano.core.project.workspace import Receipt
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.nano_test import NAME, PROGRAM, NanoTestOptions, images_of
from ai_nano.steps.split import SplitOptions

FIGURES: dict[str, Any] = {
    "v": 1, "model": "m", "recipe": "quick", "arch": "a", "classes": ["cat", "dog"], "seconds": {"total": 1.0}, "device": "CPU",
    "images": {"train": 1, "val": 1, "test": 3}, "history": [], "val_accuracy": 1.0, "test_accuracy": 2 / 3,
    "milliseconds": 9.4, "confusion": [[1, 1], [0, 1]], "per_class": {}, "samples": [],
    "export": {"created": "2026-11-21T10:16:00Z", "opset": 13, "bytes": 1, "images": 3, "max_difference": 2e-7,
               "agreement": 1.0, "refused": [], "milliseconds": 5.1,
               "fp16": {"images": 2, "accuracy": 0.5, "max_difference": 0.0021, "agreement": 1.0}}}
ANSWERS = [{"file": "test/cat/1.jpg", "predicted": "cat", "confidence": 0.9},
           {"file": "test/cat/2.jpg", "predicted": "dog", "confidence": 0.6},
           {"file": "test/dog/3.jpg", "predicted": "dog", "confidence": 0.8}]
TRUTH = {"test/cat/1.jpg": "cat", "test/cat/2.jpg": "cat", "test/dog/3.jpg": "dog"}


def seen(name: str | None, preprocess: float = 1.0, network: float = 5.0) -> Seen:
    return Seen(name, 0.75, {"preprocess": preprocess, "network": network})


def outcome(answered: Mapping[str, Seen], figures: Mapping[str, Any] | None = None, reason: str | None = None) -> NanoTest:
    told = None if reason is not None else report.read({**FIGURES, "answers": ANSWERS, **(figures or {})})
    return nano_test.evaluate("nano1", "tensorrt", "2026-11-21T10:15:00Z", "0" * 64, TRUTH, answered, told, reason)


# ---- figures ------------------------------------------------------------------------------------------------------------


def test_each_answer_is_compared_with_the_truth_and_with_pytorch() -> None:
    test = outcome({"test/cat/1.jpg": seen("cat"), "test/cat/2.jpg": seen("cat"), "test/dog/3.jpg": seen(None)})
    assert (test.images, test.read, test.right, test.accuracy) == (3, 3, 2, 2 / 3)
    assert (test.compared, test.same, test.agreement, test.others, test.reason) == (3, 1, 1 / 3, 0, None)
    assert test.different == (Difference("test/cat/2.jpg", "cat", "cat", 0.75, "dog", 0.6),
                              Difference("test/dog/3.jpg", "dog", None, 0.75, "dog", 0.8))


def test_an_image_that_could_not_be_read_is_counted_and_named() -> None:
    test = outcome({"test/cat/1.jpg": seen("cat"), "test/dog/3.jpg": seen("dog")})
    assert (test.images, test.unread, test.unread_files) == (3, 1, ("test/cat/2.jpg",))
    assert (test.accuracy, test.same, test.compared) == (1.0, 2, 2)
    assert any("could not read 1 of 3 images: test/cat/2.jpg" in line for line in nano_test.notes(test))


def test_an_image_of_which_the_report_knows_nothing_is_said() -> None:
    everything = {file: seen("cat") for file in TRUTH}
    test = outcome(everything, {"answers": ANSWERS[:2]})
    assert (test.read, test.compared, test.others) == (3, 2, 1)
    assert any(line.startswith("The report knows nothing of 1 ") for line in nano_test.notes(test))
    cut = outcome(everything, {"answers": ANSWERS[:2], "answers_left_out": 1})
    assert (cut.compared, cut.others) == (2, 0)


@pytest.mark.parametrize("reason", nano_test.REASONS)
def test_why_nothing_was_compared_is_said(reason: str) -> None:
    everything = {file: seen("cat") for file in TRUTH}
    test = outcome(everything, {"answers": None}) if reason == "no_answers" else outcome(everything, reason=reason)
    assert (test.reason, test.compared, test.agreement, test.different) == (reason, 0, None, ())
    assert nano_test.rows(None, [test]) == [["nano1 (TensorRT)", "66.7 % (2 of 3)", "–", "5.0"]]
    assert nano_test.notes(test)[-1] == texts.t(f"test_nano.reason.{reason}")


def test_times_are_the_median_and_what_19_of_20_do_not_exceed() -> None:
    truth = {f"test/cat/{number}.jpg": "cat" for number in range(40)}
    answered = {file: seen("cat", 1.0, float(number + 1)) for number, file in enumerate(truth)}
    test = nano_test.evaluate("nano1", "tensorrt", "", "", truth, answered, None, "no_report")
    assert test.ms == {"preprocess": Times(1.0, 1.0), "network": Times(20.5, 38.0), "image": Times(21.5, 39.0)}
    assert any("21.5 ms, 19 of 20 within 39.0 ms (preparation 1.0  ·  network 20.5)" in line for line in nano_test.notes(test))
    nothing = nano_test.evaluate("nano1", "tensorrt", "", "", truth, {}, None, "no_report")
    assert (nothing.ms, nothing.accuracy, nothing.interval, nothing.unread) == ({}, None, None, 40)
    assert len(nothing.unread_files) == nano_test.MOST_NAMED and nano_test.rows(None, [nothing])[0][1:] == ["–", "–", "–"]


def test_wilsons_interval_is_the_reports() -> None:
    assert nano_test.wilson(0, 0) is None
    assert nano_test.wilson(10, 10) == pytest.approx([0.7225, 1.0], abs=1e-4)
    assert nano_test.wilson(46, 48) == pytest.approx([0.8602, 0.9885], abs=1e-4)


def test_the_servers_figures_stand_above_the_nanos() -> None:
    test = outcome({file: seen(name) for file, name in TRUTH.items()})
    told = report.read({**FIGURES, "answers": ANSWERS})
    assert nano_test.rows(told, [test]) == [
        ["Server, fp32 (PyTorch)", "66.7 % (2 of 3)", "–", "9.4"],
        ["Server, fp32 (ONNX Runtime)", "–", "100.0 % of 3", "5.1"],
        ["Server, fp16 (rehearsed)", "50.0 % of 2", "100.0 % of 2", "–"],
        ["nano1 (TensorRT)", "100.0 % (3 of 3)", "66.7 % (2 of 3)", "5.0"]]
    older = report.read({**FIGURES, "export": None, "milliseconds": None})
    assert nano_test.rows(older, []) == [["Server, fp32 (PyTorch)", "66.7 % (2 of 3)", "–", "–"]]


@pytest.mark.parametrize("wrong", [{"answers": 3}, {"answers": [1]}, {"answers": [{"file": "x"}]},
                                   {"answers": [{**ANSWERS[0], "confidence": 7}]}, {"answers_left_out": -1}])
def test_answers_that_make_no_sense_are_none_of_a_report(wrong: dict[str, Any]) -> None:
    with pytest.raises(Nonsense):
        report.read({**FIGURES, **wrong})


# ---- what is kept --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundle.json").write_text(json.dumps({"v": 1, "sha256": {"model.onnx": "0" * 64}, "training": {
        "checkpoint_sha256": "1" * 64}}))
    return tmp_path


def test_each_nanos_last_test_is_kept(folder: Path) -> None:
    first = outcome({file: seen("cat") for file in TRUTH})
    other, again = replace(first, nano="nano2"), outcome({file: seen(name) for file, name in list(TRUTH.items())[:2]})
    for one in (first, other, again):
        nano_test.keep(folder, one)
    assert nano_test.load(folder) == (other, again)
    assert nano_test.of_nano(folder, "nano1") == again and nano_test.of_nano(folder, "nano3") is None


def test_a_test_of_an_earlier_version_of_the_model_is_none(folder: Path) -> None:
    test = outcome({file: seen("cat") for file in TRUTH})
    nano_test.keep(folder, replace(test, model_sha256="f" * 64))
    assert nano_test.load(folder) == ()
    nano_test.keep(folder, replace(test, nano="nano2"))
    assert [one.nano for one in nano_test.load(folder)] == ["nano2"]


def test_beside_a_report_of_another_version_no_test_stands(folder: Path) -> None:
    nano_test.keep(folder, outcome({file: seen("cat") for file in TRUTH}))
    for checkpoint, count in ((None, 1), ("1" * 64, 1), ("2" * 64, 0)):
        told = report.read({**FIGURES, "checkpoint_sha256": checkpoint})
        assert len(nano_test.load(folder, told)) == count


@pytest.mark.parametrize("text", ["", "[]", "{", '{"v": 2, "tests": []}', '{"v": 1}', '{"v": 1, "tests": [{}]}',
                                  '{"v": 1, "tests": 7}'])
def test_a_damaged_file_is_no_test_and_is_written_anew(folder: Path, text: str) -> None:
    (folder / nano_test.FILE).write_text(text)
    assert nano_test.load(folder) == ()
    test = outcome({file: seen("cat") for file in TRUTH})
    nano_test.keep(folder, test)
    assert nano_test.load(folder) == (test,)


def test_more_right_answers_than_images_are_not_believed(folder: Path) -> None:
    nano_test.keep(folder, outcome({file: seen("cat") for file in TRUTH}))
    document = json.loads((folder / nano_test.FILE).read_text())
    document["tests"][0]["right"] = 4
    (folder / nano_test.FILE).write_text(json.dumps(document))
    assert nano_test.load(folder) == ()


# ---- the step ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed(exported: Room) -> Room:
    """With a Nano that takes every test image for what it is, and a report that says so too."""
    exported.do("deploy", DeployOptions())
    answer(exported)
    return exported


def model_of(room: Room) -> str:
    receipt = room.workspace.done("deploy")
    assert receipt is not None
    return str(receipt.facts["model"])


def classified(room: Room) -> list[Mapping[str, Any]]:
    """The params of each classification that was started."""
    return [params for program, params in room.lab.nano(None).started if program == PROGRAM]


def files_of(room: Room) -> dict[str, str]:
    return {f"{name}/{path.name}": name for name, path in images_of(room.workspace, room.workspace.classes)}


def answer(room: Room, unread: int = 0, wrong: int = 0, **result: Any) -> None:
    files = list(files_of(room).items())
    shares = {"cat": 0.75, "dog": 0.25}
    events: list[dict[str, Any]] = [
        {"type": "log", "code": "infer.ready", "params": {"model": "m", "engine": "onnxruntime", "classes": 2, "seconds": 0.1}}]
    for number, (file, name) in enumerate(files[unread:]):
        shown = {"cat": "dog", "dog": "cat"}[name] if number < wrong else name
        events.append({"type": "prediction", "frame": number, "t": 1.0, "class": shown, "class_index": 0, "confidence": 0.75,
                       "probabilities": shares, "lit": [], "file": file, "ms": {"capture": 30.0, "preprocess": 1.0,
                                                                               "network": 5.0, "leds": 0.0}})
    nano = room.lab.nano(None)
    nano.events[PROGRAM] = events
    nano.ends[PROGRAM] = JobEnd("done", {"frames": len(files) - unread, "ended": True, **result})
    told = {**FIGURES, "model": model_of(room), "answers": [
        {"file": f"test/{file}", "predicted": name, "confidence": 0.9} for file, name in files]}
    (room.workspace.model_folder(model_of(room)) / bundle.REPORT_JSON).write_text(json.dumps(told))


def test_the_test_split_is_sent_classified_compared_and_removed(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    files = files_of(deployed)
    assert len(files) >= 2
    before = {path: path.read_bytes() for path in (nano.root / "models" / model_of(deployed)).iterdir()}
    facts = deployed.do(NAME, NanoTestOptions())
    [params] = classified(deployed)
    assert params["model_dir"] == str(nano.root / "models" / model_of(deployed))
    assert (params["leds"], params["pins"], params["threshold"], params["hysteresis"], params["smoothing_s"]) == (
        "none", [], 0.0, 0.0, 0.0)
    place = Path(params["camera"])
    assert place.name == "test" and place.parent.parent == nano.root / "models" and not place.parent.exists()
    assert {path: path.read_bytes() for path in (nano.root / "models" / model_of(deployed)).iterdir()} == before
    assert (facts["images"], facts["right"], facts["same"], facts["compared"], facts["unread"]) == (*[len(files)] * 4, 0)
    assert (facts["nano"], facts["engine"], facts["accuracy"], facts["agreement"]) == ("nano1", "onnxruntime", 1.0, 1.0)
    assert facts["server"]["fp32"] == {"accuracy": 2 / 3, "milliseconds": 9.4, "device": "CPU"}
    assert facts["server"]["fp16"]["accuracy"] == 0.5
    kept = nano_test.of_nano(deployed.workspace.model_folder(model_of(deployed)), "nano1")
    assert kept is not None and kept.right == len(files)
    assert not any(isinstance(event, Prediction) for event in deployed.events)
    told = [event for event in deployed.events if isinstance(event, Progress) and event.what == "test_nano.images"]
    assert (told[0].done, told[-1].done, told[-1].total) == (0, len(files), len(files))


def test_what_is_kept_there_is_not_sent_again(deployed: Room) -> None:
    for _ in range(2):
        deployed.do(NAME, NanoTestOptions(keep=True))
    place = Path(classified(deployed)[-1]["camera"])
    assert {str(path.relative_to(place)) for path in place.rglob("*.jpg")} == set(files_of(deployed))
    sent = [event.params["sent"] for event in deployed.events if isinstance(event, Log) and event.code == "test_nano.sent"]
    assert sent == [len(files_of(deployed)), 0]


def test_the_terminal_shows_a_table(deployed: Room) -> None:
    answer(deployed, wrong=1)
    facts = deployed.do(NAME, NanoTestOptions())
    said = summary(deployed.workspace, Receipt(NAME, "done", "", facts=facts))
    first = next(iter(files_of(deployed)))
    lines = said.splitlines()
    assert "Same as PyTorch" in lines[0] and lines[1].startswith("Server, fp32 (PyTorch)")
    assert any(line.startswith("nano1 (ONNX Runtime)") for line in lines)
    assert "Other answers than PyTorch's: 1" in said and any(line.startswith(f"test/{first}") for line in lines)
    assert facts["different"] == [{"file": f"test/{first}", "class": "cat", "nano": "dog", "nano_confidence": 0.75,
                                   "report": "cat", "report_confidence": 0.9}]


def test_a_report_of_an_older_server_ends_nothing(deployed: Room) -> None:
    file = deployed.workspace.model_folder(model_of(deployed)) / bundle.REPORT_JSON
    document = json.loads(file.read_text())
    del document["answers"]
    file.write_text(json.dumps(document))
    facts = deployed.do(NAME, NanoTestOptions())
    assert (facts["reason"], facts["agreement"], facts["accuracy"]) == ("no_answers", None, 1.0)
    file.unlink()
    assert deployed.do(NAME, NanoTestOptions())["reason"] == "no_report"


def test_a_training_that_went_on_after_the_export(deployed: Room) -> None:
    """Its report is of a better version than the one that is on the Nano."""
    folder = deployed.workspace.model_folder(model_of(deployed))
    for name, told in ((bundle.JSON, {"training": {"checkpoint_sha256": "1" * 64}}),
                       (bundle.REPORT_JSON, {"checkpoint_sha256": "2" * 64})):
        (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **told}))
    facts = deployed.do(NAME, NanoTestOptions())
    assert (facts["reason"], facts["agreement"], facts["server"]) == ("other_version", None, {})


def test_an_image_that_the_nano_cannot_read_is_named(deployed: Room) -> None:
    answer(deployed, unread=1)
    facts = deployed.do(NAME, NanoTestOptions())
    assert facts["unread"] == 1 and facts["unread_files"] == (f"test/{next(iter(files_of(deployed)))}",)
    assert facts["accuracy"] == 1.0 and facts["right"] == len(files_of(deployed)) - 1


def failed(room: Room, options: NanoTestOptions | None = None) -> AiNanoError:
    with pytest.raises(AiNanoError) as caught:
        room.do(NAME, options or NanoTestOptions())
    assert "{" not in str(caught.value), str(caught.value)
    return caught.value


@pytest.mark.parametrize(("result", "code"), [
    ({"ended": False}, "test_nano.broken_off"), ({"ended": None}, "test_nano.broken_off"),
    ({"frames": 70}, "test_nano.broken_off"), ({"frames": "x"}, "machine.nonsense")])
def test_a_test_that_somebody_ended_counts_nothing_as_unreadable(deployed: Room, result: dict[str, Any], code: str) -> None:
    answer(deployed, **result)
    assert failed(deployed).code == code
    assert nano_test.of_nano(deployed.workspace.model_folder(model_of(deployed)), "nano1") is None


def test_a_nano_that_is_lost(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.ends[PROGRAM] = ContactLost("job.lost", machine="nano1", run="r")
    assert failed(deployed).code == "infer.lost"
    assert Path(classified(deployed)[-1]["camera"]).is_dir(), "what cannot be reached cannot be cleared"
    answer(deployed)
    nano.events[PROGRAM] = [*nano.events[PROGRAM], {"type": "log", "code": "infer.lease_lost", "params": {}}]
    assert failed(deployed).code == "infer.lost"
    answer(deployed)
    deployed.do(NAME, NanoTestOptions())
    assert not Path(classified(deployed)[-1]["camera"]).exists()


def test_what_takes_no_turns_is_not_disturbed(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.running = [{"id": "r-1", "program": "jetson_nano/look.py", "state": "running", "student": "bob@lab", "age_s": 3.0}]
    error = failed(deployed)
    assert isinstance(error, MachineError) and error.code == "test_nano.in_use"
    assert "bob@lab" in error.why and "r-1" in error.hint and not classified(deployed)
    nano.running = [{**nano.running[0], "state": "done"}]
    deployed.do(NAME, NanoTestOptions())


def test_an_earlier_version_on_the_nano_is_not_compared(deployed: Room) -> None:
    model = model_of(deployed)
    deployed.make_bundle(model, b"a better one")
    folder = deployed.workspace.model_folder(model)
    for name in bundle.FILES:
        (folder / name).write_bytes((deployed.lab.server.root / "models" / model / name).read_bytes())
    assert failed(deployed).code == "test_nano.older"
    deployed.do("deploy", DeployOptions())
    deployed.do(NAME, NanoTestOptions())


def test_what_is_missing_is_said_before_anything_is_sent(exported: Room) -> None:
    assert failed(exported).code == "infer.no_model"
    exported.do("deploy", DeployOptions())
    assert failed(exported, NanoTestOptions(model="elsewhere-001")).code == "test_nano.no_model"
    model = model_of(exported)
    (exported.lab.nano(None).root / "models" / model).rename(exported.lab.nano(None).root / "gone")
    assert failed(exported).code == "infer.model_not_there"
    for _, path in images_of(exported.workspace, exported.workspace.classes):
        path.unlink()
    assert failed(exported).code == "test_nano.no_images"
    assert not classified(exported)


def test_it_ends_when_it_is_cancelled(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.hold = threading.Event()
    running = deployed.workflow.start(NAME, NanoTestOptions(), ignore)
    deadline = time.monotonic() + 20
    while not classified(deployed):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with pytest.raises(MissingPrerequisite):
        deployed.workflow.start("split", SplitOptions(), ignore)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(Cancelled):
        running.result(20)
    assert time.monotonic() - began < 2 and not Path(classified(deployed)[-1]["camera"]).exists()


def test_images_that_stay_are_a_warning(deployed: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    nano = deployed.lab.nano(None)
    store = nano.store

    def refusing(operation: str, *words: str) -> Mapping[str, Any]:
        if operation == "delete":
            raise WorkFailed("machine.io_error", machine="nano1", path="/x", error="broken")
        return store(operation, *words)

    monkeypatch.setattr(nano, "store", refusing)
    assert deployed.do(NAME, NanoTestOptions())["accuracy"] == 1.0
    left = [event.level for event in deployed.events if isinstance(event, Log) and event.code == "test_nano.left"]
    assert left == ["warning"]
