"""Step 4: the upload of train/, val/, test/ and labels.txt to the GPU server."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Log, Progress, State
from ai_nano.core.files import is_image_name
from ai_nano.core.ports import Delivery, Parcel, Sent, StepContext, Upload
from ai_nano.core.project import ident, trained
from ai_nano.core.project.workspace import PARTS, Receipt, Workspace
from ai_nano.steps import space


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
        # Training comes next: it loads its libraries while the images travel.
        server.warm_up()

        def note(model: str) -> None:
            # Known before the first byte goes out: an upload that was cut off is taken up again in the same folder.
            workspace.note(Receipt(self.name, "running", inputs, facts={"model": model}))

        files = tuple(Upload(path, PurePosixPath(part, name, path.name))
                      for part in PARTS for name in workspace.classes for path in _images(workspace, part, name))
        labels = Upload(workspace.labels_file, PurePosixPath("labels.txt"))
        stem = names.model_stem(context.lab.config.student, workspace.name)
        parcel = Parcel((owned_by(workspace, context), *files, labels), sender_of(workspace), self._model(workspace, inputs),
                        stem, trained.highest_number(workspace, stem), self._earlier(workspace), on_name=note,
                        spare_bytes=space.TRAINING_BYTES,
                        on_contact=lambda there: context.emit(contact(self.name, () if there else (server.name,), server.name)))
        if parcel.model is not None:
            note(parcel.model)

        def tell(sent: Sent) -> None:
            context.emit(progress(self.name, sent))

        try:
            delivery = server.upload(parcel, tell, context.cancel)
        except WorkFailed as error:
            if error.code != "store.exists" or parcel.model is None:
                raise space.explained(error, server) from error
            # Another laptop had a copy of this workspace and was first, or somebody changed the folder there.
            delivery = server.upload(replace(parcel, model=None, like=(parcel.model, *parcel.like)), tell, context.cancel)
        context.emit(Log("upload.done", {"model": delivery.model, "total": delivery.files, "sent": delivery.sent,
                                         "kept": delivery.files - delivery.sent}, machine=server.name))
        return Receipt(self.name, "done", inputs, facts=_facts(delivery))

    def _model(self, workspace: Workspace, inputs: str) -> str | None:
        """The folder of an upload that was cut off, whatever it was to hold; or of one that succeeded with the same images."""
        broken_off, done = workspace.attempts.get(self.name), workspace.done(self.name)
        if broken_off is not None and "model" in broken_off.facts:
            return str(broken_off.facts["model"])
        return str(done.facts["model"]) if done is not None and done.inputs == inputs else None

    def _earlier(self, workspace: Workspace) -> tuple[str, ...]:
        """The models there that may have most of these images already."""
        noted = (workspace.done(step) for step in (self.name, "train"))
        return tuple(dict.fromkeys(str(receipt.facts["model"]) for receipt in noted if receipt is not None))


def owned_by(workspace: Workspace, context: StepContext) -> Upload:
    """The file that says whose it is: first of all, so that also what is broken off is known to be somebody's."""
    context.lab.note_project(ident.of(workspace), workspace.name)
    return Upload(ident.owner_file(workspace, context.lab.config.student), PurePosixPath(ident.FILE))


def progress(step: str, sent: Sent) -> Progress:
    return Progress(step, sent.done_bytes, sent.total_bytes, "bytes", sent.eta_s,
                    files=(sent.done_files, sent.total_files), rate=sent.bytes_per_s)


def contact(step: str, lost: Sequence[str], machine: str) -> State:
    """That the step waits for the machines which are `lost`; with none, that the last one, `machine`, is there again."""
    if lost:
        return State(step, "lost", "status.contact_lost.sending", {"machine": lost})
    return State(step, "running", "status.contact_back", {"machine": machine})


def sender_of(workspace: Workspace) -> str:
    """Names this laptop and this workspace, the same in each start: what one of them sends is no other's to go on with."""
    words = (*ident.here(), str(workspace.path.resolve()), ident.of(workspace))
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _facts(delivery: Delivery) -> dict[str, object]:
    return {"model": delivery.model, "files": delivery.files, "sent": delivery.sent}


def _images(workspace: Workspace, part: str, name: str) -> list[Path]:
    folder = workspace.path / part / name
    return sorted(path for path in folder.iterdir() if is_image_name(path)) if folder.is_dir() else []
