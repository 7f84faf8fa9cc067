"""The test split on a Nano: its images travel there, the Nano's own program classifies them, and the answers are compared.

The images lie in a folder of their own beside the models, never in one, and go afterwards: an SD card is small, and a bench of
students has as many test splits. What a test that was broken off had sent is there for the next one, and so is all of it
after `keep`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from ai_nano.core import answers, bundle, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import AiNanoError, ContactLost, MachineError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Event, Listener, Log, Prediction, Progress
from ai_nano.core.files import is_image_name
from ai_nano.core.nano import boards, deciding, nano_test
from ai_nano.core.nano.nano_test import Seen
from ai_nano.core.ports import Delivery, Machine, Parcel, Sent, StepContext, Upload
from ai_nano.core.project import ident
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.report.figures import Report
from ai_nano.core.room import turns
from ai_nano.core.room.config import NanoConfig
from ai_nano.core.workflow import exported_models, where_deployed
from ai_nano.steps.engine import container_param, find_model
from ai_nano.steps.infer import LEASE_S
from ai_nano.steps.upload import contact, owned_by, progress, sender_of

NAME = "test-nano"
PROGRAM = "jetson_nano/classify.py"
PART = "test"
TELL_EVERY_S = 0.1


@dataclass(frozen=True)
class NanoTestOptions:
    """`nano` None: the first that the workspace has deployed to; `model` None: the one that it got. `keep`: the images stay on
    the Nano, so that the next test sends only what is new."""

    nano: str | None = None
    model: str | None = None
    keep: bool = False


class NanoTestStep:
    name = NAME
    lane: str | None = None

    def check(self, workspace: Workspace, options: NanoTestOptions) -> list[AiNanoError]:
        if options.model is None and workspace.done("deploy") is None:
            return [MissingPrerequisite("infer.no_model")]
        known = exported_models(workspace)
        if options.model is not None and options.model not in known:
            return [MissingPrerequisite("test_nano.no_model", model=options.model, known=known or "–")]
        return [] if images_of(workspace, workspace.classes) else [MissingPrerequisite("test_nano.no_images")]

    def run(self, workspace: Workspace, options: NanoTestOptions, context: StepContext) -> Receipt:
        nano, model = _chosen(workspace, options, context)
        checked = bundle.load(workspace.model_folder(model))
        sha256 = checked.sha256[bundle.MODEL]
        machine = context.lab.nano(nano.name)
        there = find_model(machine, model)
        _refuse_older(workspace, nano.name, model, sha256)
        _refuse_if_used(machine)
        images = images_of(workspace, checked.classes)
        if not images:
            raise MissingPrerequisite("test_nano.no_images")
        truth = {answers.shown(f"{PART}/{name}/{path.name}"): name for name, path in images}
        delivery = _send(workspace, machine, images, context)
        try:
            seen, engine = _classify(machine, nano, str(there["path"]), delivery, truth, context, ident.all_of(workspace))
        except MachineError:
            raise  # out of reach: the images there are the next test's
        except BaseException:
            _remove(machine, delivery, options.keep, context.emit)
            raise
        _remove(machine, delivery, options.keep, context.emit)
        told, reason = nano_test.report_of(checked)
        at = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        test = nano_test.evaluate(nano.name, engine, at, sha256, truth, seen, told, reason)
        nano_test.keep(workspace.model_folder(model), test)
        return Receipt(self.name, "done", sha256, facts={"model": model, **test.to_json(), "server": _server(told)})


def images_of(workspace: Workspace, classes: Sequence[str]) -> list[tuple[str, Path]]:
    """The test split as it lies in the workspace: (class, image)."""
    folders = [(name, workspace.path / PART / name) for name in classes]
    return [(name, path) for name, folder in folders if folder.is_dir()
            for path in sorted(folder.iterdir()) if is_image_name(path)]


def _refuse_if_used(machine: Machine) -> None:
    """Two programs would share the Nano's memory and its time, which is measured. For those that take turns the test waits like
    any of them; any other is MachineError `test_nano.in_use`."""
    for use in boards.uses(machine):
        if use.program not in turns.DOING:
            raise MachineError("test_nano.in_use", machine=machine.name, who=use.who, run=use.run)


def _chosen(workspace: Workspace, options: NanoTestOptions, context: StepContext) -> tuple[NanoConfig, str]:
    deployed = workspace.done("deploy")
    first = str(deployed.facts["nanos"][0]) if deployed is not None and deployed.facts["nanos"] else None
    nano = context.lab.nano_config(options.nano or first)
    model = options.model or where_deployed(workspace).get(nano.name)
    if model is None:
        raise MissingPrerequisite("infer.no_model")
    if model not in (known := exported_models(workspace)):
        raise MissingPrerequisite("test_nano.no_model", model=model, known=known or "–")
    return nano, model


def _refuse_older(workspace: Workspace, nano: str, model: str, sha256: str) -> None:
    """A model may be exported again, of a better checkpoint, after it was deployed. MissingPrerequisite `test_nano.older`."""
    deployed = workspace.done("deploy")
    if deployed is None or deployed.facts["model"] != model or where_deployed(workspace).get(nano) != model:
        return  # another workspace's word, or an earlier model's: nothing is known of it
    if nano not in deployed.facts["nanos"] or deployed.inputs != sha256:
        raise MissingPrerequisite("test_nano.older", model=model, machine=nano)


def _send(workspace: Workspace, machine: Machine, images: Sequence[tuple[str, Path]], context: StepContext) -> Delivery:
    sender = sender_of(workspace)
    place = f"{PART}-{sender}"
    files = (owned_by(workspace, context), *(Upload(path, PurePosixPath(PART, name, path.name)) for name, path in images))
    parcel = Parcel(files, sender, place, like=(place,), replaces=True, on_contact=lambda there: context.emit(
        contact(NAME, () if there else (machine.name,), machine.name)))

    def tell(sent: Sent) -> None:
        context.emit(progress(NAME, sent))

    delivery = machine.upload(parcel, tell, context.cancel)
    # Of images; beside them goes the file that says whose they are.
    context.emit(Log("test_nano.sent", {"total": len(images), "sent": min(delivery.sent, len(images))}, machine=machine.name))
    return delivery


def _classify(machine: Machine, nano: NanoConfig, model_dir: str, delivery: Delivery, truth: Mapping[str, str],
              context: StepContext, workspaces: Sequence[str]) -> tuple[dict[str, Seen], str]:
    """What the Nano saw in each image, by file, and the name of its engine. Each image stands for itself: no threshold, nothing
    smoothed, no LED."""
    if delivery.path is None:
        raise MachineError("machine.nonsense", machine=machine.name)
    steady = deciding.EACH_FRAME
    params: dict[str, Any] = {
        "model_dir": model_dir, "camera": f"{delivery.path}/{PART}", "flip": None, "engine": nano.engine, "leds": "none",
        "pins": [], "leds_file": None, "threshold": 0.0, "frames": None, "seconds": None,
        "hysteresis": steady.hysteresis, "smoothing_s": steady.smoothing_s, "turn_s": None,
        "workspaces": list(workspaces),
        **container_param(nano.container if nano.engine == "tensorrt" else None)}
    heard = _Heard(truth, nano, context.emit)
    job = machine.start(NAME, PROGRAM, params, lease_s=LEASE_S)
    try:
        result = wire.follow(job, NAME, machine.name, heard, context.cancel, lost="status.contact_lost.leased")
    except ContactLost as error:
        raise MachineError("infer.lost", machine=machine.name) from error
    if heard.lease_lost:
        raise MachineError("infer.lost", machine=machine.name)
    with answers.reading(machine.name):
        whole = bool(optional(answers.flag, result, "ended")) and optional(answers.count, result, "frames") == heard.frames
    if not whole:  # else images that nobody looked at would count as images that cannot be read
        raise WorkFailed("test_nano.broken_off", machine=machine.name, done=len(heard.seen), total=len(truth))
    return heard.seen, heard.engine


class _Heard:
    """Collects the predictions by file, and tells how many there are instead of each."""

    def __init__(self, truth: Mapping[str, str], nano: NanoConfig, emit: Listener) -> None:
        self.seen: dict[str, Seen] = {}
        self.frames = 0
        self.engine = nano.engine
        self.lease_lost = False
        self._truth = truth
        self._emit = emit
        self._began: float | None = None
        self._told = 0.0
        self._tell()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Prediction):
            self.frames += 1
            file = f"{PART}/{event.file}"
            if file in self._truth:
                ms = {stage: event.ms[stage] for stage in nano_test.STAGES if stage in event.ms}
                self.seen[file] = Seen(event.class_name, event.confidence, ms)
            self._tell()
            return
        if isinstance(event, Log) and event.code == "infer.ready":
            self.engine = str(event.params.get("engine") or self.engine)
        self.lease_lost |= isinstance(event, Log) and event.code == "infer.lease_lost"
        self._emit(event)

    def _tell(self) -> None:
        now, done, total = time.monotonic(), len(self.seen), len(self._truth)
        if done < total and now - self._told < TELL_EVERY_S:
            return
        self._told = now
        self._began = self._began or (now if done else None)
        elapsed = now - self._began if self._began is not None else 0.0
        left = elapsed / done * (total - done) if elapsed > 0.5 else None
        self._emit(Progress(NAME, done, total, "images", left, "test_nano.images"))


def _remove(machine: Machine, delivery: Delivery, keep: bool, emit: Listener) -> None:
    """The images from the Nano's card. One that stays there all the same is no failure of the test."""
    if keep:
        return
    try:
        machine.store("delete", delivery.model)
    except AiNanoError as error:
        emit(Log("test_nano.left", {"what": error.what}, "warning", machine.name))


def _server(told: Report | None) -> dict[str, Any]:
    """The figures that stand beside the Nano's; {} without a report of this version of the model."""
    if told is None:
        return {}
    done, half = told.export, told.export.fp16 if told.export is not None else None
    return {"fp32": {"accuracy": told.test_accuracy, "milliseconds": told.milliseconds, "device": told.device},
            "onnxruntime": None if done is None else {"agreement": done.agreement, "milliseconds": done.milliseconds},
            "fp16": None if half is None else {"accuracy": half.accuracy, "agreement": half.agreement, "images": half.images}}
