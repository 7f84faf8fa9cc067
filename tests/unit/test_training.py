"""Step 5 with doubles: a best model so far while it runs, and what export, deploy and the next training make of it."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from room import Room

from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, ContactLost, MachineError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Best, Log
from ai_nano.core.ports import JobEnd
from ai_nano.core.project import ident, trained
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.running import Running, Status
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.infer import InferOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import STOP, TrainOptions
from ai_nano.steps.upload import UploadOptions

TRAIN, EXPORT = "gpu_server/train.py", "gpu_server/export.py"
FIRST, SECOND = "1" * 64, "2" * 64


def best(stage: str, checkpoint: str) -> dict[str, Any]:
    return {"type": "best", "stage": stage, "epoch": 3, "val_accuracy": 0.979, "val_loss": 0.1, "test_accuracy": None,
            "seconds": 4.5, "checkpoint_sha256": checkpoint}


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def training(room: Room, options: TrainOptions | None = None, *bests: dict[str, Any]) -> Iterator[Running]:
    """A training that goes on until the block ends, or until it is told to stop."""
    server = room.lab.server
    held = server.hold = threading.Event()
    server.events[TRAIN] = server.events["attached"] = list(bests)
    heard = len(bests) + sum(isinstance(event, Best) for event in room.events)
    running = room.workflow.start("train", options or TrainOptions("fine"), room.events.append)
    wait_for(lambda: len(server.started) and sum(isinstance(event, Best) for event in room.events) == heard)
    try:
        yield running
    finally:
        held.set()
        with_end = running.future.exception(20)
        server.hold = None
        assert with_end is None or isinstance(with_end, AiNanoError)


def export(room: Room, checkpoint: str, onnx: bytes = b"onnx") -> dict[str, Any]:
    """What the server's export does while nothing else holds it up."""
    server = room.lab.server
    server.hold = None
    model = trained.newest(room.workspace)
    assert model is not None
    room.make_bundle(model.model, onnx)
    server.ends[EXPORT] = JobEnd("done", {"model": model.model, "checkpoint_sha256": checkpoint})
    return room.do("export", ExportOptions())


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "code"), [
    (TrainOptions("slow"), "train.recipe"), (TrainOptions(arch="vgg"), "train.arch"), (TrainOptions(epochs=0), "train.epochs"),
    (TrainOptions(epochs=10 ** 9), "train.epochs"), (TrainOptions("classic", lr=0.0), "train.lr"),
    (TrainOptions("classic", lr=float("nan")), "train.lr"), (TrainOptions("classic", lr=float("inf")), "train.lr"),
    (TrainOptions("classic", batch=0), "train.batch"), (TrainOptions("fine", minutes=-1.0), "train.minutes"),
    (TrainOptions("fine", minutes=float("inf")), "train.minutes"), (TrainOptions(seed=-1), "train.seed"),
])
def test_options_that_make_no_sense(uploaded: Room, options: TrainOptions, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        uploaded.workflow.start("train", options, uploaded.events.append)
    assert (caught.value.code, caught.value.exit_code) == (code, 2) and "{" not in str(caught.value)


@pytest.mark.parametrize(("options", "arch"), [
    (TrainOptions(), "efficientnet_lite0"), (TrainOptions("classic"), "resnet18"),
    (TrainOptions("fine", "mobilenet_v2"), "mobilenet_v2"),
])
def test_the_network_is_the_recipes_where_none_is_chosen(uploaded: Room, options: TrainOptions, arch: str) -> None:
    uploaded.do("train", options)
    params = dict(uploaded.lab.server.started[-1][1])
    assert params.pop("workspaces") == list(ident.all_of(uploaded.workspace))
    assert params == {"model": "ada-lab-w-001", "recipe": options.recipe, "arch": arch, "epochs": None, "seed": 0, "lr": None,
                      "batch": None, "minutes": None, "weights": None}


def test_a_setting_that_the_recipe_has_not_is_named(uploaded: Room) -> None:
    uploaded.do("train", TrainOptions("classic", lr=1e6, minutes=2.0))
    warnings = [event for event in uploaded.events if isinstance(event, Log) and event.code == "train.unused"]
    assert [event.params["settings"] for event in warnings] == [["minutes"]]
    assert uploaded.lab.server.started[-1][1]["lr"] == 1e6


# ---- the best so far -------------------------------------------------------------------------------------------------


def test_a_best_model_is_exported_and_deployed_while_the_training_goes_on(uploaded: Room) -> None:
    workspace = uploaded.workspace
    assert uploaded.statuses()["export"] is Status.BLOCKED
    with training(uploaded, None, best("quick", FIRST)):
        assert uploaded.statuses()["train"] is Status.RUNNING and uploaded.statuses()["export"] is Status.READY
        export(uploaded, FIRST)
        assert uploaded.statuses()["export"] is Status.DONE
        uploaded.do("deploy", DeployOptions())
        uploaded.do("infer", InferOptions(frames=1))
        there = uploaded.statuses()
        assert [there[step] for step in ("train", "deploy", "infer")] == [Status.RUNNING, Status.DONE, Status.DONE]
    # It ended with a better one, in the same folder.
    train = workspace.done("train")
    assert train is not None and trained.best_of(workspace.attempts.get("train")) is None


def test_a_better_model_makes_the_export_stale_and_then_what_was_deployed(uploaded: Room) -> None:
    uploaded.lab.server.ends[TRAIN] = ContactLost("job.lost", machine="DL", run="run-1")
    with training(uploaded, None, best("quick", FIRST)):
        export(uploaded, FIRST)
        uploaded.do("deploy", DeployOptions())
    assert [uploaded.statuses()[step] for step in ("train", "export")] == [Status.LOST, Status.DONE]
    uploaded.lab.server.running = [{"id": "run-1", "state": "running"}]
    with training(uploaded, TrainOptions("fine"), best("quick", FIRST), best("blocks", SECOND)):
        status = uploaded.workflow.step_status("export")
        assert (status.status, status.code) == (Status.STALE, "status.export.better")
        assert uploaded.statuses()["deploy"] is Status.DONE
        export(uploaded, SECOND, b"a better one")
        assert uploaded.workflow.step_status("export").status is Status.DONE
        assert uploaded.workflow.step_status("deploy").code == "status.deploy.better"


def test_an_export_says_itself_which_checkpoint_it_read(uploaded: Room) -> None:
    """Between the click and the export's start the training went on."""
    with training(uploaded, None, best("quick", FIRST)):
        export(uploaded, SECOND)
        assert uploaded.workflow.step_status("export").code == "status.export.better"


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_the_best_model_of_a_training_that_did_not_end_well_is_kept(uploaded: Room, how: str) -> None:
    server = uploaded.lab.server
    server.ends[TRAIN] = JobEnd("failed", exit={"code": None, "signal": 9})
    with training(uploaded, None, best("quick", FIRST)) as running:
        if how == "cancelled":
            running.cancel()
            assert isinstance(running.future.exception(20), Cancelled)
    del server.ends[TRAIN]
    there = uploaded.statuses()
    assert there["train"] is (Status.CANCELLED if how == "cancelled" else Status.FAILED)
    assert there["export"] is Status.READY
    export(uploaded, FIRST)
    # Another laptop's window, or this one's after a restart, sees the same.
    again = trained.newest(Workspace.open(uploaded.workspace.path))
    assert again is not None and (again.checkpoint, again.so_far) == (FIRST, True)
    # What was killed goes on where it was; what was cancelled has been kept, and stays as it is.
    assert uploaded.do("train", TrainOptions("fine"))["model"] == ("ada-lab-w-001" if how == "killed" else "ada-lab-w-002")


def test_a_killed_training_that_is_asked_for_otherwise_leaves_its_best_model_alone(uploaded: Room) -> None:
    uploaded.lab.server.ends[TRAIN] = JobEnd("failed", exit=None, why="rebooted")
    with training(uploaded, TrainOptions("fine"), best("quick", FIRST)):
        pass
    del uploaded.lab.server.ends[TRAIN]
    assert uploaded.do("train", TrainOptions("classic"))["model"] == "ada-lab-w-002"


def test_a_killed_training_without_a_best_model_goes_on_in_its_folder(uploaded: Room) -> None:
    uploaded.lab.server.ends[TRAIN] = JobEnd("failed", exit=None, why="vanished")
    with training(uploaded, TrainOptions("classic")):
        pass
    del uploaded.lab.server.ends[TRAIN]
    assert uploaded.statuses()["export"] is Status.BLOCKED
    assert uploaded.do("train", TrainOptions("quick"))["model"] == "ada-lab-w-001"


@pytest.mark.parametrize("changed", [False, True], ids=["the same images", "other images"])
def test_a_cleaned_server_gives_no_number_again(exported: Room, changed: bool) -> None:
    """What the laptop has of its earlier models stays as it is."""
    assert exported.do("train", TrainOptions())["model"] == "ada-lab-w-002"
    shutil.rmtree(exported.lab.server.root / "models")
    if changed:
        exported.add_images("cat", 5, "more")
        exported.do("split", SplitOptions())
    used = {exported.do("upload", UploadOptions())["model"]} - {"ada-lab-w-001"}  # the same data may lie there again
    used |= {exported.do("train", TrainOptions(seed=seed))["model"] for seed in (1, 2)}
    assert used == {"ada-lab-w-003", "ada-lab-w-004"}


@pytest.mark.parametrize("code", ["model.missing", "store.missing", "store.others"])
def test_images_that_were_removed_there_are_uploaded_again(uploaded: Room, code: str) -> None:
    server = uploaded.lab.server
    if code == "store.missing":
        uploaded.do("train", TrainOptions())
        server.store = lambda *words: (_ for _ in ()).throw(WorkFailed(code, machine="DL", model=words[1]))
    else:
        server.ends[TRAIN] = JobEnd("failed", error=(code, {"model": "ada-lab-w-001", "student": "bob"}), exit={"code": 1})
    with pytest.raises(AiNanoError) as first:
        uploaded.do("train", TrainOptions())
    with pytest.raises(AiNanoError) as again:
        uploaded.do("train", TrainOptions())
    assert first.value.code == ("store.others" if code == "store.others" else "train.data_gone")
    assert (again.value.code, again.value.exit_code) == ("train.data_gone", 4) and "(step 4)" in again.value.hint
    assert uploaded.workflow.step_status("upload").code == "status.upload.gone"
    assert uploaded.statuses()["upload"] is Status.STALE
    uploaded.do("upload", UploadOptions())
    assert uploaded.statuses()["upload"] is Status.DONE
    server.ends.clear()
    vars(server).pop("store", None)
    uploaded.do("train", TrainOptions())
    assert uploaded.statuses()["train"] is Status.DONE


def test_a_copy_that_went_with_what_it_was_made_of(uploaded: Room) -> None:
    server = uploaded.lab.server
    uploaded.do("train", TrainOptions())
    server.ends[TRAIN] = JobEnd("failed", exit=None, why="rebooted")
    with pytest.raises(WorkFailed):
        uploaded.do("train", TrainOptions())
    shutil.rmtree(server.root / "models")
    server.ends[TRAIN] = JobEnd("failed", error=("model.missing", {"model": "ada-lab-w-002", "folder": "x"}), exit={"code": 1})
    with pytest.raises(MissingPrerequisite) as refused:
        uploaded.do("train", TrainOptions())
    assert refused.value.code == "train.data_gone"


def test_a_number_is_used_also_where_only_its_folder_is_left(uploaded: Room) -> None:
    uploaded.workspace.model_folder("ada-lab-w-001").mkdir(parents=True)
    uploaded.workspace.model_folder("ada-lab-w-041").mkdir()
    uploaded.workspace.model_folder("ada-lab-w-b-077").mkdir()
    assert uploaded.do("train", TrainOptions())["model"] == "ada-lab-w-042"


def test_what_was_killed_keeps_its_best_until_there_is_another(uploaded: Room) -> None:
    uploaded.lab.server.ends[TRAIN] = JobEnd("failed", exit=None, why="vanished")
    with training(uploaded, None, best("quick", FIRST)):
        pass
    del uploaded.lab.server.ends[TRAIN]
    with training(uploaded):
        assert uploaded.statuses()["export"] is Status.READY
        newest = trained.newest(uploaded.workspace)
        assert newest is not None and newest.checkpoint == FIRST


def test_an_event_without_its_hash_is_passed_over(uploaded: Room) -> None:
    uploaded.lab.server.events[TRAIN] = [{**best("quick", FIRST), "checkpoint_sha256": None}]
    uploaded.do("train", TrainOptions())
    assert not [event for event in uploaded.events if isinstance(event, Best)]


# ---- the report comes along ------------------------------------------------------------------------------------------


def test_the_report_is_in_the_workspace_before_the_training_ends(uploaded: Room) -> None:
    uploaded.make_report("ada-lab-w-001")
    file = uploaded.workspace.model_folder("ada-lab-w-001") / "report.json"
    with training(uploaded, None, best("quick", FIRST)):
        wait_for(file.is_file)
    assert sorted(path.name for path in file.parent.parent.iterdir()) == ["ada-lab-w-001"]
    assert not [event for event in uploaded.events if isinstance(event, Log) and event.code == "train.no_report"]


def test_a_report_that_does_not_come_is_a_warning(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise MachineError("machine.lost", machine="DL")

    monkeypatch.setattr(uploaded.lab.server, "download", away)
    assert uploaded.do("train", TrainOptions())["model"] == "ada-lab-w-001"
    told = [event for event in uploaded.events if isinstance(event, Log) and event.code == "train.no_report"]
    assert [event.level for event in told] == ["warning"]


def test_half_a_report_takes_no_ones_place(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded.make_report("ada-lab-w-001")
    uploaded.do("train", TrainOptions())
    file = uploaded.workspace.model_folder("ada-lab-w-001") / "report.json"
    before = file.read_bytes()
    monkeypatch.setattr(uploaded.lab.server, "download", lambda _source, target, _cancel: Path(target).write_text("{"))
    uploaded.workspace.attempts.clear()
    uploaded.workspace.receipts.pop("train")
    uploaded.do("train", TrainOptions())
    assert file.read_bytes() == before


def test_a_report_that_takes_long_holds_nothing_up(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events after a best model come while its report is still on its way; cancelling does not wait for it."""
    under_way = threading.Event()

    def slow(_source: object, _target: object, cancel: Any) -> None:
        under_way.set()
        cancel.wait(20)
        cancel.check()

    monkeypatch.setattr(uploaded.lab.server, "download", slow)
    with training(uploaded, None, best("quick", FIRST), best("blocks", SECOND)) as running:
        assert under_way.wait(20)
        began = time.monotonic()
        running.cancel()
        assert isinstance(running.future.exception(20), Cancelled) and time.monotonic() - began < 4


# ---- stop and keep the best ------------------------------------------------------------------------------------------


def test_stop_keeps_the_best(uploaded: Room) -> None:
    uploaded.lab.server.ends[TRAIN] = JobEnd("done", {"model": "m", "checkpoint_sha256": FIRST, "stage": "quick"})
    with training(uploaded, None, best("quick", FIRST)) as running:
        running.send(STOP)
        facts = running.result(20).facts
    assert (facts["stopped"], facts["checkpoint_sha256"], facts["stage"]) == (True, FIRST, "quick")
    assert uploaded.statuses()["train"] is Status.DONE and uploaded.lab.server.commands == [STOP]


# ---- an earlier model ------------------------------------------------------------------------------------------------


def test_an_earlier_model_is_deployed_again(exported: Room) -> None:
    first = str(exported.workspace.receipts["export"].facts["model"])
    second = exported.do("train", TrainOptions(seed=1))["model"]
    exported.make_bundle(second, b"another")
    exported.do("export", ExportOptions())
    exported.do("deploy", DeployOptions())
    assert exported.do("deploy", DeployOptions(model=first))["model"] == first
    assert exported.do("infer", InferOptions(frames=1))["model"] == first
    assert exported.statuses()["deploy"] is Status.DONE
    # What was preferred to it is not preferred to what comes after it.
    third = exported.do("train", TrainOptions(seed=2))["model"]
    exported.make_bundle(third, b"a third")
    exported.do("export", ExportOptions())
    assert exported.workflow.step_status("deploy").code == "status.deploy.stale"


@pytest.mark.parametrize("model", ["nobody", "../ada-lab-w-001", ".fetched", ""])
def test_a_model_that_the_workspace_has_not_is_not_deployed(exported: Room, model: str) -> None:
    with pytest.raises(MissingPrerequisite) as caught:
        exported.workflow.start("deploy", DeployOptions(model=model), exported.events.append)
    assert caught.value.code == "deploy.no_model"
