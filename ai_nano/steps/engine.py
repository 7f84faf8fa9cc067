"""Step 7 on a Nano with TensorRT: its engine is built where it will run, or proved to fit, before anybody waits for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ai_nano.core import answers, wire
from ai_nano.core.answers import optional
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, EndedByOther, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Building, Event, Listener, Progress
from ai_nano.core.ports import Machine, RemoteJob

PROGRAM = "jetson_nano/build_engine.py"
LABEL = "deploy"


@dataclass(frozen=True)
class Engine:
    """`reused`: it was there and fitted, and loading it took `seconds`; else building it took so long. `file`: its name."""

    reused: bool
    seconds: float
    file: str | None

    def facts(self) -> dict[str, object]:
        return {"reused": self.reused, "seconds": self.seconds, "file": self.file}


def build(machine: Machine, model: str, emit: Listener, cancel: CancelToken, container: str | None = None) -> Engine:
    """The engine of a model that is on the Nano; `container` as in config.json.

    Raises WorkFailed (codes: doc/design/wire.md), ContactLost, Cancelled.
    """
    folder = str(find_model(machine, model)["path"])
    for job in _under_way(machine, folder):
        _wait_for(job, machine.name, emit, cancel)
    job = machine.start(LABEL, PROGRAM, {"model_dir": folder, **container_param(container)})
    result = wire.follow(job, LABEL, machine.name, _Estimating(emit), cancel)
    with answers.reading(machine.name):
        return Engine(bool(optional(answers.flag, result, "reused")), optional(answers.number, result, "seconds", low=0) or 0.0,
                      optional(answers.text, result, "engine"))


def container_param(container: str | None) -> dict[str, str]:
    """What a program that needs jetson-inference is told of its Docker image."""
    return {"container": container} if container else {}


def find_model(machine: Machine, model: str) -> Mapping[str, Any]:
    """What a Nano tells of one of its models (core/wire.py, to_models). MissingPrerequisite when it is not there."""
    there = wire.to_models(machine.store("models"), machine.name)
    found = next((one for one in there if one["model"] == model), None)
    if found is None:
        raise MissingPrerequisite("infer.model_not_there", model=model, machine=machine.name,
                                  known=[one["model"] for one in there])
    return found


def _under_way(machine: Machine, folder: str) -> list[RemoteJob]:
    """Builders of this very model, which an earlier start left to themselves: its laptop was switched off or lost."""
    return [machine.attach(str(run["id"])) for run in machine.jobs()
            if run.get("program") == PROGRAM and run["state"] == "running"
            and run["params"].get("model_dir") == answers.shown(folder)]


def _wait_for(job: RemoteJob, name: str, emit: Listener, cancel: CancelToken) -> None:
    """A second builder beside it would take the memory that neither has to spare. What came of it, the next one finds."""
    try:
        wire.follow(job, LABEL, name, _Estimating(emit), cancel)
    except WorkFailed:
        pass
    except (Cancelled, EndedByOther):
        cancel.check()  # somebody else may have ended it


class _Estimating:
    """`building` has no estimate of its own: it is in the progress that is told just before."""

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._estimate_s: float | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._estimate_s = event.total or None
        elif isinstance(event, Building):
            event = replace(event, estimate_s=self._estimate_s)
        self._emit(event)
