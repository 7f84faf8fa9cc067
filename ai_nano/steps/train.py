"""Step 5: training on the GPU server, followed live."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ai_nano.core import answers, names, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Best, Event, Log
from ai_nano.core.ports import Machine, RemoteJob, StepContext
from ai_nano.core.project import ident, trained
from ai_nano.core.project.workspace import PARTS, Receipt, Workspace
from ai_nano.core.recipes import ARCHITECTURES, RECIPES, SETTINGS
from ai_nano.core.report.fetch import ReportFetch
from ai_nano.core.room import scheduler

MOST_EPOCHS = 1000
LARGEST_BATCH = 1024
LONGEST_MINUTES = 24 * 60
LARGEST_SEED = 2 ** 32 - 1
# A command (doc/design/wire.md): end at the next batch, and keep the best model so far.
STOP = {"type": "stop"}
# What the server says where a room was cleaned since the upload; by the last one another project has its name now.
GONE = ("store.missing", "model.missing", "model.no_labels", "store.others")


@dataclass(frozen=True)
class TrainOptions:
    """`arch` and the settings: None is the recipe's own (core/recipes.py). `minutes` is the time that `fine` may take."""

    recipe: str = "quick"
    arch: str | None = None
    epochs: int | None = None
    seed: int = 0
    lr: float | None = None
    batch: int | None = None
    minutes: float | None = None

    def params(self) -> dict[str, Any]:
        """As doc/design/wire.md has them, without the model and the weights."""
        return {"recipe": self.recipe, "arch": self.arch or RECIPES[self.recipe].arch, "epochs": self.epochs,
                "seed": self.seed, "lr": self.lr, "batch": self.batch, "minutes": self.minutes}


class TrainStep:
    name = "train"
    lane: str | None = None

    def check(self, workspace: Workspace, options: TrainOptions) -> list[AiNanoError]:
        problems: list[AiNanoError] = []
        upload = workspace.done("upload")
        if upload is None:
            problems.append(MissingPrerequisite("train.no_upload"))
        elif trained.is_gone(upload):
            problems.append(MissingPrerequisite("train.data_gone", model=upload.facts["model"]))
        if options.recipe not in RECIPES:
            problems.append(BadInput("train.recipe", recipe=options.recipe, known=tuple(RECIPES)))
        if options.arch is not None and options.arch not in ARCHITECTURES:
            problems.append(BadInput("train.arch", arch=options.arch, known=ARCHITECTURES))
        return problems + _check_settings(options)

    def run(self, workspace: Workspace, options: TrainOptions, context: StepContext) -> Receipt:
        try:
            return self._run(workspace, options, context)
        except WorkFailed as error:
            upload = workspace.receipts["upload"]
            if error.code not in GONE or not _is_gone(upload, error, context.lab.server):
                raise
            workspace.receipts["upload"] = replace(upload, facts={**upload.facts, trained.GONE: True})
            if error.code == "store.others":
                raise
            raise MissingPrerequisite("train.data_gone", model=upload.facts["model"]) from error

    def _run(self, workspace: Workspace, options: TrainOptions, context: StepContext) -> Receipt:
        upload = workspace.done("upload")
        assert upload is not None, "check() looked"
        server, asked = context.lab.server, options.params()

        def note(facts: Mapping[str, Any]) -> None:
            workspace.note(Receipt(self.name, "running", upload.inputs, facts=dict(facts)))

        job, facts = self._taken_up(workspace, upload, server, context)
        if job is None:
            model = self._model(workspace, upload, server, context.lab.config.student, asked)
            facts = {"model": model, "asked": asked, **_kept_best(workspace, model)}
            self._say_unused(options, context)
            # Noted before it starts: a laptop that goes away at any moment finds its training again.
            job = server.start("train", "gpu_server/train.py",
                               {"model": model, **asked, "weights": context.lab.server_config.weights,
                                "workspaces": list(ident.all_of(workspace))},
                               on_id=lambda run: note({**facts, "run": run}),
                               schedule=scheduler.schedule(context.lab.server_config, workspace.name))
        model, facts = str(facts["model"]), {**facts, "run": job.id}
        context.commands.connect(job.send)
        with ReportFetch(workspace, server, model, context.emit) as reports:

            def heard(event: Event) -> None:
                """Noted before anybody else hears of it: who asks for the status then is told that export is ready."""
                if isinstance(event, Best):
                    note({**facts, trained.BEST: trained.noted(model, event)})
                    reports.want()
                context.emit(event)

            result: Mapping[str, Any] = wire.follow(job, self.name, server.name, heard, context.cancel)
            # Once more: it tells now how the training went on after its best model.
            reports.want()
        context.emit(Log("train.end", machine=server.name))
        with answers.reading(server.name):
            told = _facts(result)
        return Receipt(self.name, "done", upload.inputs, facts={"model": model, "run": job.id, **told})

    def _say_unused(self, options: TrainOptions, context: StepContext) -> None:
        """A setting that the recipe has not is no reason to stop a class; that it changes nothing is said."""
        unused = [name for name in SETTINGS
                  if getattr(options, name) is not None and name not in RECIPES[options.recipe].settings]
        if unused:
            context.emit(Log("train.unused", {"settings": unused, "recipe": options.recipe}, "warning"))

    def _taken_up(self, workspace: Workspace, upload: Receipt, server: Machine,
                  context: StepContext) -> tuple[RemoteJob | None, dict[str, Any]]:
        """The training that an earlier start of ours left there, and what was noted of it, whatever became of watching it:
        only one that its student cancelled and that ended all the same is not wanted."""
        noted = workspace.attempt(self.name, upload.inputs)
        if noted is None or "run" not in noted.facts:
            return None, {}
        run, wanted = str(noted.facts["run"]), ("running",) if noted.outcome == "cancelled" else ("running", "done")
        if not any(one["id"] == run and one["state"] in wanted for one in server.jobs()):
            return None, {}
        context.emit(Log("job.taken_up", {"run": run}, machine=server.name))
        return server.attach(run), {key: value for key, value in noted.facts.items() if key not in ("error", "what")}

    def _model(self, workspace: Workspace, upload: Receipt, server: Machine, student: str, asked: Mapping[str, Any]) -> str:
        """The uploaded model's folder; for another training, a new one whose images are hard links.

        One that was killed goes on in its own folder, where the server finds how far it was. A best model that was kept (of
        a training that was cancelled, or was asked for otherwise) stays as it is.
        """
        uploaded = str(upload.facts["model"])
        unfinished, done = workspace.attempt(self.name, upload.inputs), workspace.done(self.name)
        gone = unfinished is not None and unfinished.facts.get("error") in ("train.data_gone", *GONE)
        if unfinished is not None and "model" in unfinished.facts and not gone:
            kept = trained.best_of(unfinished) is not None
            if not kept or (unfinished.outcome != "cancelled" and unfinished.facts.get("asked") == asked):
                return str(unfinished.facts["model"])
        elif (done is None or done.inputs != upload.inputs) and not workspace.model_folder(uploaded).exists():
            return uploaded
        stem = names.model_stem(student, workspace.name)
        above = trained.highest_number(workspace, stem)
        clone = server.store("clone", uploaded, stem, *ident.all_of(workspace), f"--above={above}")
        with answers.reading(server.name):
            return answers.model(clone, "model")


def _is_gone(upload: Receipt, error: WorkFailed, server: Machine) -> bool:
    """Whether the error is about what was uploaded: where it is about a copy of it alone, there will be another one."""
    uploaded = upload.facts["model"]
    return error.params.get("model") == uploaded or all(
        one["model"] != uploaded for one in wire.to_models(server.store("models"), server.name))


def _check_settings(options: TrainOptions) -> list[AiNanoError]:
    problems: list[AiNanoError] = []
    if options.epochs is not None and not 1 <= options.epochs <= MOST_EPOCHS:
        problems.append(BadInput("train.epochs", epochs=options.epochs, most=MOST_EPOCHS))
    # Also a rate of a million: what comes of it is the training's to say.
    if options.lr is not None and not (0 < options.lr and math.isfinite(options.lr)):
        problems.append(BadInput("train.lr", lr=options.lr))
    if options.batch is not None and not 1 <= options.batch <= LARGEST_BATCH:
        problems.append(BadInput("train.batch", batch=options.batch, most=LARGEST_BATCH))
    if options.minutes is not None and not 0 < options.minutes <= LONGEST_MINUTES:
        problems.append(BadInput("train.minutes", minutes=options.minutes, most=LONGEST_MINUTES))
    if not 0 <= options.seed <= LARGEST_SEED:
        problems.append(BadInput("train.seed", seed=options.seed, most=LARGEST_SEED))
    return problems


def _kept_best(workspace: Workspace, model: str) -> dict[str, Any]:
    """The best model that an earlier attempt left in this very folder: it is there until a better one takes its place."""
    best = trained.best_of(workspace.attempts.get("train"))
    return {trained.BEST: best} if best is not None and best["model"] == model else {}


def _facts(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the receipt keeps of the training's result. Raises Nonsense."""
    images = optional(answers.mapping, result, "images")
    return {"recipe": optional(answers.text, result, "recipe"), "arch": optional(answers.text, result, "arch"),
            "stage": optional(answers.text, result, "stage"), "stopped": bool(optional(answers.flag, result, "stopped")),
            "epochs": optional(answers.count, result, "epochs"),
            "images": None if images is None else {part: optional(answers.count, images, part) for part in PARTS},
            "val_accuracy": optional(answers.fraction, result, "val_accuracy"),
            "test_accuracy": optional(answers.fraction, result, "test_accuracy"),
            "seconds": optional(answers.number, result, "seconds"),
            "checkpoint_sha256": optional(answers.text, result, "checkpoint_sha256")}
