"""A project taken home: one zip of the workspace, which opens on another laptop (project_open.py) and with any unzip.

`project.json` comes first: what it is, when each file was changed (a step is known to be done by that), and which images of
the split are images of the workspace, so that each picture is in the file once. What belongs to this computer and its room
stays here: cameras, unfinished work, caches, passwords (which lie in config.json, never in a workspace).
"""

import filecmp
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core import bundle, names
from ai_nano.core.answers import shown
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput
from ai_nano.core.files import is_image_name, storage_errors
from ai_nano.core.project.workspace import PARTS, SCHEMA, STATE_FILE, Receipt, Workspace

SUFFIX = ".zip"
VERSION = 1
KIND = "project"
MANIFEST = "project.json"
LABELS, TAKES, SPLIT = "labels.txt", ".ai_nano/takes.jsonl", ".ai_nano/split.json"
MODEL_FILES = (*bundle.FILES, bundle.REPORT_JSON, bundle.REPORT_HTML)
TAKE_KEYS = ("file", "class", "take", "t", "width", "height", "corrected", "single", "sha256")
SETTINGS = ("planned_classes", "split_given")
# Where files of this computer lie, and which room they were made in: nobody else's business.
FACTS_LEFT_OUT = ("camera", "left_out", "left_out_file", "run")
# Pictures do not become smaller; the earliest time that a zip can tell is of no use to anybody.
_STORED = (".jpg", ".jpeg", ".png", ".webp")
_TIME = (1980, 1, 1, 0, 0, 0)

Tell = Callable[[int, int], object]


@dataclass(frozen=True)
class Saved:
    """What `save` wrote: `images` and `models` of the workspace in `file`, `bytes` in all."""

    file: Path
    images: int
    models: int
    bytes: int


def save(workspace: Workspace, file: Path, tell: Tell = lambda done, total: None,
         cancel: CancelToken | None = None) -> Saved:
    """Write the project to `file`, whole or not at all; `.zip` is appended where it is missing. What is there gives way.

    `tell` gets how many bytes are in, of how many. Raises BadInput or WorkFailed (a full disk), Cancelled.
    """
    cancel = cancel or CancelToken()
    target = file if file.suffix == SUFFIX else file.with_name(file.name + SUFFIX)
    if not target.parent.is_dir():
        raise BadInput("project_pack.no_folder", file=target, folder=target.parent)
    names.different_names(workspace.classes)
    files = dict(_files(workspace))
    links = {name: original for name, path in files.items() if (original := _original(workspace, name, path)) is not None}
    files = {name: path for name, path in files.items() if name not in links}
    status = {name: path.stat() for name, path in files.items()}
    manifest = {
        "v": VERSION, "type": KIND, "name": workspace.name, "made": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "files": {name: [one.st_size, one.st_mtime_ns] for name, one in status.items()}, "links": links}
    texts = {MANIFEST: manifest, STATE_FILE: state(workspace)}
    total, done = sum(one.st_size for one in status.values()), 0
    with storage_errors(target):
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
                for name, document in texts.items():
                    archive.writestr(_info(name), json.dumps(document, ensure_ascii=False, indent=1) + "\n")
                archive.writestr(_info(TAKES), _takes(workspace))
                for name, path in files.items():
                    with path.open("rb") as source, archive.open(_info(name), "w", force_zip64=True) as sink:
                        while block := source.read(1 << 20):
                            cancel.check()
                            sink.write(block)
                            done += len(block)
                            tell(done, total)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    images = sum(name.startswith("images/") for name in files)
    models = len({name.split("/")[1] for name in files if name.startswith("models/")})
    return Saved(target, images, models, target.stat().st_size)


def state(workspace: Workspace) -> dict[str, Any]:
    """ai_nano.json as it travels: without attempts, which are this computer's, and without cameras."""
    settings = {key: workspace.settings[key] for key in SETTINGS if key in workspace.settings}
    return {"schema": SCHEMA, "name": workspace.name, "classes": workspace.classes, "settings": settings,
            "receipts": {step: _receipt(receipt) for step, receipt in workspace.receipts.items()}, "attempts": {}}


def _receipt(receipt: Receipt) -> Mapping[str, Any]:
    facts = {key: value for key, value in receipt.facts.items() if key not in FACTS_LEFT_OUT}
    return {**receipt.to_json(), "facts": facts}


def _takes(workspace: Workspace) -> str:
    notes = workspace.takes().values()
    return "".join(json.dumps({"v": 1, **{key: note[key] for key in TAKE_KEYS if key in note}}, ensure_ascii=False) + "\n"
                   for note in notes)


def _files(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """Every file that goes along, under its name in the zip."""
    root = workspace.path
    for part in ("images", *PARTS):
        for name in workspace.classes:
            folder = root / part / name
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if is_image_name(path) and is_file_name(path.name) and path.is_file():
                    yield f"{part}/{name}/{path.name}", path
    for name in (LABELS, SPLIT):
        if (root / name).is_file():
            yield name, root / name
    models = root / "models"
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if names.is_model_name(folder.name) and folder.is_dir():
            for name in MODEL_FILES:
                if (folder / name).is_file():
                    yield f"models/{folder.name}/{name}", folder / name


def _original(workspace: Workspace, name: str, path: Path) -> str | None:
    """The image of the workspace that this one of the split is, by name, time and content."""
    part, _, rest = name.partition("/")
    if part not in PARTS:
        return None
    original = workspace.path / "images" / rest
    try:
        here, there = path.stat(), original.stat()
        linked = os.path.samestat(here, there)
        same = linked or (here.st_mtime_ns == there.st_mtime_ns and filecmp.cmp(path, original, shallow=False))
    except OSError:
        return None
    return f"images/{rest}" if same else None


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_STORED if name.lower().endswith(_STORED) else zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    return info


def free_folder(parent: Path, name: str) -> Path:
    """A folder below `parent` that is not there yet, named after the project."""
    word = names.slug(name, "project")
    numbered = (parent / (word if number == 1 else f"{word}-{number}") for number in range(1, 10_000))
    found = next((path for path in numbered if not path.exists()), None)
    if found is None:
        raise BadInput("project_pack.exists", folder=parent / word)
    return found


def is_file_name(name: str) -> bool:
    """One plain component that a person can read; what is none is not taken along."""
    return (names.is_one_folder(name) and len(name.encode("utf-8", "surrogateescape")) <= names.LONGEST_FILE_NAME
            and shown(name) == name)
