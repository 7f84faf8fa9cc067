"""Step 7: the model goes to one or several Nanos at once, and is verified there."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ai_nano.core import bundle
from ai_nano.core.errors import AiNanoError, Cancelled, MissingPrerequisite
from ai_nano.core.events import Log, State
from ai_nano.core.ports import Machine, Parcel, Sent, StepContext, Upload
from ai_nano.core.workflow import exported_models, newest_bundle, where_deployed
from ai_nano.core.workspace import Receipt, Workspace
from ai_nano.steps.upload import contact, progress, sender_of


@dataclass(frozen=True)
class DeployOptions:
    """Names of Nanos; none: the first of the config. `model`: an earlier one of the workspace; None: the last export."""

    nanos: tuple[str, ...] = ()
    model: str | None = None


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
        parcel = Parcel(files, sender_of(workspace), checked.model, replaces=True, compares=True)
        asked, reached = [nano.name for nano in nanos], list[str]()
        inputs = checked.sha256["model.onnx"]
        before = where_deployed(workspace)
        others = [name for name in _have_it(workspace, model, inputs) if name not in asked]

        def arrived(name: str) -> None:
            context.emit(Log("deploy.verified", {"model": checked.model}, machine=name))
            reached.append(name)
            reached.sort(key=asked.index)
            # Noted one by one: a second Nano that is away does not take the first one's model back.
            workspace.note(receipt())

        def receipt() -> Receipt:
            where = {**before, **dict.fromkeys([*reached, *others], model)}
            return Receipt(self.name, "done", inputs, facts={"model": model, "nanos": [*reached, *others], "where": where,
                                                             **earlier})

        failed = push([context.lab.nano(nano.name) for nano in nanos], parcel, context, arrived)
        if failed:
            raise _summary(failed, reached)
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


def push(nanos: Sequence[Machine], parcel: Parcel, context: StepContext,
         arrived: Callable[[str], None]) -> dict[str, BaseException]:
    """To all at once; `arrived` is called in one thread after the other. Returns what went wrong, by machine."""
    failed: dict[str, BaseException] = {}
    together = _Together(context, len(nanos))
    lock = threading.Lock()

    def work(nano: Machine) -> None:
        try:
            # A Nano that has two names in the room is sent to twice, and neither takes the other for its own ghost.
            owner = hashlib.sha256(f"{parcel.owner} {nano.name}".encode()).hexdigest()[:16]
            mine = replace(parcel, owner=owner, on_contact=lambda there: together.tell_contact(nano.name, there))
            nano.upload(mine, lambda sent: together.tell(nano.name, sent), context.cancel)
            with lock:
                arrived(nano.name)
        except BaseException as error:
            failed[nano.name] = error
            together.give_up(nano.name)

    threads = [threading.Thread(target=work, args=(nano,), name=f"deploy-{nano.name}") for nano in nanos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


class _Together:
    """The progress of several transfers of one parcel as one."""

    def __init__(self, context: StepContext, machines: int) -> None:
        self._context = context
        self._machines = machines
        self._sent: dict[str, Sent] = {}
        self._lost: list[str] = []
        self._lock = threading.Lock()

    def tell(self, name: str, sent: Sent) -> None:
        with self._lock:
            self._sent[name] = sent
            told = self._sent.values()
            rates = [one.bytes_per_s for one in told if one.bytes_per_s is not None]
            whole = Sent(sum(one.done_bytes for one in told), sent.total_bytes * self._machines,
                         sum(one.done_files for one in told), sent.total_files * self._machines, sum(rates) if rates else None)
            self._context.emit(progress(DeployStep.name, whole))

    def tell_contact(self, name: str, there: bool) -> None:
        with self._lock:
            if there:
                self._lost.remove(name)
            else:
                self._lost.append(name)
            self._context.emit(contact(DeployStep.name, tuple(self._lost), name))

    def give_up(self, name: str) -> None:
        """Nobody waits for this one any longer."""
        with self._lock:
            if name in self._lost:
                self._lost.remove(name)
                given_up = State(DeployStep.name, "running", "status.given_up", {"machine": name})
                self._context.emit(contact(DeployStep.name, tuple(self._lost), name) if self._lost else given_up)


def _summary(failed: dict[str, BaseException], reached: Sequence[str]) -> BaseException:
    """The one error; of several the first, which says who has the model and who has not."""
    errors = list(failed.values())
    unexpected = next((error for error in errors if not isinstance(error, AiNanoError)), None)
    if unexpected is not None:
        return unexpected
    first = errors[0]
    assert isinstance(first, AiNanoError)
    if isinstance(first, Cancelled) or (len(failed) == 1 and not reached):
        return first
    details = [f"{name}: {error.what}" for name, error in failed.items() if isinstance(error, AiNanoError)]
    return type(first)("deploy.some", details=details, failed=list(failed), reached=list(reached) or "–",
                   what=first.what, hint=first.hint)
