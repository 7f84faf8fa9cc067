"""Step 4: the upload of train/, val/, test/ and labels.txt to the GPU server."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Log, Progress
from ai_nano.core.files import is_image_name
from ai_nano.core.ports import Machine, StepContext, Upload
from ai_nano.core.progress import Pace
from ai_nano.core.workspace import PARTS, Receipt, Workspace


@dataclass(frozen=True)
class UploadOptions:
    pass


class UploadStep:
    name = "upload"
    lane: str | None = "server"

    def check(self, workspace: Workspace, options: UploadOptions) -> list[AiNanoError]:
        if not workspace.has_split():
            return [MissingPrerequisite("upload.no_split", folder=workspace.path)]
        empty = [name for name in workspace.classes if not _images(workspace, "train", name)]
        return [MissingPrerequisite("upload.empty_class", name=name) for name in empty]

    def run(self, workspace: Workspace, options: UploadOptions, context: StepContext) -> Receipt:
        workspace.write_labels()
        inputs = workspace.split_fingerprint()
        server = context.lab.server
        model = self._model(workspace, inputs, server, context.lab.config.student)
        # Known before the first byte goes out, so that an upload that was cut off is taken up again in the same folder.
        workspace.note(Receipt(self.name, "running", inputs, facts={"model": model}))
        folder = PurePosixPath("models") / model
        files = [Upload(path, folder / part / name / path.name)
                 for part in PARTS for name in workspace.classes for path in _images(workspace, part, name)]
        # labels.txt goes last: a folder that has it is whole.
        files.append(Upload(workspace.labels_file, folder / "labels.txt"))
        pace = Pace()
        sent = server.upload(files, lambda done, total: context.emit(
            Progress(self.name, done, total, "bytes", pace.eta(done, total))), context.cancel)
        code = "upload.done" if sent < len(files) else "upload.done_anew"
        context.emit(Log(code, {"model": model, "sent": sent, "total": len(files)}, machine=server.name))
        return Receipt(self.name, "done", inputs, facts={"model": model, "files": len(files), "sent": sent})

    def _model(self, workspace: Workspace, inputs: str, server: Machine, student: str) -> str:
        """The folder to fill: the one of an upload that was cut off, or a new name, reserved on the server."""
        broken_off = workspace.attempt(self.name, inputs)
        if broken_off is not None and "model" in broken_off.facts:
            return str(broken_off.facts["model"])
        return reserve(server, student, workspace.name)


def reserve(server: Machine, student: str, project: str) -> str:
    """A new model name, made on the server by an exclusive mkdir: no two laptops can get the same."""
    return _first_free(server, student, project, lambda model: server.store("reserve", model))


def reserve_clone(server: Machine, uploaded: str, student: str, project: str) -> str:
    """A new model with the dataset of `uploaded` as hard links."""
    return _first_free(server, student, project, lambda model: server.store("clone", uploaded, model))


def _first_free(server: Machine, student: str, project: str, make: Callable[[str], object]) -> str:
    number = next_number(server, student, project)
    for attempt in range(number, number + 50):
        model = names.model_name(student, project, attempt)
        try:
            make(model)
            return model
        except WorkFailed as error:
            if error.code != "store.exists":
                raise
    raise WorkFailed("upload.no_name", machine=server.name)


def next_number(server: Machine, student: str, project: str) -> int:
    """One more than the highest number that this student and project have on the server."""
    stem = names.model_name(student, project, 0).rpartition("-")[0]
    taken = [re.fullmatch(re.escape(stem) + r"-(\d+)", str(one["model"])) for one in server.store("models")["models"]]
    return max((int(match.group(1)) for match in taken if match), default=0) + 1


def _images(workspace: Workspace, part: str, name: str) -> list[Path]:
    folder = workspace.path / part / name
    return sorted(path for path in folder.iterdir() if is_image_name(path)) if folder.is_dir() else []
