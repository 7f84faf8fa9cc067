"""The workflow: what each step's status is, computed from receipts, files and artefacts, and the one way to start a step."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from ai_nano.core import bundle, names
from ai_nano.core.errors import AiNanoError, Cancelled, ContactLost, Detached, EndedByOther, MissingPrerequisite
from ai_nano.core.events import Listener, State
from ai_nano.core.figures import percent
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Lab, StepContext
from ai_nano.core.project import class_list, image_bin, trained
from ai_nano.core.project.workspace import PARTS, Receipt, Workspace
from ai_nano.core.running import Running, Status, StepStatus
from ai_nano.core.split.dataset import FEWEST_IMAGES

STEPS = ("project", "record", "split", "upload", "train", "export", "deploy", "infer")


# What a step reads must not change under it: it does not start while one of these is running.
EXCLUDES = {
    "record": ("record", "import", "split", "classes"), "import": ("record", "import", "split", "classes"),
    "split": ("record", "import", "correct", "upload", "test-nano", "classes", "bin"), "correct": ("split", "classes"),
    "upload": ("split", "classes"), "classes": (*class_list.STEPS, "bin"), "bin": (*image_bin.STEPS, "classes"),
    "train": ("upload",),
    # Not while "train" runs: what it has as its best model so far is whole.
    "deploy": ("export", "test-nano"), "try": ("export",), "test-nano": ("split", "export", "deploy", "classes"),
}


class BatchStep(Protocol):
    """A step with a beginning and an end. `lane` is where it waits its turn; None: it has a thread of its own."""

    name: str
    lane: str | None

    def check(self, workspace: Workspace, options: Any) -> list[AiNanoError]:
        """What stands in the way, without side effects."""

    def run(self, workspace: Workspace, options: Any, context: StepContext) -> Receipt:
        """Do it. The receipt's facts say what was made."""


class Workflow:
    """The eight steps of one workspace in one room."""

    def __init__(self, workspace: Workspace, lab: Lab, steps: Mapping[str, BatchStep], lanes: Lanes) -> None:
        self.workspace = workspace
        self.lab = lab
        self._steps = steps
        self._lanes = lanes
        self._running: dict[str, Running] = {}
        workspace.steps = self._running
        self._starting = threading.Lock()
        self._changing = threading.Lock()

    # ---- starting ----------------------------------------------------------------------------------------------------

    def start(self, step: str, options: Any, listener: Listener) -> Running:
        """Start a step in the background. Problems that its check finds are raised at once."""
        work = self._steps[step]
        self._refuse_if_busy(step)
        problems = work.check(self.workspace, options)
        if problems:
            raise problems[0]
        running = Running(step)
        with self._starting:
            self._refuse_if_busy(step)
            self._running[step] = running
        context = StepContext(self.lab, running.heard_by(listener), running.cancel_token, running.commands)

        def carry_out() -> None:
            outcome: Receipt | BaseException
            try:
                listener(State(step, Status.RUNNING.value, "status.running"))
                outcome = self._carry_out(work, options, context)
            except BaseException as error:
                outcome = error
            # Before anybody who waits hears of it: who asks for the status then must not be told that it runs.
            self._running.pop(step, None)
            if isinstance(outcome, BaseException):
                running.future.set_exception(outcome)
            else:
                running.future.set_result(outcome)

        if work.lane is None:
            threading.Thread(target=carry_out, name=f"step-{step}", daemon=True).start()
        else:
            self._lanes.submit(work.lane, carry_out)
        return running

    def _refuse_if_busy(self, step: str) -> None:
        busy = next((other for other in (step, *EXCLUDES.get(step, ())) if other in self._running), None)
        if busy is not None:
            if step in ("classes", "bin"):
                raise MissingPrerequisite("change.busy", other=busy)
            raise MissingPrerequisite("step.busy", step=step, other=busy)

    @contextmanager
    def correcting(self) -> Iterator[None]:
        """Held while corrected frames become images beside a step that runs. MissingPrerequisite while a split reads them."""
        with self.changing("correct"):
            yield

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Held while `classes` are changed or images go to or come from the `bin`. MissingPrerequisite while a step runs
        that goes by them."""
        with self._changing:
            with self._starting:
                self._refuse_if_busy(what)
                self._running[what] = Running(what)
            try:
                yield
            finally:
                self._running.pop(what, None)

    @property
    def running(self) -> tuple[Running, ...]:
        """What is going on in this program just now."""
        return tuple(self._running.values())

    def _carry_out(self, work: BatchStep, options: Any, context: StepContext) -> Receipt:
        workspace = self.workspace
        with workspace.writing():
            try:
                receipt = work.run(workspace, options, context)
            except Detached:
                raise  # what was noted on the way stays: it is how the next start finds the run
            except AiNanoError as error:
                kinds = {Cancelled: "cancelled", EndedByOther: "cancelled", ContactLost: "lost"}
                outcome = kinds.get(type(error), "failed")
                # What the step noted on its way (a reserved name, a run to follow again) stays beside the failure.
                under_way = workspace.attempts.get(work.name) or Receipt(work.name, outcome, "")
                workspace.note(Receipt(work.name, outcome, under_way.inputs,
                                       facts={**under_way.facts, "error": error.code, "what": error.what}))
                raise
            workspace.note(receipt)
        return receipt

    def landing_step(self) -> str:
        """Where a reopened workspace goes on: the first step that is not done; the last one when all are."""
        return next((one.step for one in self.status() if one.status is not Status.DONE), STEPS[-1])

    # ---- status ------------------------------------------------------------------------------------------------------

    def status(self) -> list[StepStatus]:
        """All eight, in order. Reads the disk, never the network."""
        self.workspace.look_again()
        return [self.step_status(step) for step in STEPS]

    def step_status(self, step: str) -> StepStatus:
        running = self._running.get(step)
        if running is not None:
            return running.status
        compute: Callable[[], StepStatus] = getattr(self, f"_{step}_status")
        status = compute()
        attempt = self.workspace.attempts.get(step)
        if attempt is None or status.status is Status.BLOCKED:
            return status
        # Whether enough is recorded is a matter of the images alone; stopping is how a recording ends.
        if step == "record" and (status.status is Status.DONE or attempt.outcome == "cancelled"):
            return status
        if attempt.outcome == "running":
            if self.workspace.open_elsewhere():
                return StepStatus(step, Status.RUNNING, "status.running_elsewhere")
            left = "lost" if "run" in attempt.facts else "failed"
            return StepStatus(step, Status(left), f"status.broken_off.{left}")
        by_other = str(attempt.facts.get("error", "")).startswith("job.ended_by")
        return StepStatus(step, Status(attempt.outcome), "status.ended_by" if by_other else f"status.{attempt.outcome}",
                          {"what": attempt.facts.get("what", "")})

    def _project_status(self) -> StepStatus:
        return StepStatus("project", Status.DONE, "status.project.done",
                          {"classes": self.workspace.classes or "–", "count": self.workspace.planned_classes})

    def _record_status(self) -> StepStatus:
        named, planned = len(self.workspace.classes), self.workspace.planned_classes
        if named < max(planned, 2):
            return StepStatus("record", Status.READY, "status.record.unnamed", {"named": named, "planned": max(planned, 2)})
        counts = {name: self.workspace.count(name) for name in self.workspace.classes}
        few = {name: count for name, count in counts.items() if count < FEWEST_IMAGES}
        if few and self.workspace.has_split() and not any(counts.values()):
            return StepStatus("record", Status.DONE, "status.record.given")
        if few:
            name, count = next(iter(few.items()))
            return StepStatus("record", Status.READY, "status.record.few",
                              {"name": name, "count": count, "fewest": FEWEST_IMAGES})
        return StepStatus("record", Status.DONE, "status.record.done", {"count": sum(counts.values())})

    def _split_status(self) -> StepStatus:
        workspace = self.workspace
        recorded = self._record_status()
        receipt = workspace.done("split")
        if workspace.has_split():
            if receipt is None and workspace.split_given:
                return StepStatus("split", Status.DONE, "status.split.given")
            if receipt is not None and recorded.status is Status.DONE:
                if receipt.inputs == workspace.images_fingerprint():
                    return StepStatus("split", Status.DONE, "status.split.done", receipt.facts)
                return StepStatus("split", Status.STALE, "status.split.stale")
        if recorded.status is not Status.DONE:
            return StepStatus("split", Status.BLOCKED, recorded.code, recorded.params)
        return StepStatus("split", Status.READY, "status.split.ready")

    def _upload_status(self) -> StepStatus:
        if not self.workspace.has_split():
            return StepStatus("upload", Status.BLOCKED, "status.upload.blocked")
        receipt = self.workspace.done("upload")
        if receipt is None:
            return StepStatus("upload", Status.READY, "status.upload.ready")
        if trained.is_gone(receipt):
            return StepStatus("upload", Status.STALE, "status.upload.gone", receipt.facts)
        if receipt.inputs != self.workspace.split_fingerprint() or self._split_status().status is Status.STALE:
            return StepStatus("upload", Status.STALE, "status.upload.stale", receipt.facts)
        return StepStatus("upload", Status.DONE, "status.upload.done", receipt.facts)

    def _train_status(self) -> StepStatus:
        upload, receipt = self.workspace.done("upload"), self.workspace.done("train")
        if upload is None:
            return StepStatus("train", Status.BLOCKED, "status.train.blocked")
        if receipt is None:
            return StepStatus("train", Status.READY, "status.train.ready")
        if receipt.inputs != upload.inputs or self._upload_status().status is Status.STALE:
            return StepStatus("train", Status.STALE, "status.train.stale", receipt.facts)
        facts = {**receipt.facts, "val_accuracy": percent(receipt.facts.get("val_accuracy"), digits=0)}
        return StepStatus("train", Status.DONE, "status.train.done", facts)

    def _export_status(self) -> StepStatus:
        newest, receipt = trained.newest(self.workspace), self.workspace.done("export")
        if newest is None:
            return StepStatus("export", Status.BLOCKED, "status.export.blocked")
        if receipt is None:
            return StepStatus("export", Status.READY, "status.export.ready", newest.facts)
        if receipt.facts["model"] != newest.model:
            return StepStatus("export", Status.STALE, "status.export.stale", newest.facts)
        if newest.checkpoint and receipt.inputs and receipt.inputs != newest.checkpoint:
            return StepStatus("export", Status.STALE, "status.export.better", newest.facts)
        return StepStatus("export", Status.DONE, "status.export.done", receipt.facts)

    def _deploy_status(self) -> StepStatus:
        model, receipt = newest_bundle(self.workspace), self.workspace.done("deploy")
        if model is None:
            return StepStatus("deploy", Status.BLOCKED, "status.deploy.blocked")
        if receipt is None:
            return StepStatus("deploy", Status.READY, "status.deploy.ready", {"model": model})
        exported = self.workspace.done("export")
        there = exported.facts.get("sha256") if exported is not None else None
        if there is not None and receipt.facts.get("instead_of") == there:  # an earlier one, which a person preferred
            return StepStatus("deploy", Status.DONE, "status.deploy.done", receipt.facts)
        if receipt.facts["model"] != model:
            return StepStatus("deploy", Status.STALE, "status.deploy.stale", {"model": model})
        if there is not None and receipt.inputs != there:
            return StepStatus("deploy", Status.STALE, "status.deploy.better", {"model": model})
        unbuilt = self._without_engine(receipt)
        if unbuilt:
            return StepStatus("deploy", Status.STALE, "status.deploy.no_engine", {"machines": unbuilt})
        return StepStatus("deploy", Status.DONE, "status.deploy.done", receipt.facts)

    def _without_engine(self, receipt: Receipt) -> list[str]:
        """Nanos that have the model and, by the config, run it by TensorRT, but got it before their config said so."""
        engines = receipt.facts.get("engines")
        built = engines if isinstance(engines, dict) else {}
        return [nano.name for nano in self.lab.config.nanos
                if nano.engine == "tensorrt" and nano.name in receipt.facts["nanos"] and nano.name not in built]

    def _infer_status(self) -> StepStatus:
        deploy, receipt = self.workspace.done("deploy"), self.workspace.done("infer")
        if deploy is None:
            return StepStatus("infer", Status.BLOCKED, "status.infer.blocked")
        same = receipt is not None and receipt.facts.get("model") == deploy.facts["model"]
        if receipt is not None and same and receipt.inputs in ("", deploy.inputs):
            return StepStatus("infer", Status.DONE, "status.infer.done", receipt.facts)
        return StepStatus("infer", Status.READY, "status.infer.ready", deploy.facts)


def start_alone(work: BatchStep, options: Any, lab: Lab, listener: Listener) -> Running:
    """Start a step that needs no workspace: a model that is on a Nano already runs without a project."""
    problems = work.check(None, options)  # type: ignore[arg-type]
    if problems:
        raise problems[0]
    running = Running(work.name)

    def carry_out() -> None:
        try:
            context = StepContext(lab, running.heard_by(listener), running.cancel_token, running.commands)
            running.future.set_result(work.run(None, options, context))  # type: ignore[arg-type]
        except BaseException as error:
            running.future.set_exception(error)

    threading.Thread(target=carry_out, name=f"step-{work.name}", daemon=True).start()
    return running


def newest_bundle(workspace: Workspace) -> str | None:
    """The model of the last export, if its bundle is in the workspace."""
    receipt = workspace.done("export")
    if receipt is None:
        return None
    model = str(receipt.facts["model"])
    return model if bundle.is_there(workspace.model_folder(model)) else None


def where_deployed(workspace: Workspace) -> dict[str, str]:
    """The model that each Nano got last from this workspace, by the Nano's name."""
    receipt = workspace.done("deploy")
    if receipt is None:
        return {}
    where = receipt.facts.get("where")
    told = {str(nano): str(model) for nano, model in where.items()} if isinstance(where, dict) else {}
    return told or dict.fromkeys((str(name) for name in receipt.facts["nanos"]), str(receipt.facts["model"]))


def exported_models(workspace: Workspace) -> list[str]:
    """All models of the workspace that can be deployed, by name."""
    folder = workspace.path / "models"
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(one.name for one in found if names.is_model_name(one.name) and bundle.is_there(one))


def split_size(workspace: Workspace) -> tuple[int, int]:
    """How many images the split has, and their bytes: what an upload sends."""
    sizes = [path.stat().st_size for part in PARTS for name in workspace.classes
             if (workspace.path / part / name).is_dir() for path in (workspace.path / part / name).iterdir()]
    return len(sizes), sum(sizes)


def split_counts(workspace: Workspace) -> dict[str, dict[str, int]]:
    """`{class: {"train": n, "val": n, "test": n}}` from the folders."""
    counts = {}
    for name in workspace.classes:
        folders = {part: workspace.path / part / name for part in PARTS}
        counts[name] = {part: len(list(folder.iterdir())) if folder.is_dir() else 0 for part, folder in folders.items()}
    return counts
