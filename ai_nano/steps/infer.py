"""Step 8: live classification on the Nano, its LEDs, and `try`, the same program on this computer."""

import collections
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ai_nano.core import names, wire
from ai_nano.core.bundle import load as load_bundle
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, ContactLost, MachineError, MissingPrerequisite
from ai_nano.core.events import Event, Log, Prediction
from ai_nano.core.nano import deciding
from ai_nano.core.ports import Machine, Picture, RemoteJob, StepContext
from ai_nano.core.project import ident
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.recording import camera_options
from ai_nano.core.room.config import DEFAULT_THRESHOLD, NanoConfig
from ai_nano.core.watching import Watching
from ai_nano.core.workflow import newest_bundle
from ai_nano.steps import keeping
from ai_nano.steps.engine import container_param, find_model

# The program on the Nano ends, LEDs dark, when it has heard nothing from the laptop for so long.
LEASE_S = 5.0
# For a watching thread that is just connecting anew; it delivers nothing any more.
JOIN_S = 5.0

OnPicture = Callable[[Picture], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferOptions:
    """`model` None: the one that this workspace deployed last. Without `frames` and `seconds` it runs until cancelled.

    `hysteresis` and `smoothing` (seconds) None: what suits the camera (core/nano/deciding.py). `on_picture` gets what the
    camera sees, in a thread of its own, as fast as it takes it; through `watching` full frames of these are asked for. Frames
    shown with a confidence below `keep_uncertain` are kept in the workspace while fewer than `keep_most` wait there; `watching`
    then is a Keeper, or nobody else asks (steps/keeping.py).
    """

    model: str | None = None
    nano: str | None = None
    frames: int | None = None
    seconds: float | None = None
    threshold: float | None = None
    hysteresis: float | None = None
    smoothing: float | None = None
    on_picture: OnPicture | None = field(default=None, repr=False, compare=False)
    watching: Watching | None = field(default=None, repr=False, compare=False)
    keep_uncertain: float | None = None
    keep_most: int = keeping.MOST


@dataclass(frozen=True)
class TryOptions:
    camera: str | None = None
    frames: int | None = None
    seconds: float | None = None
    threshold: float | None = None
    hysteresis: float | None = None
    smoothing: float | None = None
    on_picture: OnPicture | None = field(default=None, repr=False, compare=False)
    watching: Watching | None = field(default=None, repr=False, compare=False)
    keep_uncertain: float | None = None
    keep_most: int = keeping.MOST


class Tally:
    """What a session saw: frames in all, and how many of each class (None: nothing recognised)."""

    def __init__(self) -> None:
        self.frames = 0
        self.classes: collections.Counter[str | None] = collections.Counter()
        self.turn_over = False

    def watch(self, event: Event) -> None:
        if isinstance(event, Prediction):
            self.frames += 1
            if event.class_name in self.classes or len(self.classes) <= wire.MOST_CLASSES:
                self.classes[event.class_name] += 1
        elif isinstance(event, Log) and event.code == "infer.turn_over":
            self.turn_over = True

    def facts(self) -> dict[str, Any]:
        seen = {name: count for name, count in self.classes.items() if name is not None}
        facts = {"frames": self.frames, "seen": seen, "unrecognised": self.classes[None]}
        return {**facts, "turn_over": True} if self.turn_over else facts


class InferStep:
    name = "infer"
    lane: str | None = None

    def check(self, workspace: Workspace | None, options: InferOptions) -> list[AiNanoError]:
        problems = check_limits(options) + keeping.check(workspace, options)
        if options.model is not None:
            if not names.is_model_name(options.model):
                problems.append(BadInput("infer.model_name", model=options.model))
        elif workspace is None or workspace.done("deploy") is None:
            problems.append(MissingPrerequisite("infer.no_model"))
        return problems

    def run(self, workspace: Workspace | None, options: InferOptions, context: StepContext) -> Receipt:
        nano = context.lab.nano_config(options.nano or self._deployed_to(workspace))
        machine = context.lab.nano(nano.name)
        model = options.model or self._deployed(workspace)
        params = classify_params(machine, nano, model, options)
        if workspace is not None:
            params["workspaces"] = list(ident.all_of(workspace))
        tally = Tally()
        with keeping.keeping(workspace, model, f"nano://{nano.name}", options, context) as (options, context):
            run_session(machine, nano.name, self.name, params, context, tally, options.on_picture, options.watching)
        deployed = workspace.done("deploy") if workspace is not None else None
        inputs = deployed.inputs if deployed is not None and deployed.facts["model"] == model else ""
        return Receipt(self.name, "done", inputs, facts={"model": model, "nano": nano.name, **tally.facts()})

    def _deployed(self, workspace: Workspace | None) -> str:
        receipt = workspace.done("deploy") if workspace is not None else None
        assert receipt is not None, "check() looked"
        return str(receipt.facts["model"])

    def _deployed_to(self, workspace: Workspace | None) -> str | None:
        receipt = workspace.done("deploy") if workspace is not None else None
        return str(receipt.facts["nanos"][0]) if receipt is not None else None


class TryStep:
    """The exported model on this computer's camera: the Nano's own program as a local process."""

    name = "try"
    lane: str | None = None

    def check(self, workspace: Workspace, options: TryOptions) -> list[AiNanoError]:
        problems = check_limits(options) + keeping.check(workspace, options)
        if newest_bundle(workspace) is None:
            problems.append(MissingPrerequisite("deploy.no_export"))
        return problems

    def run(self, workspace: Workspace, options: TryOptions, context: StepContext) -> Receipt:
        model = newest_bundle(workspace)
        assert model is not None, "check() looked"
        checked = load_bundle(workspace.model_folder(model))
        nanos = context.lab.config.nanos
        usual = nanos[0].threshold if nanos else DEFAULT_THRESHOLD
        threshold = usual if options.threshold is None else options.threshold
        camera = options.camera or context.lab.config.camera
        if camera.startswith("nano://"):
            raise BadInput("infer.try_nano", camera=camera)
        params: dict[str, Any] = {
            "model_dir": str(checked.folder.resolve()), "camera": camera,
            "flip": camera_options.FLIPS[camera_options.of(workspace.settings).rotate],
            "engine": "onnxruntime", "leds": "none", "pins": [], "leds_file": None, "threshold": threshold,
            "queue": False, **_limits(options), **_steadiness(options, camera)}
        tally = Tally()
        with keeping.keeping(workspace, model, camera, options, context) as (options, context):
            run_session(context.lab.here(), "laptop", self.name, params, context, tally, options.on_picture, options.watching)
        return Receipt(self.name, "done", "", facts={"model": model, **tally.facts()})


def check_limits(options: InferOptions | TryOptions) -> list[AiNanoError]:
    frames, seconds = options.frames, options.seconds
    problems: list[AiNanoError] = []
    if frames is not None and frames < 1:
        problems.append(BadInput("infer.limit", option="--frames", value=frames))
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        problems.append(BadInput("infer.limit", option="--seconds", value=seconds))
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        problems.append(BadInput("infer.threshold", value=options.threshold))
    if options.hysteresis is not None and not 0 <= options.hysteresis <= 1:
        problems.append(BadInput("infer.hysteresis", value=options.hysteresis))
    if options.smoothing is not None and not 0 <= options.smoothing <= deciding.LONGEST_SMOOTHING_S:
        problems.append(BadInput("infer.smoothing", value=options.smoothing, most=round(deciding.LONGEST_SMOOTHING_S)))
    return problems


def classify_params(machine: Machine, nano: NanoConfig, model: str, options: InferOptions) -> dict[str, Any]:
    """The parameters of jetson_nano/classify.py (doc/design/wire.md). MissingPrerequisite when the model is not there."""
    return {"model_dir": find_model(machine, model)["path"], "camera": nano.camera, "flip": nano.flip, "engine": nano.engine,
            "leds": nano.leds, "pins": list(nano.pins), "leds_file": None,
            "threshold": nano.threshold if options.threshold is None else options.threshold,
            "turn_s": nano.turn * 60 or None, **_limits(options), **_steadiness(options, nano.camera),
            **container_param(nano.container if nano.engine == "tensorrt" else None)}


def _limits(options: InferOptions | TryOptions) -> dict[str, Any]:
    return {"frames": options.frames, "seconds": options.seconds}


def _steadiness(options: InferOptions | TryOptions, camera: str) -> dict[str, float]:
    usual = deciding.usual(camera)
    return {"hysteresis": usual.hysteresis if options.hysteresis is None else options.hysteresis,
            "smoothing_s": usual.smoothing_s if options.smoothing is None else options.smoothing}


def run_session(machine: Machine, name: str, step: str, params: Mapping[str, Any], context: StepContext,
                tally: Tally, on_picture: OnPicture | None = None, handle: Watching | None = None) -> None:
    """Run classify.py until its limit; a session without a limit ends well when it is cancelled."""
    job = machine.start(step, "jetson_nano/classify.py", params, lease_s=LEASE_S)
    context.commands.connect(job.send)
    try:
        with watching(job, on_picture, handle):
            wire.follow(job, step, name, context.emit, context.cancel, tally.watch,
                        lost="status.contact_lost.leased")
    except ContactLost as error:
        # Unlike a training it does not go on there: nobody renews its lease.
        raise MachineError("infer.lost", machine=name) from error
    except Cancelled:
        if params["frames"] is not None or params["seconds"] is not None:
            raise


@contextmanager
def watching(job: RemoteJob, on_picture: OnPicture | None, handle: Watching | None = None) -> Iterator[None]:
    """Pictures of the job are delivered within, and none after it; a viewer that fails ends the watching alone."""
    if on_picture is None:
        yield
        return
    cancel = CancelToken()

    def work() -> None:
        try:
            job.watch(on_picture, cancel, handle)
        except Exception:
            log.exception("watching %s has failed", job.id)

    thread = threading.Thread(target=work, name="pictures", daemon=True)
    thread.start()
    try:
        yield
    finally:
        cancel.cancel()
        thread.join(JOIN_S)
