"""The model bundle: model.onnx, labels.txt and bundle.json, as export leaves them and the Nano takes them.

Its files come from the server: they are read as what another machine says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import answers, names
from ai_nano.core.errors import MissingPrerequisite, WorkFailed
from ai_nano.core.files import sha256

FILES = MODEL, LABELS, JSON = ("model.onnx", "labels.txt", "bundle.json")
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
VERSION = 1
# What is larger is none of these.
LARGEST_BYTES = {MODEL: 1 << 30, LABELS: 1 << 20, JSON: 16 << 20, REPORT_JSON: 16 << 20}


@dataclass(frozen=True)
class Bundle:
    """A whole bundle in `folder`. `raw` is bundle.json."""

    folder: Path
    model: str
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    raw: Mapping[str, Any]


def is_there(folder: Path) -> bool:
    """Whether the folder has all files of a bundle; `load` says whether they are right."""
    return all((folder / name).is_file() for name in FILES)


def load(folder: Path) -> Bundle:
    """The bundle in `folder`, checked: every file there, hashes right, labels.txt and bundle.json of one opinion.

    Raises MissingPrerequisite `bundle.missing` or WorkFailed `bundle.damaged`.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise MissingPrerequisite("bundle.missing", model=folder.name, file=name)
    raw = read_json(folder, JSON)
    if raw.get("v") != VERSION:
        raise WorkFailed("bundle.version", model=folder.name, version=answers.shown(str(raw.get("v")), 20))
    try:
        model, hashes = answers.text(raw, "model"), answers.mapping(raw, "sha256")
        classes = answers.texts(raw, "classes", longest=names.LONGEST_LABEL)
        # These two and no others: a name in the bundle never becomes a path.
        bundle = Bundle(folder, model, tuple(classes), {name: answers.text(hashes, name) for name in (MODEL, LABELS)}, raw)
        if not names.is_model_name(model):
            raise answers.Nonsense("model")
    except answers.Nonsense as error:
        raise damaged(folder, JSON) from error
    for name, expected in bundle.sha256.items():
        if not _small_enough(folder, name) or sha256(folder / name) != expected:
            raise damaged(folder, name)
    try:
        labels = (folder / LABELS).read_text(encoding="utf-8").split("\n")
    except ValueError as error:
        raise damaged(folder, LABELS) from error
    if tuple(labels) != bundle.classes:
        raise WorkFailed("bundle.labels", model=bundle.model)
    return bundle


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of the bundle. WorkFailed `bundle.damaged`."""
    try:
        if not _small_enough(folder, name):
            raise answers.Nonsense("size")
        return answers.decode((folder / name).read_bytes())
    except answers.Nonsense as error:
        raise damaged(folder, name) from error


def damaged(folder: Path, name: str) -> WorkFailed:
    return WorkFailed("bundle.damaged", model=folder.name, file=name)


def _small_enough(folder: Path, name: str) -> bool:
    return (folder / name).stat().st_size <= LARGEST_BYTES[name]
