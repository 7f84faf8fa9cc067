"""Step 7: the model goes to one or several Nanos, and is verified there."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from ai_nano.core import bundle
from ai_nano.core.errors import AiNanoError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Log, Progress
from ai_nano.core.ports import StepContext, Upload
from ai_nano.core.workflow import newest_bundle
from ai_nano.core.workspace import Receipt, Workspace


@dataclass(frozen=True)
class DeployOptions:
    """Names of Nanos; none: the first of the config."""

    nanos: tuple[str, ...] = ()


class DeployStep:
    name = "deploy"
    lane: str | None = "nano"

    def check(self, workspace: Workspace, options: DeployOptions) -> list[AiNanoError]:
        return [] if newest_bundle(workspace) is not None else [MissingPrerequisite("deploy.no_export")]

    def run(self, workspace: Workspace, options: DeployOptions, context: StepContext) -> Receipt:
        model = newest_bundle(workspace)
        assert model is not None, "check() looked"
        checked = bundle.load(workspace.model_folder(model))
        nanos = [context.lab.nano_config(name) for name in options.nanos or (None,)]
        without_pin = checked.classes[min(len(nano.pins) for nano in nanos):]
        if without_pin:
            context.emit(Log("deploy.without_pin", {"classes": without_pin}))
        receipt = Receipt(self.name, "done", checked.sha256["model.onnx"], facts={"model": model, "nanos": []})
        for nano in nanos:
            self._deploy(checked, nano.name, context)
            # Noted one by one: a second Nano that is away does not take the first one's model back.
            receipt.facts["nanos"].append(nano.name)
            workspace.note(receipt)
        context.emit(Log("deploy.end", {"nanos": receipt.facts["nanos"]}))
        return receipt

    def _deploy(self, checked: bundle.Bundle, name: str, context: StepContext) -> None:
        nano = context.lab.nano(name)
        folder = PurePosixPath("models") / checked.model
        # bundle.json last: a folder that has it is whole.
        files = [Upload(checked.folder / file, folder / file) for file in bundle.FILES]
        nano.upload(files, lambda done, total: context.emit(Progress(self.name, done, total, "bytes")), context.cancel)
        there = nano.store("hash", checked.model, *bundle.FILES)["sha256"]
        for file in bundle.FILES:
            if there.get(file) != bundle.sha256(checked.folder / file):
                raise WorkFailed("deploy.differs", machine=name, file=file, model=checked.model)
        context.emit(Log("deploy.verified", {"model": checked.model}, machine=name))
