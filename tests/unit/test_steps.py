"""Steps and workflow with doubles for the machines: order, receipts, statuses, what is kept when something fails."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeLab, FakeMachine
from room import JPEG, Room

from ai_nano.core.errors import Cancelled, ContactLost, MachineError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Event, Log, Prediction, ignore
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Delivery, JobEnd, Parcel
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.running import Status
from ai_nano.core.workflow import Workflow
from ai_nano.lab import steps
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.infer import InferOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions

# ---- status ----------------------------------------------------------------------------------------------------------


def test_a_new_project_begins_with_recording(room: Room) -> None:
    assert [one.status for one in room.workflow.status()] == [Status.DONE, Status.READY, *[Status.BLOCKED] * 6]


def test_the_whole_way_is_done_step_by_step(exported: Room) -> None:
    exported.do("deploy", DeployOptions())
    assert exported.statuses() | {"infer": Status.DONE} == dict.fromkeys(exported.statuses(), Status.DONE)
    assert exported.statuses()["infer"] is Status.READY
    exported.do("infer", InferOptions(frames=1))
    reopened = Workflow(Workspace.open(exported.workspace.path), exported.lab, steps(), Lanes())
    assert {one.status for one in reopened.status()} == {Status.DONE}


def test_new_images_make_what_follows_stale(exported: Room) -> None:
    exported.add_images("cat", 1, "new-")
    statuses = exported.statuses()
    assert [statuses[one] for one in ("split", "upload", "train")] == [Status.STALE] * 3
    assert statuses["export"] is Status.DONE  # the model of the last training is exported: no lie


# ---- split -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_images_end_with_4(room: Room, count: int) -> None:
    room.add_images("cat", 10)
    room.add_images("dog", count)
    with pytest.raises(MissingPrerequisite) as caught:
        room.workflow.start("split", SplitOptions(), ignore)
    assert (caught.value.params["name"], caught.value.params["count"], caught.value.exit_code) == ("dog", count, 4)


def test_a_text_file_named_jpg_is_named_and_left_out(room: Room) -> None:
    room.add_images("cat", 5)
    room.add_images("dog", 5)
    (room.workspace.image_folder("dog") / "notes.jpg").write_text("hello")
    facts = room.do("split", SplitOptions())
    assert facts["left_out"] == ["dog/notes.jpg"] and facts["train"] + facts["val"] + facts["test"] == 10
    assert any(isinstance(event, Log) and event.level == "warning" and "notes.jpg" in event.text for event in room.events)
    assert not list(room.workspace.path.glob("t*/dog/notes.jpg"))


def test_half_a_photograph_is_left_out(room: Room) -> None:
    room.add_images("cat", 5)
    room.add_images("dog", 5)
    (room.workspace.image_folder("dog") / "half.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    (room.workspace.image_folder("dog") / "sound.webp").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    assert room.do("split", SplitOptions())["left_out"] == ["dog/half.jpg", "dog/sound.webp"]


def test_a_split_that_was_given_is_kept(tmp_path: Path) -> None:
    """Of an older program's workspace: its train/ may hold the only copy of an image."""
    for part, name in ((part, name) for part in ("images", "train", "val", "test") for name in ("a", "b")):
        folder = tmp_path / "old" / part / name
        folder.mkdir(parents=True)
        for number in range(4):
            (folder / f"{part}-{number}.jpg").write_bytes(JPEG)
    lanes = Lanes()
    workflow = Workflow(Workspace.open(tmp_path / "old"), FakeLab(tmp_path), steps(), lanes)
    events: list[Event] = []
    workflow.start("split", SplitOptions(), events.append).result(20)
    lanes.close()
    kept = sorted(path.name for path in (tmp_path / "old" / ".ai_nano" / "bin").rglob("*.jpg"))
    assert kept == sorted(f"{part}-{number}.jpg" for part in ("train", "val", "test") for _ in "ab" for number in range(4))
    assert any(isinstance(event, Log) and event.code == "split.given_kept" for event in events)


def test_images_of_the_split_are_the_same_files(uploaded: Room) -> None:
    image = next((uploaded.workspace.path / "train" / "cat").iterdir())
    assert image.samefile(uploaded.workspace.image_folder("cat") / image.name)


def test_a_split_again_keeps_the_old_places(uploaded: Room) -> None:
    before = {path.name for path in (uploaded.workspace.path / "test" / "cat").iterdir()}
    uploaded.add_images("cat", 10, "z")
    uploaded.do("split", SplitOptions())
    assert before <= {path.name for path in (uploaded.workspace.path / "test" / "cat").iterdir()}


# ---- upload and train ------------------------------------------------------------------------------------------------


def test_labels_travel_without_an_empty_line(uploaded: Room) -> None:
    model = uploaded.workspace.receipts["upload"].facts["model"]
    assert (uploaded.lab.server.root / "models" / model / "labels.txt").read_bytes() == b"cat\ndog"


def test_an_upload_that_broke_off_goes_on_in_the_same_folder(uploaded: Room) -> None:
    uploaded.add_images("cat", 10, "z")
    uploaded.do("split", SplitOptions())
    uploaded.lab.server.fail_after = 5
    with pytest.raises(WorkFailed):
        uploaded.do("upload", UploadOptions())
    assert uploaded.statuses()["upload"] is Status.FAILED
    uploaded.lab.server.fail_after = None
    facts = uploaded.do("upload", UploadOptions())
    # Of 32 files 22 are in the first model, 5 came before it broke off.
    assert (facts["sent"], facts["files"], facts["model"]) == (5, 32, "ada-lab-w-002")
    assert len(list((uploaded.lab.server.root / "models").iterdir())) == 2


def test_a_failure_does_not_take_an_earlier_success_away(exported: Room) -> None:
    exported.do("deploy", DeployOptions())
    exported.lab.server.ends["gpu_server/train.py"] = JobEnd("failed", exit={"code": 1, "signal": None})
    exported.lab.nano(None).fail_after = 0
    shutil.rmtree(exported.lab.nano(None).root / "models")
    for step, options in (("train", TrainOptions()), ("deploy", DeployOptions())):
        with pytest.raises(WorkFailed):
            exported.do(step, options)
    assert exported.statuses() == dict.fromkeys(exported.statuses(), Status.DONE) | {
        "train": Status.FAILED, "deploy": Status.FAILED, "infer": Status.READY}
    reopened = Workspace.open(exported.workspace.path)
    assert reopened.attempts["train"].facts["model"] == "ada-lab-w-002" and reopened.done("train") is not None


def test_a_step_that_runs_elsewhere_is_running_and_left_over_it_is_lost(uploaded: Room) -> None:
    workspace = uploaded.workspace
    inputs = workspace.receipts["upload"].inputs
    other = Workflow(Workspace.open(workspace.path), uploaded.lab, steps(), Lanes())
    with workspace.writing():
        workspace.note(Receipt("train", "running", inputs, facts={"model": "m", "run": "run-9"}))
        workspace.note(Receipt("upload", "running", inputs, facts={"model": "m"}))
        other.workspace = Workspace.open(workspace.path)
        assert [other.step_status(step).status for step in ("upload", "train")] == [Status.RUNNING, Status.RUNNING]
    assert [other.step_status(step).status for step in ("upload", "train")] == [Status.FAILED, Status.LOST]
    uploaded.lab.server.running = [{"id": "run-9", "state": "done"}]
    assert uploaded.do("train", TrainOptions())["run"] == "run-9"


def test_training_again_makes_a_new_model_with_the_same_images(uploaded: Room) -> None:
    first, second = (uploaded.do("train", TrainOptions(seed=seed))["model"] for seed in (0, 1))
    assert (first, second) == ("ada-lab-w-001", "ada-lab-w-002")
    models = uploaded.lab.server.root / "models"
    images = [sorted(one.name for one in (models / model).rglob("*.jpg")) for model in (first, second)]
    assert images[0] == images[1] and len(images[0]) == 20


def test_a_training_that_died_shows_its_last_lines(uploaded: Room) -> None:
    uploaded.lab.server.ends["gpu_server/train.py"] = JobEnd(
        "failed", exit={"code": None, "signal": 9}, last_lines=("loading", "Killed"))
    with pytest.raises(WorkFailed) as caught:
        uploaded.do("train", TrainOptions())
    assert (caught.value.code, caught.value.details, caught.value.exit_code) == ("job.killed", ["loading", "Killed"], 1)
    assert uploaded.statuses()["train"] is Status.FAILED and "killed" in uploaded.workflow.step_status("train").event().why
    del uploaded.lab.server.ends["gpu_server/train.py"]
    assert uploaded.do("train", TrainOptions())["model"] == "ada-lab-w-001"


@pytest.mark.parametrize(("end", "code"), [
    (JobEnd("failed", error=("train.no_images", {"model": "m", "folder": "f"}), exit={"code": 1}), "train.no_images"),
    (JobEnd("failed", exit={"code": 3, "signal": None}), "job.failed"),
    (JobEnd("failed", exit={"code": 124, "signal": None}), "program.disk_full"),
    (JobEnd("failed", exit=None), "job.vanished"),
    (JobEnd("failed", exit=None, why="rebooted"), "job.rebooted"),
])
def test_every_way_to_die_has_its_words(uploaded: Room, end: JobEnd, code: str) -> None:
    uploaded.lab.server.ends["gpu_server/train.py"] = end
    with pytest.raises(WorkFailed) as caught:
        uploaded.do("train", TrainOptions())
    assert caught.value.code == code


def test_a_training_out_of_reach_is_lost_and_taken_up_again(uploaded: Room) -> None:
    uploaded.lab.server.ends["gpu_server/train.py"] = ContactLost("job.lost", machine="DL", run="run-1")
    with pytest.raises(ContactLost) as caught:
        uploaded.do("train", TrainOptions())
    assert caught.value.exit_code == 5 and uploaded.statuses()["train"] is Status.LOST
    uploaded.lab.server.running = [{"id": "run-1", "state": "running"}]
    facts = uploaded.do("train", TrainOptions())
    assert facts["run"] == "run-1" and len(uploaded.lab.server.started) == 1
    assert uploaded.statuses()["train"] is Status.DONE


# ---- export, deploy, infer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "options", "code"), [
    ("upload", UploadOptions(), "upload.no_split"), ("train", TrainOptions(), "train.no_upload"),
    ("export", ExportOptions(), "export.no_training"), ("deploy", DeployOptions(), "deploy.no_export"),
    ("infer", InferOptions(), "infer.no_model"),
])
def test_a_step_before_its_time_ends_with_4(room: Room, step: str, options: object, code: str) -> None:
    with pytest.raises(MissingPrerequisite) as caught:
        room.workflow.start(step, options, ignore)
    assert (caught.value.code, caught.value.exit_code) == (code, 4)


@pytest.mark.parametrize(("file", "content", "code"), [
    ("labels.txt", "dog\ncat", "bundle.damaged"), ("model.onnx", "other", "bundle.damaged"),
    ("bundle.json", "{", "bundle.damaged"), ("bundle.json", '{"v": 9}', "bundle.version"),
])
def test_a_bundle_that_was_changed_is_not_pushed(exported: Room, file: str, content: str, code: str) -> None:
    model = exported.workspace.receipts["export"].facts["model"]
    (exported.workspace.model_folder(model) / file).write_text(content)
    with pytest.raises(WorkFailed) as caught:
        exported.do("deploy", DeployOptions())
    assert caught.value.code == code and not (exported.lab.nano(None).root / "models" / model).exists()


def test_a_second_nano_that_is_away_does_not_take_the_first_ones_model_back(
        exported: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    nano, lab = exported.lab.nano(None), exported.lab
    away = replace(lab.nano_settings, name="nano2")
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=(lab.nano_settings, away)))

    def away_now(*_: object) -> None:
        raise MachineError("machine.refused", machine="nano2", host="here", port=22)

    second = FakeMachine("nano2", nano.root.parent / "nano2")
    monkeypatch.setattr(second, "upload", away_now)
    monkeypatch.setattr(lab, "nano", lambda name: second if name == "nano2" else nano)
    with pytest.raises(MachineError) as caught:
        exported.do("deploy", DeployOptions(("nano2", "nano1")))
    assert caught.value.code == "deploy.some" and caught.value.params["reached"] == ["nano1"]
    assert caught.value.params["failed"] == ["nano2"] and caught.value.exit_code == 3
    assert exported.statuses()["deploy"] is Status.FAILED and exported.statuses()["infer"] is Status.READY
    assert exported.do("infer", InferOptions(frames=1))["nano"] == "nano1"


def test_a_training_that_goes_on_is_taken_up_after_a_click_that_failed(
        uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contact lost; then a click while the server is still out of reach; then it is back."""
    server = uploaded.lab.server
    server.ends["gpu_server/train.py"] = ContactLost("job.lost", machine="DL", run="run-1")
    with pytest.raises(ContactLost):
        uploaded.do("train", TrainOptions())

    def away() -> list[Any]:
        raise MachineError("machine.unreachable", machine="DL", host="here", port=22, reason="")

    with monkeypatch.context() as gone:
        gone.setattr(server, "jobs", away)
        with pytest.raises(MachineError):
            uploaded.do("train", TrainOptions())
    assert uploaded.statuses()["train"] is Status.FAILED
    server.running = [{"id": "run-1", "state": "running"}]
    assert uploaded.do("train", TrainOptions())["run"] == "run-1" and len(server.started) == 1


def test_a_training_that_was_cancelled_is_not_taken_up(uploaded: Room) -> None:
    server = uploaded.lab.server
    server.ends["gpu_server/train.py"] = JobEnd("cancelled")
    with pytest.raises(Cancelled):
        uploaded.do("train", TrainOptions())
    server.running = [{"id": "run-1", "state": "done"}]
    server.ends.clear()
    assert uploaded.do("train", TrainOptions())["run"] == "run-2"


def test_a_clone_that_somebody_deleted_is_made_anew(exported: Room) -> None:
    server = exported.lab.server
    server.ends["gpu_server/train.py"] = JobEnd("failed", error=("model.missing", {"model": "ada-lab-w-002", "folder": "x"}))
    with pytest.raises(WorkFailed):
        exported.do("train", TrainOptions())
    server.ends.clear()
    exported.do("train", TrainOptions())
    asked = [params["model"] for program, params in server.started if program == "gpu_server/train.py"]
    assert asked == ["ada-lab-w-001", "ada-lab-w-002", "ada-lab-w-003"]


def test_the_same_images_again_are_there_already(uploaded: Room) -> None:
    model = uploaded.workspace.receipts["upload"].facts["model"]
    labels = uploaded.workspace.labels_file
    before = labels.stat().st_mtime_ns
    assert uploaded.do("upload", UploadOptions()) == {"model": model, "files": 22, "sent": 0}
    assert labels.stat().st_mtime_ns == before


def test_an_export_that_breaks_off_leaves_the_one_before(exported: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, server = exported.workspace, exported.lab.server
    folder = workspace.model_folder(str(workspace.receipts["export"].facts["model"]))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (server.root / "models" / folder.name / "model.onnx").write_bytes(b"another")
    download = server.download

    def cut(source: Any, target: Path, cancel: Any) -> None:
        if source.name == "bundle.json":
            raise MachineError("machine.lost", machine="DL")
        download(source, target, cancel)

    with monkeypatch.context() as broken:
        broken.setattr(server, "download", cut)
        with pytest.raises(MachineError):
            exported.do("export", ExportOptions())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    exported.make_bundle(folder.name)
    exported.do("export", ExportOptions())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_all_nanos_get_the_model_at_once(exported: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, first = exported.lab, exported.lab.nano(None)
    others = {name: FakeMachine(name, first.root.parent / name) for name in ("nano2", "nano3")}
    settings = tuple(replace(lab.nano_settings, name=name) for name in ("nano1", *others))
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=settings))
    monkeypatch.setattr(lab, "nano", lambda name: others.get(name, first))
    together = threading.Barrier(3, timeout=20)
    for machine in (first, *others.values()):
        def wait(parcel: Parcel, *rest: Any, deliver: Any = machine.upload) -> Delivery:
            together.wait()
            return deliver(parcel, *rest)

        monkeypatch.setattr(machine, "upload", wait)
    facts = exported.do("deploy", DeployOptions(("nano1", "nano2", "nano3", "nano1")))
    assert facts["nanos"] == ["nano1", "nano2", "nano3"]
    # Pushed once more to one of them, the others still have it; what was pushed last comes first.
    monkeypatch.setattr(together, "wait", lambda: None)
    assert exported.do("deploy", DeployOptions(("nano3",)))["nanos"] == ["nano3", "nano1", "nano2"]


def test_an_upload_whose_name_another_took_gets_another_name(uploaded: Room) -> None:
    """Two laptops with copies of one workspace: the second to end finds the folder filled."""
    workspace, server = uploaded.workspace, uploaded.lab.server
    model = str(uploaded.do("upload", UploadOptions())["model"])
    (server.root / "models" / model / "labels.txt").write_text("other")
    facts = uploaded.do("upload", UploadOptions())
    assert facts["model"] != model and (server.root / "models" / model / "labels.txt").read_text() == "other"
    assert workspace.done("upload") is not None


def test_inference_counts_what_it_saw(exported: Room) -> None:
    exported.do("deploy", DeployOptions())
    nano = exported.lab.nano(None)
    frame = {"type": "prediction", "frame": 1, "t": 1.0, "confidence": 0.9, "probabilities": {"cat": 0.9, "dog": 0.1}}
    nano.events["jetson_nano/classify.py"] = [
        {**frame, "class": "cat", "class_index": 0, "lit": [12]}, {**frame, "class": None, "class_index": -1, "lit": []}]
    facts = exported.do("infer", InferOptions(frames=2))
    assert (facts["frames"], facts["seen"], facts["unrecognised"]) == (2, {"cat": 1}, 1)
    params = nano.started[-1][1]
    assert (params["pins"], params["threshold"], params["engine"], params["leds"]) == ([12, 16, 18], 0.6, "tensorrt", "gpio")
    assert [event.lit for event in exported.events if isinstance(event, Prediction)] == [(12,), ()]


def test_a_model_that_is_not_on_the_nano(exported: Room) -> None:
    exported.do("deploy", DeployOptions())
    with pytest.raises(MissingPrerequisite) as caught:
        exported.do("infer", InferOptions(model="other", frames=1))
    assert caught.value.code == "infer.model_not_there"


def test_a_workspace_of_the_older_program_goes_straight_to_step_4(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for name in ("b", "a"):
            (tmp_path / "old" / part / name).mkdir(parents=True)
            (tmp_path / "old" / part / name / "1.jpg").write_bytes(JPEG)
    (tmp_path / "old" / "labels.txt").write_text("b\na\n")
    lanes = Lanes()
    lab = FakeLab(tmp_path)
    workflow = Workflow(Workspace.open(tmp_path / "old"), lab, steps(), lanes)
    statuses = {one.step: one.status for one in workflow.status()}
    assert [statuses[one] for one in ("split", "upload", "train")] == [Status.DONE, Status.READY, Status.BLOCKED]
    model = workflow.start("upload", UploadOptions(), ignore).result(20).facts["model"]
    assert (lab.server.root / "models" / model / "labels.txt").read_bytes() == b"b\na"
    assert Workspace.open(tmp_path / "old").classes == ["b", "a"]
    lanes.close()
