"""Step 5: training on the GPU server, followed live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers, names, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.events import Log
from ai_nano.core.ports import Machine, RemoteJob, StepContext
from ai_nano.core.workspace import PARTS, Receipt, Workspace

RECIPES = ("quick",)
ARCHITECTURES = ("efficientnet_lite0",)


@dataclass(frozen=True)
class TrainOptions:
    """`epochs` None: as many as the recipe takes."""

    recipe: str = "quick"
    arch: str = "efficientnet_lite0"
    epochs: int | None = None
    seed: int = 0


class TrainStep:
    name = "train"
    lane: str | None = None

    def check(self, workspace: Workspace, options: TrainOptions) -> list[AiNanoError]:
        problems: list[AiNanoError] = []
        if workspace.done("upload") is None:
            problems.append(MissingPrerequisite("train.no_upload"))
        if options.recipe not in RECIPES:
            problems.append(BadInput("train.recipe", recipe=options.recipe, known=RECIPES))
        if options.arch not in ARCHITECTURES:
            problems.append(BadInput("train.arch", arch=options.arch, known=ARCHITECTURES))
        if options.epochs is not None and options.epochs < 1:
            problems.append(BadInput("train.epochs", epochs=options.epochs))
        return problems

    def run(self, workspace: Workspace, options: TrainOptions, context: StepContext) -> Receipt:
        upload = workspace.done("upload")
        assert upload is not None, "check() looked"
        server = context.lab.server
        job, model = self._taken_up(workspace, upload, server, context)
        if job is None:
            model = self._model(workspace, upload, server, context.lab.config.student)
            params = {"model": model, "recipe": options.recipe, "arch": options.arch, "epochs": options.epochs,
                      "seed": options.seed, "weights": context.lab.server_config.weights}
            # Noted before it starts: a laptop that goes away at any moment finds its training again.
            job = server.start("train", "gpu_server/train.py", params, on_id=lambda run: workspace.note(
                Receipt(self.name, "running", upload.inputs, facts={"model": model, "run": run})))
        result: Mapping[str, Any] = wire.follow(job, self.name, server.name, context.emit, context.cancel)
        context.emit(Log("train.end", machine=server.name))
        with answers.reading(server.name):
            facts = _facts(result)
        return Receipt(self.name, "done", upload.inputs, facts={"model": model, "run": job.id, **facts})

    def _taken_up(self, workspace: Workspace, upload: Receipt, server: Machine,
                  context: StepContext) -> tuple[RemoteJob | None, str]:
        """The training that an earlier start of ours left there, whatever became of watching it: only one that its student
        cancelled and that ended all the same is not wanted."""
        noted = workspace.attempt(self.name, upload.inputs)
        if noted is None or "run" not in noted.facts:
            return None, ""
        run, wanted = str(noted.facts["run"]), ("running",) if noted.outcome == "cancelled" else ("running", "done")
        if not any(one["id"] == run and one["state"] in wanted for one in server.jobs()):
            return None, ""
        context.emit(Log("job.taken_up", {"run": run}, machine=server.name))
        return server.attach(run), str(noted.facts["model"])

    def _model(self, workspace: Workspace, upload: Receipt, server: Machine, student: str) -> str:
        """The uploaded model's folder; for another training, a new one whose images are hard links."""
        uploaded = str(upload.facts["model"])
        unfinished, trained = workspace.attempt(self.name, upload.inputs), workspace.done(self.name)
        if unfinished is not None and "model" in unfinished.facts and unfinished.facts.get("error") != "model.missing":
            return str(unfinished.facts["model"])
        if trained is None or trained.inputs != upload.inputs:
            return uploaded
        clone = server.store("clone", uploaded, names.model_stem(student, workspace.name))
        with answers.reading(server.name):
            return answers.model(clone, "model")


def _facts(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the receipt keeps of the training's result. Raises Nonsense."""
    images = optional(answers.mapping, result, "images")
    return {"recipe": optional(answers.text, result, "recipe"), "arch": optional(answers.text, result, "arch"),
            "epochs": optional(answers.count, result, "epochs"),
            "images": None if images is None else {part: optional(answers.count, images, part) for part in PARTS},
            "val_accuracy": optional(answers.fraction, result, "val_accuracy"),
            "test_accuracy": optional(answers.fraction, result, "test_accuracy"),
            "seconds": optional(answers.number, result, "seconds"),
            "checkpoint_sha256": optional(answers.text, result, "checkpoint_sha256")}
