"""A step whose machine is out of reach is LOST for as long as it is, and says what it is about to do."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from room import Room

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled
from ai_nano.core.events import State
from ai_nano.core.ports import JobEnd
from ai_nano.core.workflow import Status
from ai_nano.steps.train import TrainOptions


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

    def turn(self, turn: bool | None) -> None:
        self.turns.append(turn)
        self.next.release()
        assert turn is None or self.taken.acquire(timeout=20)


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
