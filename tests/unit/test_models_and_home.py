"""The models of a project listed and compared, a training stopped from a terminal, a project taken home by command."""

import argparse
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from room import JPEG, Room
from test_cli import Terminal

from ai_nano.cli.console import JsonConsole, TextConsole
from ai_nano.cli.jobs import jobs
from ai_nano.core.errors import MissingPrerequisite
from ai_nano.core.events import Best
from ai_nano.core.ports import JobEnd
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.report import model_runs
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.train import STOP


def put_report(workspace: Workspace, model: str, created: str | None, **more: Any) -> Path:
    folder = workspace.model_folder(model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({
        "v": 1, "model": model, "recipe": "fine", "arch": "resnet18", "classes": ["cat", "dog"], "created": created,
        "images": {"train": 8, "val": 1, "test": 1}, "seconds": {"total": 75.0}, "history": [], "val_accuracy": 1.0,
        "test_accuracy": 0.958, "interval": [0.86, 0.99], "confusion": [[1, 0], [0, 1]], "per_class": {}, "samples": [],
        **more}))
    return folder


# ---- the list --------------------------------------------------------------------------------------------------------


def test_models_are_listed_newest_first_with_where_they_are(exported: Room) -> None:
    workspace, first = exported.workspace, str(exported.workspace.receipts["export"].facts["model"])
    exported.do("deploy", DeployOptions())
    put_report(workspace, "young", "2999-01-01T00:00:00Z")
    put_report(workspace, "old", "2001-01-01T00:00:00Z", settings={"seed": 3})
    found = model_runs.runs(workspace)
    assert [run.model for run in found] == ["young", first, "old"]
    assert [(run.exported, run.nanos) for run in found] == [(False, ()), (True, ("nano1",)), (False, ())]
    told = found[-1].to_json()
    assert (told["seed"], told["interval"], told["seconds"], told["test_accuracy"]) == (3, (0.86, 0.99), 75.0, 0.958)
    assert json.loads(json.dumps(told))["model"] == "old"


@pytest.mark.parametrize("content", ["{", "[]", '{"v": 1}', '{"model": "x", "classes": "cat"}'])
def test_a_report_that_cannot_be_read_hides_no_other(exported: Room, content: str) -> None:
    (put_report(exported.workspace, "broken", None) / "report.json").write_text(content)
    put_report(exported.workspace, ".hidden", None)
    assert len(model_runs.runs(exported.workspace)) == 1


def test_each_nano_keeps_the_model_that_it_got_last(exported: Room) -> None:
    workspace, model = exported.workspace, str(exported.workspace.receipts["export"].facts["model"])
    with workspace.writing():
        workspace.note(Receipt("deploy", "done", "x", facts={"model": "another", "nanos": ["nano2"],
                                                              "where": {"nano1": "another", "nano2": "another"}}))
    facts = exported.do("deploy", DeployOptions(("nano1",)))
    assert facts["where"] == {"nano1": model, "nano2": "another"}


def test_the_best_so_far_of_a_training_is_marked(exported: Room) -> None:
    workspace = exported.workspace
    put_report(workspace, "going-on", "2999-01-01T00:00:00Z")
    with workspace.writing():
        workspace.note(Receipt("train", "lost", "x", facts={"model": "going-on", "run": "r", "best": {
            "model": "going-on", "checkpoint_sha256": "1" * 64}}))
    assert [run.so_far for run in model_runs.runs(workspace)] == [True, False]


# ---- stopping from a terminal ----------------------------------------------------------------------------------------


def stop(room: Room, run: str, capsys: pytest.CaptureFixture[str]) -> Mapping[str, Any]:
    jobs(argparse.Namespace(cancel=None, follow=None, stop=run), room.lab, JsonConsole())  # type: ignore[arg-type]
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


def test_a_training_is_stopped_by_its_name(uploaded: Room, capsys: pytest.CaptureFixture[str]) -> None:
    server = uploaded.lab.server
    server.running = [{"id": "run-7", "program": "gpu_server/train.py", "state": "running", "waiting": False}]
    server.hold, server.ends["attached"] = threading.Event(), JobEnd("done", {"model": "m"})
    told = stop(uploaded, "run-7", capsys)
    assert told["ok"] and told["stopped"] == "run-7" and told["result"]["stopped"] is True
    assert server.commands == [STOP]


@pytest.mark.parametrize(("program", "state"), [("gpu_server/train.py", "done"), ("gpu_server/export.py", "running")])
def test_what_keeps_no_best_model_is_not_stopped(
        uploaded: Room, capsys: pytest.CaptureFixture[str], program: str, state: str) -> None:
    uploaded.lab.server.running = [{"id": "run-7", "program": program, "state": state, "waiting": False}]
    with pytest.raises(MissingPrerequisite) as caught:
        stop(uploaded, "run-7", capsys)
    assert caught.value.code == "jobs.no_stop" and uploaded.lab.server.commands == []


def test_the_best_so_far_is_a_sentence_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    event = Best("quick", 3, 0.979, 0.1, None, 4.5, "1" * 64, "DL")
    console = TextConsole(quiet=False)
    console.emit(event)
    console.close()
    assert "best so far: quick, 97.9 % on val, – on test" in capsys.readouterr().out
    JsonConsole().emit(event)
    assert json.loads(capsys.readouterr().out) == {
        "v": 1, "type": "best", "stage": "quick", "epoch": 3, "val_accuracy": 0.979, "val_loss": 0.1, "test_accuracy": None,
        "seconds": 4.5, "checkpoint_sha256": "1" * 64}


# ---- by command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal(tmp_path)
    workspace = Workspace.create(tmp_path / "w", ["cat", "dog"])
    (workspace.image_folder("cat") / "1.jpg").write_bytes(JPEG)
    put_report(workspace, "m-001", "2026-11-21T10:00:00Z")
    return made


def test_home_and_back_by_command(terminal: Terminal) -> None:
    [run] = terminal.json("runs", "w")["runs"]
    assert run["model"] == "m-001" and "95.8 % (86 % – 99 %)" in terminal.run("runs", "w").stdout
    saved = terminal.json("save", "w", "home")
    assert saved["file"].endswith("home.zip") and (saved["images"], saved["models"]) == (1, 1)
    # Not over a file that is there, unless somebody says so.
    assert terminal.json("save", "w", "home.zip", code=2)["error"]["code"] == "cli.nobody_confirms"
    assert terminal.json("--yes", "save", "w", "home.zip")["ok"]
    # By what is in it, and not by its name.
    (terminal.folder / "home.zip").rename(terminal.folder / "home.ainano")
    opened = terminal.json("open", "home.ainano", "there/new")
    assert (opened["classes"], opened["images"], opened["models"]) == (["cat", "dog"], 1, ["m-001"])
    assert (terminal.folder / "there" / "new" / "models" / "m-001" / "report.html").is_file()
    assert terminal.error("open", "home.ainano", "there/new", code=2) == "project_pack.exists"
    assert terminal.json("open", "home.ainano")["workspace"].endswith("/w-2")
    assert terminal.json("runs", "there/new")["runs"] == [run]


@pytest.mark.parametrize(("words", "code", "error"), [
    (("open", "nothing.zip"), 2, "project_pack.missing"), (("open", "w/images/cat/1.jpg"), 2, "room_pack.not_a_pack"),
    (("open", "w/images/cat/1.jpg", "folder"), 2, "room_pack.not_a_pack"), (("runs", "nowhere"), 2, "workspace.missing"),
    (("save", "w", "no/folder/home.zip"), 2, "project_pack.no_folder"),
    (("deploy", "w", "--model", "other"), 4, "deploy.no_model"), (("train", "w", "--recipe", "slow"), 4, "train.no_upload"),
])
def test_what_these_commands_refuse(terminal: Terminal, words: tuple[str, ...], code: int, error: str) -> None:
    assert terminal.error(*words, code=code) == error
