"""Frames of which a model was wrong or unsure, put under their true class: images of the workspace from then on."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.files import storage_errors, write_atomically
from ai_nano.core.project.workspace import Workspace, new_take


@dataclass(frozen=True)
class Seen:
    """What `model` said of a frame: `class_name` None where it recognised nothing; `confidence` as it was shown."""

    model: str
    class_name: str | None
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return {"seen": self.class_name, "confidence": round(self.confidence, 4), "model": self.model}


@dataclass(frozen=True)
class Shot:
    """A frame as it is kept: `t` is the laptop's unix time at which it was shown, since a Nano's clock may be years behind."""

    jpeg: bytes
    t: float
    width: int
    height: int


def refusal(workspace: Workspace | None, classes: Iterable[str] = ()) -> AiNanoError | None:
    """Why frames of a model with these classes cannot become images here; None where they can."""
    if workspace is None:
        return MissingPrerequisite("correct.no_project")
    unknown = [name for name in classes if name not in workspace.classes]
    if unknown:
        return MissingPrerequisite("correct.other_classes", names=unknown, classes=workspace.classes)
    return None


class Corrections:
    """A take of corrected frames: those of one session of one camera, whatever their classes. For any thread."""

    def __init__(self, workspace: Workspace, camera: str) -> None:
        self._workspace = workspace
        self._camera = camera
        self._lock = threading.Lock()
        self._count = 0
        self.take = new_take()

    def add(self, shot: Shot, class_name: str, seen: Seen | None) -> Path:
        """The frame as an image of that class; whole, or not there. BadInput, MissingPrerequisite, WorkFailed as for every
        image that is written."""
        workspace = self._workspace
        if class_name not in workspace.classes:
            raise BadInput("record.unknown_class", name=class_name, classes=workspace.classes)
        with self._lock, workspace.writing(), storage_errors(workspace.path):
            name = f"{self.take}-{self._count + 1:05d}.jpg"
            target = workspace.image_folder(class_name) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            note = {"file": name, "class": class_name, "take": self.take, "t": shot.t, "camera": self._camera,
                    "width": shot.width, "height": shot.height, "corrected": seen.to_json() if seen is not None else {}}
            # Noted first: an image without its note would count as a recorded one.
            workspace.note_image(note)
            write_atomically(target, shot.jpeg, sync=False)
            self._count += 1
        return target
