"""The page of a model's report, made from its report.json and the workspace's own images where it is not there yet."""

from pathlib import Path

from ai_nano.core import bundle, names
from ai_nano.core.errors import AiNanoError
from ai_nano.core.files import storage_errors
from ai_nano.core.ports import Images
from ai_nano.core.project.workspace import Workspace
from ai_nano.steps.export import tested_image, write_page

PIXELS = 200


def page(workspace: Workspace, model: str, images: Images) -> Path:
    """report.html of the model, made anew where there is none or report.json is newer. Raises WorkFailed."""
    folder = workspace.model_folder(model)
    told, path = folder / bundle.REPORT_JSON, folder / bundle.REPORT_HTML
    with storage_errors(folder):
        if not path.is_file() or (told.is_file() and told.stat().st_mtime_ns > path.stat().st_mtime_ns):
            write_page(workspace, folder, images)
    return path


def thumbnail(workspace: Workspace, file: str, images: Images) -> bytes | None:
    """A small JPEG of the image of the split that a report names; None where it is not there."""
    path = tested_image(workspace, file)
    return None if path is None else images.thumbnail(path, PIXELS)


def make_pages(workspace: Workspace, images: Images) -> None:
    """For all models; one whose report cannot be read has none."""
    models = workspace.path / "models"
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if names.is_model_name(folder.name) and (folder / bundle.REPORT_JSON).is_file():
            try:
                page(workspace, folder.name, images)
            except AiNanoError:
                continue
