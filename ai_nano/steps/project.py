"""Step 1: the project. The workspace, the classes by name, the camera."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_nano.core.errors import BadInput
from ai_nano.core.project.workspace import Receipt, Workspace


@dataclass(frozen=True)
class ProjectOptions:
    """`camera` is a URI; None: the config's. Without `classes`, as many as `planned` are named in step 2. `settings`: what a
    new project begins with in this room."""

    classes: tuple[str, ...]
    name: str | None = None
    camera: str | None = None
    planned: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


def open_or_create(path: Path, options: ProjectOptions) -> Workspace:
    """The workspace at `path`, whoever made it, with the camera chosen now; a new one where there is none. Raises BadInput."""
    try:
        workspace = Workspace.open(path)
    except BadInput as error:
        if error.code not in ("workspace.none", "workspace.missing"):
            raise
        return create(path, options)
    if options.camera is not None and options.camera != workspace.settings.get("camera"):
        with workspace.writing():
            workspace.settings["camera"] = options.camera
    return workspace


def create(path: Path, options: ProjectOptions) -> Workspace:
    """A new workspace with a folder for each class. Raises BadInput."""
    workspace = Workspace.create(path, list(options.classes), options.name)
    with workspace.writing():
        workspace.settings.update(options.settings)
        if options.camera is not None:
            workspace.settings["camera"] = options.camera
        if options.planned > len(workspace.classes):
            workspace.settings["planned_classes"] = options.planned
        workspace.note(Receipt("project", "done", "", facts={"classes": len(workspace.classes)}))
    return workspace
