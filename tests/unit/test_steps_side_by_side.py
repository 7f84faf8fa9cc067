"""Which steps may run at the same time, classes that are named later, and letting go of a training."""

import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeJob
from room import Room

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, Detached, MissingPrerequisite
from ai_nano.core.events import ignore
from ai_nano.core.files import user_path
from ai_nano.core.ports import JobEnd
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.running import Status
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions


@pytest.fixture
def held(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The training goes on until the event is set, or until it is let go."""
    end = threading.Event()

    def follow(self: FakeJob, on_event: Any, on_log: Any, cancel: CancelToken, on_contact: Any = None) -> JobEnd:
        while not end.wait(0.01):
            cancel.check()
            if cancel.detached:
                raise Detached()
        return JobEnd("done", {"model": "m"})

    monkeypatch.setattr(FakeJob, "follow", follow)
    return end


def test_a_step_does_not_start_twice(uploaded: Room, held: threading.Event) -> None:
    running = uploaded.workflow.start("train", TrainOptions(), ignore)
    with pytest.raises(MissingPrerequisite) as caught:
        uploaded.workflow.start("train", TrainOptions(), ignore)
    assert caught.value.code == "step.busy"
    held.set()
    running.result(10)
    assert uploaded.workflow.running == ()


def test_a_split_waits_neither_for_nor_under_an_upload(uploaded: Room, held: threading.Event) -> None:
    """While the server trains, the student may record and split; what an upload reads must not change."""
    training = uploaded.workflow.start("train", TrainOptions(), ignore)
    uploaded.add_images("cat", 3, "more-")
    uploaded.do("split", SplitOptions())
    with pytest.raises(MissingPrerequisite):
        uploaded.workflow.start("export", ExportOptions(), ignore)
    held.set()
    training.result(10)
    assert uploaded.statuses()["train"] is Status.STALE
    uploaded.do("upload", UploadOptions())


def test_letting_go_leaves_the_training_to_be_taken_up(uploaded: Room, held: threading.Event) -> None:
    running = uploaded.workflow.start("train", TrainOptions(), ignore)
    while "train" not in uploaded.workspace.attempts:
        threading.Event().wait(0.005)
    running.detach()
    with pytest.raises(Detached):
        running.result(10)
    assert uploaded.statuses()["train"] is Status.LOST
    assert Workspace.open(uploaded.workspace.path).attempts["train"].facts["run"]


def test_classes_may_be_named_one_by_one(room: Room) -> None:
    folder = room.workspace.path.parent / "later"
    workspace = Workspace.create(folder, [])
    assert workspace.add_class("cat") == "cat"
    assert workspace.add_class("  dog ", 0) == "dog"
    for bad, code in (("CAT", "class_name.equal"), ("", "class_name.empty"), ("a/b", "class_name.path")):
        with pytest.raises(BadInput) as caught:
            workspace.add_class(bad)
        assert caught.value.code == code
    reopened = Workspace.open(folder)
    assert reopened.classes == ["dog", "cat"] and (folder / "images" / "dog").is_dir()


def test_two_windows_on_one_workspace_lose_nothing(room: Room) -> None:
    """Each takes over what the other has written, before it writes itself."""
    first, second = Workspace.open(room.workspace.path), Workspace.open(room.workspace.path)
    first.add_class("horse")
    with first.writing():
        first.note(Receipt("train", "done", "x", facts={"model": "m"}))
    second.add_class("cow")
    both = Workspace.open(room.workspace.path)
    assert both.classes == ["cat", "dog", "horse", "cow"] and both.done("train") is not None
    first.look_again()
    assert first.classes == both.classes
    with pytest.raises(BadInput):
        first.add_class("cow")


@pytest.mark.parametrize("text", ["~nosuchuser/x", "a\0b"])
def test_a_path_that_cannot_be_one(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        user_path(text)
    assert caught.value.code == "workspace.path"


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        Workspace.open(tmp_path / ("x" * 300))
    assert caught.value.code == "workspace.unreadable"
    (tmp_path / "train" / "café").mkdir(parents=True)
    (tmp_path / "labels.txt").write_bytes("café\nthé".encode("latin-1"))
    with pytest.raises(BadInput) as caught:
        Workspace.open(tmp_path)
    assert caught.value.code == "workspace.unreadable"


def test_a_planned_class_without_a_name_keeps_recording_open(room: Room) -> None:
    room.workspace.settings["planned_classes"] = 3
    for name in room.workspace.classes:
        room.add_images(name, 5)
    statuses = {one.step: one for one in room.workflow.status()}
    assert statuses["record"].status is Status.READY and statuses["record"].params == {"named": 2, "planned": 3}
    assert statuses["split"].status is Status.BLOCKED and room.workflow.landing_step() == "record"
