"""Pictures to start with, in a room pack: gathered by the instructor, and made into a project of the student's own.

No picture is made anew: it is the file as it was, once it has been seen to be one. The project's folder appears when it is
whole, and one that is there is never touched.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ai_nano.core import names, natural
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.files import image_names, storage_errors
from ai_nano.core.importing.pictures import LeftOut
from ai_nano.core.ports import Images
from ai_nano.core.project.pack import free_folder
from ai_nano.core.project.workspace import STATE_FILE, Receipt, Workspace
from ai_nano.core.room import pack
from ai_nano.core.room.config import Config
from ai_nano.core.room.pack import Pack, Starter
from ai_nano.core.room.pack_zip import PackZip, is_picture_name

ASIDE = ".ai_nano-starting-"

Tell = Callable[[int, int], object]


def gather(folder: Path, images: Images) -> tuple[Starter, dict[str, Any]]:
    """The pictures of a workspace, or of a folder with one for each class; and what a workspace says of how it is recorded.

    BadInput where there are none, or one that is no picture: its instructor can still take it out.
    """
    settings: dict[str, Any] = {}
    called = folder.resolve().name
    if (folder / STATE_FILE).exists():
        workspace = Workspace.open(folder)
        root, classes, settings = folder / "images", list(workspace.classes), workspace.settings
        called = workspace.name
    else:
        if not folder.is_dir():
            raise BadInput("room_pack.no_images", folder=folder)
        root = folder
        classes = [one.name for one in sorted(folder.iterdir(), key=lambda one: natural.key(one.name))
                   if one.is_dir() and not one.name.startswith(".") and image_names(one)]
    classes = names.different_names(classes)
    files = [(name, root / name / file) for name in classes for file in image_names(root / name) if is_picture_name(file)]
    if not files:
        raise BadInput("room_pack.no_images", folder=folder)
    for _, path in files:
        _look(path, path.read_bytes(), images)
    return Starter(_project_name(called), tuple(classes), files), settings


def _project_name(called: str) -> str:
    """As it is, where every computer can have it so."""
    try:
        return names.class_name(called)
    except BadInput:
        return names.slug(called, "project")


def make(file: Path, found: Pack, folder: Path | None, parent: Path, images: Images,
         tell: Tell = lambda done, total: None) -> Path:
    """A project of the pack's pictures in `folder`, which must not exist; None: a new one in `parent`, named after it."""
    target = folder or free_folder(parent, found.project or "")
    if target.exists() or target.is_symlink():
        raise BadInput("project_pack.exists", folder=target)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=target.parent))
        try:
            _fill(file, found, aside / "project", images, tell)
            if target.exists() or target.is_symlink():
                raise BadInput("project_pack.exists", folder=target)
            os.rename(aside / "project", target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _fill(file: Path, found: Pack, place: Path, images: Images, tell: Tell) -> None:
    workspace = Workspace.create(place, list(found.classes), found.project)
    with PackZip(file) as archive:
        for done, picture in enumerate(found.pictures):
            data = archive.picture(picture)
            _look(file / picture.class_name / picture.name, data, images)
            (place / "images" / picture.class_name / picture.name).write_bytes(data)
            tell(done + 1, len(found.pictures))
    with workspace.writing():
        workspace.settings.update(found.defaults.for_project())
        workspace.note(Receipt("project", "done", "", facts={"classes": len(workspace.classes)}))


def _look(path: Path, data: bytes, images: Images) -> None:
    try:
        images.take_in(data, path.name)
    except LeftOut as error:
        raise BadInput("room_pack.no_picture", picture=path, reason=error.text) from error


def open_all(file: Path, user_folder: Path, images: Images, folder: Path | None = None, parent: Path | None = None,
             tell: Tell = lambda done, total: None) -> tuple[Config, Path | None]:
    """The room as it is saved, and the project that was made of the pack's pictures, if it has any. All of it, or nothing."""
    found = pack.check(file, user_folder)
    if not found.pictures and folder is not None:
        raise BadInput("room_pack.no_folder", file=file, folder=folder)
    project = make(file, found, folder, parent or Path.cwd(), images, tell) if found.pictures else None
    try:
        return pack.open_pack(file, user_folder), project
    except AiNanoError:
        if project is not None:
            shutil.rmtree(project, ignore_errors=True)
        raise


def target_of(told: Mapping[str, Any]) -> int | None:
    """How many images each class is to get, as a workspace has it."""
    recording = told.get("recording")
    target = recording.get("target") if isinstance(recording, dict) else None
    return target if isinstance(target, int) and not isinstance(target, bool) else None
