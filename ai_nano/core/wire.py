"""The laptop's reading of what programs on other machines say (doc/design/wire.md)."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ai_nano.core import answers, names
from ai_nano.core.answers import optional
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, WorkFailed
from ai_nano.core.events import WIRE_VERSION, Best, Building, Event, Health, Listener, Log, Metric, Prediction, Progress, State
from ai_nano.core.ports import JobEnd, RemoteJob
from ai_nano.core.room import ended, training_queue, turns

# Why a run ended without a last word: the machine's own reasons, and those of a cluster.
WHYS = ("rebooted", "vanished", "time_limit", "out_of_memory", "node_failed", "preempted", "ended_by_cluster",
        "forgotten_by_cluster")
MOST_EPOCHS = 1_000_000
MOST_CLASSES = 1000
MOST_PINS = 40
MOST_MODELS = 10_000
LONGEST_STAGE = 40
# Of a prediction, in the order of the work; others than these are a newer peer's.
STAGES = ("capture", "preprocess", "network", "leds")
MOST_STAGES = 20
MEMORY = ("total_mb", "available_mb", "swap_total_mb", "swap_free_mb")
MOST_ZONES = 40
LONGEST_ZONE = 40
LONGEST_LOG = 64 << 10
LONGEST_LOG_LINE = 2000

log = logging.getLogger(__name__)


def check_version(line: Mapping[str, Any], machine: str) -> None:
    version = line.get("v")
    if isinstance(version, bool) or version != WIRE_VERSION:
        shown = version if isinstance(version, (int, float, type(None))) else answers.shown(str(version), 20)
        raise WorkFailed("wire.version", machine=machine, version=shown, ours=WIRE_VERSION)


def to_event(raw: Mapping[str, Any], step: str, machine: str) -> Event | None:
    """A program's event as ours; None for kinds that are not for a listener (result, error, a newer peer's).

    Raises Nonsense where it has not the shape of doc/design/wire.md.
    """
    check_version(raw, machine)
    match raw.get("type"):
        case "progress":
            return Progress(step, answers.number(raw, "done", 0), optional(answers.number, raw, "total", low=0) or 0,
                            answers.text(raw, "unit", 40), optional(answers.number, raw, "eta_s", low=0),
                            optional(answers.code, raw, "what") or "")
        case "log":
            level = optional(answers.choice, raw, "level", words=("info", "warning")) or "info"
            return Log(answers.code(raw), answers.params(raw), level, machine)
        case "metric":
            return Metric(answers.count(raw, "epoch", 0, MOST_EPOCHS), answers.count(raw, "epochs", 0, MOST_EPOCHS),
                          answers.number(raw, "train_loss"), answers.fraction(raw, "train_accuracy"),
                          optional(answers.number, raw, "val_loss"), optional(answers.fraction, raw, "val_accuracy"),
                          optional(answers.number, raw, "lr"), optional(answers.number, raw, "images_per_s", low=0),
                          optional(answers.text, raw, "stage", longest=LONGEST_STAGE) or "")
        case "best":
            return Best(answers.text(raw, "stage", LONGEST_STAGE), answers.count(raw, "epoch", 0, MOST_EPOCHS),
                        optional(answers.fraction, raw, "val_accuracy"), optional(answers.number, raw, "val_loss"),
                        optional(answers.fraction, raw, "test_accuracy"), optional(answers.number, raw, "seconds", low=0),
                        answers.text(raw, "checkpoint_sha256", 64), machine)
        case "prediction":
            return _prediction(raw, machine)
        case "health":
            return _health(raw, machine)
        case "building":
            return Building(machine, answers.number(raw, "seconds", 0), optional(answers.count, raw, "available_mb"),
                            optional(answers.count, raw, "swap_free_mb"), answers.text(raw, "line", LONGEST_LOG_LINE))
        case "turn":
            return turns.read(raw, step, machine)
        case "queue":
            return training_queue.read(raw, step, machine)
        case _:
            return None


def _prediction(raw: Mapping[str, Any], machine: str) -> Prediction:
    pins = answers.items(raw, "lit", MOST_PINS)
    given = optional(answers.mapping, raw, "ms", most=MOST_STAGES) or {}
    return Prediction(machine, answers.count(raw, "frame"), answers.number(raw, "t"),
                      optional(answers.text, raw, "class", longest=names.LONGEST_LABEL),
                      answers.count(raw, "class_index", -1, MOST_CLASSES), answers.fraction(raw, "confidence"),
                      _shares(raw, "probabilities"),
                      tuple(answers.count({"pin": pin}, "pin", 0, 1000) for pin in pins),
                      optional(_shares, raw, "smoothed"),
                      {stage: answers.number(given, stage, 0) for stage in STAGES if stage in given},
                      optional(answers.text, raw, "file"))


def _shares(raw: Mapping[str, Any], key: str) -> dict[str, float]:
    given = answers.mapping(raw, key, MOST_CLASSES)
    return {answers.shown(name, names.LONGEST_LABEL): answers.fraction(given, name) for name in given}


def _health(raw: Mapping[str, Any], machine: str) -> Health:
    zones = answers.mapping(raw, "temperatures", MOST_ZONES)
    memory = answers.mapping(raw, "memory", MOST_ZONES)
    throttled = optional(answers.texts, raw, "throttled", most=MOST_ZONES, longest=LONGEST_ZONE)
    return Health(machine, {answers.shown(zone, LONGEST_ZONE): answers.number(zones, zone, -100, 1000) for zone in zones},
                  None if throttled is None else tuple(throttled),
                  {part: answers.count(memory, part) for part in MEMORY if part in memory},
                  optional(answers.text, raw, "power_mode", longest=LONGEST_ZONE))


def to_log(message: Mapping[str, Any]) -> str:
    """The text of a `log` message, line by line fit for a terminal. Raises Nonsense."""
    text = message.get("text")
    if not isinstance(text, str) or len(text) > LONGEST_LOG:
        raise answers.Nonsense("text")
    lines = "\n".join(answers.shown(line, LONGEST_LOG_LINE) for line in text.splitlines())
    return lines + "\n" if text.endswith(("\n", "\r")) else lines


def to_end(message: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None, str | None, ended.EndedBy | None]:
    """State and exit of an `end` message, why there is no exit, and who ended it. Raises Nonsense."""
    state = answers.choice(message, "state", ("done", "failed", "cancelled"))
    how, by = to_exit(message), ended.read(message)
    return state, how, optional(answers.choice, message, "why", words=WHYS) if how is None else None, by


def to_exit(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """exit.json under `exit`. Raises Nonsense."""
    how = optional(answers.mapping, message, "exit")
    if how is None:
        return None
    numbers = {key: optional(answers.number, how, key) for key in ("v", "code", "signal", "duration_s")}
    return {**numbers, "cancelled": bool(optional(answers.flag, how, "cancelled"))}


def to_run(raw: Mapping[str, Any], now: float) -> Mapping[str, Any] | None:
    """A run of runner.py's list: id, program, student, state, why, waiting, started, age_s, params, queue; None for one that
    makes no sense.

    `now` is that machine's time. `waiting`: it runs, and its turn has not come; `queue` then tells, of a training, as the event
    does, where it stands.
    """
    try:
        if not names.is_model_name(run := answers.text(raw, "id")):
            return None
        started = optional(answers.number, raw, "started")
        return {"id": run, "program": answers.text(raw, "program"), "student": optional(answers.text, raw, "student"),
                "state": answers.code(raw, "state"), "why": optional(answers.choice, raw, "why", words=WHYS),
                "waiting": bool(optional(answers.flag, raw, "waiting")), "started": started,
                "age_s": max(0.0, now - (started or now)), "params": answers.params(raw),
                "queue": optional(_queue, raw, "queue")}
    except answers.Nonsense:
        return None


def _queue(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    told = training_queue.read(answers.mapping(raw, key), "train", "").to_json()
    return {name: value for name, value in told.items() if name not in ("v", "type", "step", "machine")}


def owner_of(raw: Mapping[str, Any]) -> dict[str, str | None]:
    """student, project and workspace of something on a machine; all None where nobody knows. Raises Nonsense."""
    owner = optional(answers.mapping, raw, "owner") or {}
    return {key: optional(answers.text, owner, key) for key in ("student", "project", "workspace")}


def to_models(answer: Mapping[str, Any], machine: str) -> list[dict[str, Any]]:
    """The models of `store.py models`: {model, path, classes, size, exported, modified, student, project, workspace}.

    Those that no command of ours could name (older programs knew no rules) are left out. MachineError for nonsense.
    """
    found = []
    with answers.reading(machine):
        for raw in answers.objects(answer, "models", MOST_MODELS):
            if names.is_model_name(model := answers.text(raw, "model", names.LONGEST_FILE_NAME)):
                classes = optional(answers.texts, raw, "classes", most=MOST_CLASSES, longest=names.LONGEST_LABEL) or []
                found.append({"model": model, **owner_of(raw), "path": answers.path(raw, "path"), "classes": classes,
                              "size": optional(answers.count, raw, "size"),
                              "exported": bool(optional(answers.flag, raw, "exported")),
                              "modified": optional(answers.number, raw, "modified")})
    return found
# Which step a program is the work of; what another version started may be none of these.
STEPS = {"gpu_server/train.py": "train", "gpu_server/export.py": "export", "jetson_nano/build_engine.py": "deploy",
         "jetson_nano/classify.py": "infer", "jetson_nano/blink.py": "blink", "jetson_nano/look.py": "record",
         "gpu_server/provision.py": "provision", "jetson_nano/provision.py": "provision"}
# Of a program that found no room even to say why it failed.
EXIT_NO_ROOM = 124


def step_of(run: Mapping[str, Any]) -> str:
    """The step that a run of `list` belongs to; of an unknown program, its name."""
    return STEPS.get(str(run["program"]), str(run["program"]))


def follow(job: RemoteJob, step: str, machine: str, emit: Listener, cancel: CancelToken,
           watch: Callable[[Event], None] | None = None, lost: str = "status.contact_lost") -> Mapping[str, Any]:
    """Follow a job to its end and return its result. Raises Cancelled, EndedByOther, or WorkFailed with the program's own
    error and last lines; ContactLost comes through from the job. Whether the machine is out of reach is told as the step's
    State, in the words of `lost`."""
    told = ""

    odd = 0

    def on_event(raw: Mapping[str, Any]) -> None:
        nonlocal odd
        try:
            event = to_event(raw, step, machine)
        except answers.Nonsense as error:
            odd += 1
            if odd == 1:
                log.info("%s sent an event that makes no sense: %s", machine, answers.shown(str(error)))
            return
        if event is not None:
            emit(event)
            if watch is not None:
                watch(event)

    def on_log(text: str) -> None:
        for line in text.splitlines():
            emit(Log("", level="output", machine=machine, raw=line))

    def on_contact(there: bool) -> None:
        nonlocal told
        code = "status.contact_back" if there else lost
        if cancel.cancelled and not there:
            code = "status.contact_lost.cancelling"
        if code != told:
            told = code
            emit(State(step, "running" if there else "lost", code, {"machine": machine}))

    end = job.follow(on_event, on_log, cancel, on_contact)
    if end.state == "cancelled":
        if end.ended_by is not None and not cancel.cancelled:
            raise end.ended_by.error(machine, job.id)
        raise Cancelled()
    if end.state != "done":
        raise job_error(end, step, machine, job.id)
    return end.result


def job_error(end: JobEnd, step: str, machine: str, run: str) -> AiNanoError:
    """The error of a job that failed: what the program said, or how it died."""
    if end.last_lines:  # the room's page asks twice a second for the sentence alone
        log.info("%s: %s ended badly, its last words:\n%s", machine, run, "\n".join(end.last_lines))
    if end.error is not None:
        code, params = end.error
        return answers.told(code, params, machine, end.last_lines)
    signal = (end.exit or {}).get("signal")
    if end.why in WHYS and end.why != "vanished":
        return WorkFailed(f"job.{end.why}", details=end.last_lines, step=step, machine=machine, run=run)
    if end.exit is None:
        return WorkFailed("job.vanished", details=end.last_lines, step=step, machine=machine, run=run)
    if signal is not None:
        return WorkFailed("job.killed", details=end.last_lines, step=step, machine=machine, signal=signal)
    if end.exit.get("code") == EXIT_NO_ROOM:
        program = next((path for path, name in STEPS.items() if name == step), step)
        return answers.told("program.disk_full", {"program": program}, machine, end.last_lines)
    return WorkFailed("job.failed", details=end.last_lines, step=step, machine=machine, exit=end.exit.get("code"))
