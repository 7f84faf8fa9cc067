"""A step that was started: its end, its status, and what it is told meanwhile."""

import enum
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ai_nano.core.cancel import CancelToken
from ai_nano.core.commands import Commands
from ai_nano.core.events import Event, Listener, State
from ai_nano.core.project.workspace import Receipt
from ai_nano.core.room.training_queue import Queued
from ai_nano.core.room.turns import Turn


class Status(enum.Enum):
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    STALE = "stale"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True)
class StepStatus:
    """A step's status and why, as a code of the catalogue."""

    step: str
    status: Status
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def event(self) -> State:
        return State(self.step, self.status.value, self.code, self.params)


class Running:
    """A started step: wait for it, cancel it, or tell it something while it runs."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.cancel_token = CancelToken()
        self.commands = Commands()
        self.future: Future[Receipt] = Future()
        # While its machine is out of reach: what to say of it.
        self.lost: StepStatus | None = None
        self._waits = False

    @property
    def status(self) -> StepStatus:
        return self.lost or StepStatus(self.step, Status.RUNNING, "status.waiting" if self._waits else "status.running")

    def heard_by(self, listener: Listener) -> Listener:
        """The listener, with an ear for what the step says of its own status."""
        def told(event: Event) -> None:
            if isinstance(event, State) and event.step == self.step:
                lost = event.status == Status.LOST.value
                self.lost = StepStatus(self.step, Status.LOST, event.code, event.params) if lost else None
            if isinstance(event, Queued | Turn) and event.step == self.step:
                self._waits = event.state == "waiting"
            listener(event)

        return told

    def cancel(self) -> None:
        self.cancel_token.cancel()

    def detach(self) -> None:
        """Stop following; what runs on another machine goes on, and the step can be taken up again. Detached is raised."""
        self.cancel_token.detach()

    def send(self, command: Mapping[str, Any]) -> None:
        """A command of doc/design/wire.md for the program of a live step, for example a new threshold; never waits."""
        self.commands.send(command)

    def result(self, timeout: float | None = None) -> Receipt:
        """The receipt; raises what the step raised."""
        return self.future.result(timeout)
