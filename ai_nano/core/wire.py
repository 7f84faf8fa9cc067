"""The laptop's reading of what programs on other machines say (doc/design/wire.md)."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, WorkFailed
from ai_nano.core.events import WIRE_VERSION, Event, Listener, Log, Metric, Prediction, Progress, State
from ai_nano.core.ports import JobEnd, RemoteJob


def check_version(line: Mapping[str, Any], machine: str) -> None:
    if line.get("v") != WIRE_VERSION:
        raise WorkFailed("wire.version", machine=machine, version=line.get("v"), ours=WIRE_VERSION)


def to_event(raw: Mapping[str, Any], step: str, machine: str) -> Event | None:
    """A program's event as ours; None for kinds that are not for a listener (result, error, a newer peer's)."""
    check_version(raw, machine)
    match raw.get("type"):
        case "progress":
            return Progress(step, raw["done"], raw["total"] or 0, raw["unit"], raw.get("eta_s"), raw.get("what", ""))
        case "log":
            return Log(raw["code"], raw.get("params", {}), raw.get("level", "info"), machine)
        case "metric":
            keys = ("epoch", "epochs", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "images_per_s")
            return Metric(**{key: raw.get(key) for key in keys})  # type: ignore[arg-type]
        case "prediction":
            return Prediction(machine, raw["frame"], raw["t"], raw["class"], raw["class_index"], raw["confidence"],
                              raw["probabilities"], tuple(raw["lit"]))
        case _:
            return None


# Which step a program is the work of; what another version started may be none of these.
STEPS = {"gpu_server/train.py": "train", "gpu_server/export.py": "export", "jetson_nano/classify.py": "infer"}


def step_of(run: Mapping[str, Any]) -> str:
    """The step that a run of `list` belongs to; of an unknown program, its name."""
    return STEPS.get(str(run["program"]), str(run["program"]))


def follow(job: RemoteJob, step: str, machine: str, emit: Listener, cancel: CancelToken,
           watch: Callable[[Event], None] | None = None) -> Mapping[str, Any]:
    """Follow a job to its end and return its result. Raises Cancelled, or WorkFailed with the program's own error and
    last lines; ContactLost comes through from the job. Whether the machine is out of reach is told as the step's State."""
    told = ""

    def on_event(raw: Mapping[str, Any]) -> None:
        event = to_event(raw, step, machine)
        if event is not None:
            emit(event)
            if watch is not None:
                watch(event)

    def on_log(text: str) -> None:
        for line in text.splitlines():
            emit(Log("", level="output", machine=machine, raw=line))

    def on_contact(there: bool) -> None:
        nonlocal told
        code = "status.contact_back" if there else "status.contact_lost"
        if cancel.cancelled and not there:
            code = "status.contact_lost.cancelling"
        if code != told:
            told = code
            emit(State(step, "running" if there else "lost", code, {"machine": machine}))

    end = job.follow(on_event, on_log, cancel, on_contact)
    if end.state == "cancelled":
        raise Cancelled()
    if end.state != "done":
        raise job_error(end, step, machine, job.id)
    return end.result


def job_error(end: JobEnd, step: str, machine: str, run: str) -> AiNanoError:
    """The error of a job that failed: what the program said, or how it died."""
    if end.error is not None:
        code, params = end.error
        return WorkFailed(code, details=end.last_lines, **{"machine": machine, **params})
    signal = (end.exit or {}).get("signal")
    if end.why == "rebooted":
        return WorkFailed("job.rebooted", details=end.last_lines, step=step, machine=machine, run=run)
    if end.exit is None:
        return WorkFailed("job.vanished", details=end.last_lines, step=step, machine=machine, run=run)
    if signal is not None:
        return WorkFailed("job.killed", details=end.last_lines, step=step, machine=machine, signal=signal)
    return WorkFailed("job.failed", details=end.last_lines, step=step, machine=machine, exit=end.exit.get("code"))
