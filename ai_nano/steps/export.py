"""Step 6: export to ONNX on the server; the bundle and the report come back into the workspace."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ai_nano.core import answers, bundle, report, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import AiNanoError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Log
from ai_nano.core.files import is_image_name, storage_errors, write_atomically
from ai_nano.core.nano import nano_test
from ai_nano.core.ports import Images, StepContext
from ai_nano.core.project import ident, trained
from ai_nano.core.project.workspace import Receipt, Workspace

# In the workspace's models/, while a model comes.
FETCHED = ".fetched"
# The gate of the export found that the exported file answers otherwise than the trained network.
REFUSED = "export.differs"
THUMBNAIL_WIDTH = 320


@dataclass(frozen=True)
class ExportOptions:
    pass


class ExportStep:
    name = "export"
    lane: str | None = None

    def check(self, workspace: Workspace, options: ExportOptions) -> list[AiNanoError]:
        return [] if trained.newest(workspace) is not None else [MissingPrerequisite("export.no_training")]

    def run(self, workspace: Workspace, options: ExportOptions, context: StepContext) -> Receipt:
        chosen = trained.newest(workspace)
        assert chosen is not None, "check() looked"
        model, server = chosen.model, context.lab.server
        job = server.start("export", "gpu_server/export.py", {"model": model, "workspaces": list(ident.all_of(workspace))})
        try:
            result = wire.follow(job, self.name, server.name, context.emit, context.cancel)
        except WorkFailed as error:
            if error.code == REFUSED:
                # What fails about the report is less than what it is about.
                with suppress(AiNanoError):
                    self._fetch_report(workspace, model, context)
            raise
        with answers.reading(server.name):
            facts, checkpoint = _facts(result), optional(answers.text, result, "checkpoint_sha256")
        folder = workspace.model_folder(model)
        with storage_errors(folder):
            # Of the model's own name, which is what an error about it says.
            fetched = workspace.model_folder(FETCHED) / model
            shutil.rmtree(fetched.parent, ignore_errors=True)
            fetched.mkdir(parents=True)
            for name in (*bundle.FILES, bundle.REPORT_JSON):
                server.download(PurePosixPath("models") / model / name, fetched / name, context.cancel)
            checked = bundle.load(fetched)
            figures = write_page(workspace, fetched, context.lab.images)
            if (folder / nano_test.FILE).is_file():
                shutil.copy2(folder / nano_test.FILE, fetched)
            # The one before stays until this one is whole.
            with workspace.publishing:
                if folder.exists():
                    folder.rename(fetched.with_name(f"{model}.before"))
                fetched.rename(folder)
            shutil.rmtree(fetched.parent, ignore_errors=True)
        context.emit(Log("export.end", machine=server.name))
        # Its own word for which checkpoint it read: a training that goes on may have a better one meanwhile.
        return Receipt(self.name, "done", checkpoint or chosen.checkpoint,
                       facts={"model": model, "classes": list(checked.classes), "sha256": checked.sha256[bundle.MODEL],
                              **facts, **_rehearsed(figures)})

    def _fetch_report(self, workspace: Workspace, model: str, context: StepContext) -> None:
        """The report alone, which names the images on which the export was refused; what was exported before stays."""
        folder, source = workspace.model_folder(model), PurePosixPath("models") / model / bundle.REPORT_JSON
        with storage_errors(folder):
            fetched = workspace.model_folder(FETCHED) / model
            shutil.rmtree(fetched.parent, ignore_errors=True)
            fetched.mkdir(parents=True)
            context.lab.server.download(source, fetched / bundle.REPORT_JSON, context.cancel)
            write_page(workspace, fetched, context.lab.images)
            with workspace.publishing:
                folder.mkdir(exist_ok=True)
                for name in (bundle.REPORT_JSON, bundle.REPORT_HTML):
                    (fetched / name).replace(folder / name)
            shutil.rmtree(fetched.parent, ignore_errors=True)


def write_page(workspace: Workspace, folder: Path, images: Images, fresh: report.Fresh | None = None) -> report.Report:
    """report.html of the report.json in a model's folder, with the workspace's pictures. WorkFailed `bundle.damaged`."""

    def thumbnail(file: str) -> bytes | None:
        path = tested_image(workspace, file)
        return None if path is None else images.thumbnail(path, THUMBNAIL_WIDTH)

    figures = report.load(folder)
    write_atomically(folder / bundle.REPORT_HTML, report.render(figures, thumbnail, fresh).encode("utf-8"))
    return figures


def _facts(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the receipt keeps of the export's result. Raises Nonsense."""
    return {**{key: optional(answers.count, result, key) for key in ("opset", "ir_version", "bytes")},
            **{key: optional(answers.number, result, key) for key in ("max_difference", "agreement")}}


def _rehearsed(figures: report.Report) -> dict[str, float]:
    """What the report says of the Nano's half precision; nothing where it was not rehearsed."""
    half = figures.export.fp16 if figures.export is not None else None
    return {} if half is None else {"fp16_accuracy": half.accuracy, "fp16_agreement": half.agreement}


def tested_image(workspace: Workspace, file: str) -> Path | None:
    """The image `test/<class>/<name>` of the split; None for what the server calls so and is none."""
    part, _, rest = file.partition("/")
    name, _, image = rest.partition("/")
    folder = workspace.path / "test" / name
    if part != "test" or name not in workspace.classes or not folder.is_dir():
        return None
    # Found, not joined: what comes from another machine never becomes a path.
    return next((path for path in folder.iterdir() if path.name == image and is_image_name(path)), None)
