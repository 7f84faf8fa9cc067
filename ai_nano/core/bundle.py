"""The model bundle: model.onnx, labels.txt and bundle.json, as export leaves them and the Nano takes them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core.errors import MissingPrerequisite, WorkFailed

FILES = ("model.onnx", "labels.txt", "bundle.json")
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
VERSION = 1


@dataclass(frozen=True)
class Bundle:
    """A whole bundle in `folder`. `raw` is bundle.json."""

    folder: Path
    model: str
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    raw: Mapping[str, Any]


def load(folder: Path) -> Bundle:
    """The bundle in `folder`, checked: every file there, hashes right, labels.txt and bundle.json of one opinion.

    Raises MissingPrerequisite `bundle.missing` or WorkFailed `bundle.damaged`.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise MissingPrerequisite("bundle.missing", model=folder.name, file=name)
    try:
        raw = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if raw["v"] != VERSION:
            raise WorkFailed("bundle.version", model=folder.name, version=raw["v"])
        bundle = Bundle(folder, raw["model"], tuple(raw["classes"]), dict(raw["sha256"]), raw)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFailed("bundle.damaged", model=folder.name, file="bundle.json") from error
    for name, expected in bundle.sha256.items():
        if sha256(folder / name) != expected:
            raise WorkFailed("bundle.damaged", model=bundle.model, file=name)
    if tuple((folder / "labels.txt").read_text(encoding="utf-8").split("\n")) != bundle.classes:
        raise WorkFailed("bundle.labels", model=bundle.model)
    return bundle


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
