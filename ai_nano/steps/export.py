"""Step 6: export to ONNX on the server; the bundle and the report come back into the workspace."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from ai_nano.core import bundle, report, wire
from ai_nano.core.errors import AiNanoError, MissingPrerequisite
from ai_nano.core.events import Log
from ai_nano.core.files import storage_errors, write_atomically
from ai_nano.core.ports import StepContext
from ai_nano.core.workspace import Receipt, Workspace


@dataclass(frozen=True)
class ExportOptions:
    pass


class ExportStep:
    name = "export"
    lane: str | None = None

    def check(self, workspace: Workspace, options: ExportOptions) -> list[AiNanoError]:
        return [] if workspace.done("train") is not None else [MissingPrerequisite("export.no_training")]

    def run(self, workspace: Workspace, options: ExportOptions, context: StepContext) -> Receipt:
        train = workspace.done("train")
        assert train is not None, "check() looked"
        model, server = str(train.facts["model"]), context.lab.server
        job = server.start("export", "gpu_server/export.py", {"model": model})
        result = wire.follow(job, self.name, server.name, context.emit, context.cancel)
        folder = workspace.model_folder(model)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in (*bundle.FILES, bundle.REPORT_JSON):
                server.download(PurePosixPath("models") / model / name, folder / name, context.cancel)
            checked = bundle.load(folder)
            write_atomically(folder / bundle.REPORT_HTML, self._report(workspace, model, context).encode("utf-8"))
        context.emit(Log("export.end", machine=server.name))
        keep = ("opset", "ir_version", "bytes", "max_difference", "agreement")
        return Receipt(self.name, "done", str(train.facts.get("checkpoint_sha256", "")),
                       facts={"model": model, "classes": list(checked.classes), **{key: result.get(key) for key in keep}})

    def _report(self, workspace: Workspace, model: str, context: StepContext) -> str:
        folder = workspace.model_folder(model)
        figures = json.loads((folder / bundle.REPORT_JSON).read_text(encoding="utf-8"))
        return report.render(figures, lambda file: context.lab.images.thumbnail(workspace.path / file, 200))
