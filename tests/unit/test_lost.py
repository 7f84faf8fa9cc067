"""A step whose machine is out of reach is LOST for as long as it is, and says what it is about to do."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeMachine
from room import Room

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MachineError
from ai_nano.core.events import State
from ai_nano.core.ports import Delivery, JobEnd, Parcel, Sent
from ai_nano.core.running import Status
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions


class ShakyJob:
    """Follows as it is told to: each turn is contact (True), none (False), or the end (None)."""

    id = "run-1"

    def __init__(self) -> None:
        self.turns: list[bool | None] = []
        self.next = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None], cancel: CancelToken,
               on_contact: Callable[[bool], None] | None = None) -> JobEnd:
        assert on_contact is not None
        while True:
            assert self.next.acquire(timeout=20)
            turn = self.turns.pop(0)
            if turn is None:
                return JobEnd("cancelled" if cancel.cancelled else "done", {"model": "m"})
            on_contact(turn)
            self.taken.release()

    def send(self, command: Mapping[str, Any]) -> None:
        """No command is sent to it."""

    def turn(self, turn: bool | None) -> None:
        self.turns.append(turn)
        self.next.release()
        assert turn is None or self.taken.acquire(timeout=20)


def test_an_upload_waits_for_its_machine(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver, seen = uploaded.lab.server.upload, list[tuple[Status, str]]()

    def upload(parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        for there in (False, True):
            parcel.on_contact(there)
            found = uploaded.workflow.step_status("upload")
            seen.append((found.status, found.code))
        return deliver(parcel, progress, cancel)

    monkeypatch.setattr(uploaded.lab.server, "upload", upload)
    uploaded.do("upload", UploadOptions())
    assert seen == [(Status.LOST, "status.contact_lost.sending"), (Status.RUNNING, "status.running")]
    told = [event.why for event in uploaded.events if isinstance(event, State)]
    assert any("It goes on by itself" in why for why in told) and "contact with DL is back" in told


def test_of_two_nanos_the_one_that_is_waited_for_is_named(exported: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is given up, as on a terminal after a while."""
    lab, first = exported.lab, exported.lab.nano(None)
    second = FakeMachine("nano2", first.root.parent / "nano2")
    settings = tuple(replace(lab.nano_settings, name=name) for name in ("nano1", "nano2"))
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=settings))
    monkeypatch.setattr(lab, "nano", lambda name: second if name == "nano2" else first)

    def lost(parcel: Parcel, *_: object) -> Delivery:
        parcel.on_contact(False)
        raise MachineError("machine.lost", machine="nano2")

    monkeypatch.setattr(second, "upload", lost)
    with pytest.raises(MachineError):
        exported.do("deploy", DeployOptions(("nano1", "nano2")))
    told = [(event.status, event.code, event.params.get("machine")) for event in exported.events
            if isinstance(event, State) and event.step == "deploy" and event.params]
    assert told == [("lost", "status.contact_lost.sending", ("nano2",)), ("running", "status.given_up", "nano2")]


def test_lost_and_back_and_cancelled(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ShakyJob()
    monkeypatch.setattr(uploaded.lab.server, "start", lambda *words, **more: job)
    running = uploaded.workflow.start("train", TrainOptions(), uploaded.events.append)

    def status() -> tuple[Status, str]:
        found = uploaded.workflow.step_status("train")
        return found.status, found.code

    assert status() == (Status.RUNNING, "status.running")
    for _ in range(3):
        job.turn(False)
    assert status() == (Status.LOST, "status.contact_lost")
    assert "Trying again" in uploaded.workflow.step_status("train").event().why
    job.turn(True)
    assert status() == (Status.RUNNING, "status.running")
    job.turn(False)
    running.cancel()
    job.turn(False)
    assert status() == (Status.LOST, "status.contact_lost.cancelling")
    job.turn(True)
    job.turn(None)
    with pytest.raises(Cancelled):
        running.result(20)
    assert uploaded.statuses()["train"] is Status.CANCELLED
    told = [event.code for event in uploaded.events if isinstance(event, State) and event.step == "train"]
    assert told == ["status.running", "status.contact_lost", "status.contact_back", "status.contact_lost",
                    "status.contact_lost.cancelling", "status.contact_back"]
