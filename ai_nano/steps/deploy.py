"""Step 7: the model goes to one or several Nanos at once, is verified there, and with TensorRT its engine is built there."""

import hashlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ai_nano.core import bundle
from ai_nano.core.errors import AiNanoError, Cancelled, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Event, Log, Progress, State
from ai_nano.core.ports import Machine, Parcel, Sent, StepContext, Upload
from ai_nano.core.project import ident
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.workflow import exported_models, newest_bundle, where_deployed
from ai_nano.steps import engine, space
from ai_nano.steps.upload import contact, owned_by, progress, sender_of

# How a transfer that waits for its machine is told of (steps/upload.py).
SENDING = "status.contact_lost.sending"


@dataclass(frozen=True)
class DeployOptions:
    """Names of Nanos; none: the first of the config. `model`: an earlier one of the workspace; None: the last export.

    `force`: also in place of somebody else's model of that name.
    """

    nanos: tuple[str, ...] = ()
    model: str | None = None
    force: bool = False


class DeployStep:
    name = "deploy"
    lane: str | None = "nano"

    def check(self, workspace: Workspace, options: DeployOptions) -> list[AiNanoError]:
        if options.model is None:
            return [] if newest_bundle(workspace) is not None else [MissingPrerequisite("deploy.no_export")]
        if options.model in (known := exported_models(workspace)):
            return []
        return [MissingPrerequisite("deploy.no_model", model=options.model, known=known or "–")]

    def run(self, workspace: Workspace, options: DeployOptions, context: StepContext) -> Receipt:
        newest = newest_bundle(workspace)
        model = options.model or newest
        assert model is not None, "check() looked"
        earlier = _instead_of(workspace) if model != newest else {}
        checked = bundle.load(workspace.model_folder(model))
        nanos = [context.lab.nano_config(name) for name in dict.fromkeys(options.nanos or (None,))]
        without_pin = checked.classes[min(len(nano.pins) for nano in nanos):]
        if without_pin:
            context.emit(Log("deploy.without_pin", {"classes": without_pin}))
        files = tuple(Upload(checked.folder / name, PurePosixPath(name)) for name in bundle.FILES)
        parcel = Parcel((owned_by(workspace, context), *files), sender_of(workspace), checked.model, replaces=True,
                        compares=True, workspaces=ident.all_of(workspace), force=options.force)
        asked, reached = [nano.name for nano in nanos], list[str]()
        inputs = checked.sha256["model.onnx"]
        before = where_deployed(workspace)
        others = [name for name in _have_it(workspace, model, inputs) if name not in asked]

        engines = _engines_of(workspace, others)
        built_there = {nano.name: nano.container for nano in nanos if nano.engine == "tensorrt"}

        def ready(name: str, made: engine.Engine | None) -> None:
            if made is not None:
                engines[name] = made.facts()
            reached.append(name)
            reached.sort(key=asked.index)
            # Noted one by one: a second Nano that is away does not take the first one's model back.
            workspace.note(receipt())

        def receipt() -> Receipt:
            where = {**before, **dict.fromkeys([*reached, *others], model)}
            facts = {"model": model, "nanos": [*reached, *others], "where": where, **earlier}
            return Receipt(self.name, "done", inputs, facts={**facts, "engines": dict(engines)} if engines else facts)

        failed = push([context.lab.nano(nano.name) for nano in nanos], parcel, context, built_there, ready)
        if failed:
            raise _summary({one.nano: one.error for one in failed}, reached,
                           "deploy.some_engines" if all(one.delivered for one in failed) else "deploy.some")
        context.emit(Log("deploy.end", {"nanos": list(reached)}))
        return receipt()


def _instead_of(workspace: Workspace) -> dict[str, str]:
    """Which newer model was there and was not wanted: as long as it is the newest, the earlier one is the right one."""
    exported = workspace.done("export")
    return {"instead_of": exported.facts["sha256"]} if exported is not None and "sha256" in exported.facts else {}


def _have_it(workspace: Workspace, model: str, inputs: str) -> list[str]:
    """The Nanos that got this very model earlier: one that was away then does not take theirs back."""
    before = workspace.done(DeployStep.name)
    if before is None or before.inputs != inputs or before.facts.get("model") != model:
        return []
    return [str(name) for name in before.facts["nanos"]]


def _engines_of(workspace: Workspace, nanos: Sequence[str]) -> dict[str, dict[str, object]]:
    """What is noted of the engines on these Nanos."""
    before = workspace.done(DeployStep.name)
    noted = before.facts.get("engines") if before is not None else None
    return {name: noted[name] for name in nanos if name in noted} if isinstance(noted, dict) else {}


@dataclass(frozen=True)
class Failed:
    """`delivered`: the model is there all the same, and it is its engine that is missing."""

    nano: str
    error: BaseException
    delivered: bool


def push(nanos: Sequence[Machine], parcel: Parcel, context: StepContext, built_there: Mapping[str, str | None],
         ready: Callable[[str, engine.Engine | None], None]) -> list[Failed]:
    """To all at once, each with its engine where it is `built_there` (in that container); `ready` is called in one thread
    after the other. Returns what went wrong."""
    failed: list[Failed] = []
    together = _Together(context, [nano.name for nano in nanos])
    lock = threading.Lock()
    model = parcel.model
    assert model is not None, "a model that is deployed has its name"

    def work(nano: Machine) -> None:
        delivered = False
        try:
            # A Nano that has two names in the room is sent to twice, and neither takes the other for its own ghost.
            owner = hashlib.sha256(f"{parcel.owner} {nano.name}".encode()).hexdigest()[:16]
            mine = replace(parcel, owner=owner, on_contact=lambda there: together.tell_contact(nano.name, there))
            if nano.name in built_there:
                mine = replace(mine, spare_bytes=space.ENGINES * sum(file.source.stat().st_size for file in mine.files))
            try:
                nano.upload(mine, lambda sent: together.tell(nano.name, sent), context.cancel)
            except WorkFailed as error:
                raise space.explained(error, nano) from error
            delivered = True
            together.arrived(nano.name)
            context.emit(Log("deploy.verified", {"model": model}, machine=nano.name))
            made = None
            if nano.name in built_there:
                made = engine.build(nano, model, lambda event: together.tell_build(nano.name, event), context.cancel,
                                    built_there[nano.name])
                together.built(nano.name)
            with lock:
                ready(nano.name, made)
        except BaseException as error:
            failed.append(Failed(nano.name, error, delivered))
            together.give_up(nano.name)

    threads = [threading.Thread(target=work, args=(nano,), name=f"deploy-{nano.name}") for nano in nanos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


class _Together:
    """The progress of several transfers of one parcel as one, and then that of the engines, the slowest."""

    def __init__(self, context: StepContext, machines: Sequence[str]) -> None:
        self._context = context
        self._machines = len(machines)
        self._sending = set(machines)
        self._sent: dict[str, Sent] = {}
        self._builds: dict[str, Progress] = {}
        # What is said of each that is out of reach.
        self._lost: dict[str, str] = {}
        self._lock = threading.Lock()

    def tell(self, name: str, sent: Sent) -> None:
        with self._lock:
            self._sent[name] = sent
            told = self._sent.values()
            rates = [one.bytes_per_s for one in told if one.bytes_per_s is not None]
            whole = Sent(sum(one.done_bytes for one in told), sent.total_bytes * self._machines,
                         sum(one.done_files for one in told), sent.total_files * self._machines, sum(rates) if rates else None)
            self._context.emit(progress(DeployStep.name, whole))

    def arrived(self, name: str) -> None:
        with self._lock:
            self._sending.discard(name)

    def tell_build(self, name: str, event: Event) -> None:
        with self._lock:
            match event:
                case Progress():
                    self._builds[name] = event
                    if not self._sending:
                        self._context.emit(max(self._builds.values(), key=_left))
                case State():
                    self._note_contact(name, event.status != "lost", event.code)
                case _:
                    self._context.emit(event)

    def built(self, name: str) -> None:
        with self._lock:
            self._builds.pop(name, None)

    def tell_contact(self, name: str, there: bool) -> None:
        with self._lock:
            self._note_contact(name, there, SENDING)

    def _note_contact(self, name: str, there: bool, code: str) -> None:
        if there:
            self._lost.pop(name, None)
        else:
            self._lost[name] = code
        self._say_contact(name)

    def _say_contact(self, name: str) -> None:
        """What waits is said before what goes on without us."""
        if not self._lost or SENDING in self._lost.values():
            self._context.emit(contact(DeployStep.name, tuple(self._lost), name))
        else:
            code = next(reversed(self._lost.values()))
            self._context.emit(State(DeployStep.name, "lost", code, {"machine": tuple(self._lost)}))

    def give_up(self, name: str) -> None:
        """Nobody waits for this one any longer."""
        with self._lock:
            self._sending.discard(name)
            self._builds.pop(name, None)
            if self._lost.pop(name, None) is not None:
                if self._lost:
                    self._say_contact(name)
                else:
                    self._context.emit(State(DeployStep.name, "running", "status.given_up", {"machine": name}))


def _left(build: Progress) -> float:
    """Seconds; a build of which nobody knows how long it takes is the slowest."""
    return build.eta_s or 0.0 if build.total else math.inf


def _summary(failed: dict[str, BaseException], reached: Sequence[str], code: str) -> BaseException:
    """The one error; of several the first in the words of `code`, which says who is ready and who is not."""
    errors = list(failed.values())
    unexpected = next((error for error in errors if not isinstance(error, AiNanoError)), None)
    if unexpected is not None:
        return unexpected
    first = errors[0]
    assert isinstance(first, AiNanoError)
    if isinstance(first, Cancelled) or (len(failed) == 1 and not reached):
        return first
    details = [f"{name}: {error.what}" for name, error in failed.items() if isinstance(error, AiNanoError)]
    return type(first)(code, details=details, failed=list(failed), reached=list(reached) or "–",
                   what=first.what, hint=first.hint)
