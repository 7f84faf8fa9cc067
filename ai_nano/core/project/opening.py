"""Opening a project that was taken home (project_pack.py), read as something that a stranger made.

Every name in it must have one of the forms that a workspace has, every size is known and bounded before the first byte is
written, and the folder appears under its name when it is whole. An existing one is never touched.
"""

import json
import os
import re
import shutil
import stat
import tempfile
import time
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ai_nano.core import answers, bundle, names, zip_table
from ai_nano.core.answers import Nonsense, optional
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, WorkFailed
from ai_nano.core.files import is_image_name, storage_errors, write_json
from ai_nano.core.project.pack import (
    KIND,
    LABELS,
    MANIFEST,
    MODEL_FILES,
    SPLIT,
    TAKE_KEYS,
    TAKES,
    VERSION,
    Tell,
    free_folder,
    is_file_name,
)
from ai_nano.core.project.workspace import PARTS, SCHEMA, STATE_FILE, Workspace

LARGEST_TABLE = zip_table.LARGEST
LARGEST_IMAGE = 256 << 20
LARGEST_TEXT = 64 << 20
# A zip of pictures and networks is hardly smaller than they are; what grows more than this is a bomb.
MOST_GROWTH = 20
GROWS_FREELY = 16 << 20
SPARE_BYTES = 64 << 20
# A project that is being opened; what a killed program left of one goes after a day.
ASIDE = ".ai_nano-opening-"
ASIDE_S = 24 * 3600.0
STEPS_OF_MODELS = ("upload", "train", "export", "deploy")
MOST_FACTS = 40
_BROKEN = zip_table.BROKEN
_HASH = re.compile(r"[0-9a-f]{0,64}")


def is_project(file: Path) -> bool:
    """Whether the file says of itself that it is a project, and not for example a room pack. Never raises."""
    try:
        with _archive(file) as archive:
            return any(info.orig_filename == MANIFEST for info in archive.infolist())
    except AiNanoError:
        return False


def open_project(file: Path, folder: Path | None = None, tell: Tell = lambda done, total: None,
                 cancel: CancelToken | None = None, parent: Path | None = None) -> Workspace:
    """Unpack the project into `folder`, which must not exist; None: a new one in `parent`, named after the project.

    `tell` gets how many bytes are out, of how many. Raises BadInput for a file that may not be trusted or a folder that is
    there, WorkFailed where there is no room, Cancelled; then nothing is left of it.
    """
    cancel = cancel or CancelToken()
    if folder is not None and (folder.exists() or folder.is_symlink()):
        raise BadInput("project_pack.exists", folder=folder)
    with _archive(file) as archive:
        members = _members(file, archive)
        with _refusing(file, MANIFEST):
            manifest = _manifest(file, _document(file, archive, members, MANIFEST))
        with _refusing(file, STATE_FILE):
            state = _state(_document(file, archive, members, STATE_FILE))
        wanted = _wanted(file, members, state["classes"])
        links = _links(file, manifest, wanted, state["classes"])
        target = folder or free_folder(parent or Path.cwd(), state["name"])
        total = sum(info.file_size for info in wanted.values())
        _check_size(file, archive, target, total)
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=target.parent))
        try:
            with storage_errors(target):
                _unpack(file, archive, aside, wanted, manifest, tell, total, cancel)
                _link(aside, links)
                _check_texts(file, aside, state["classes"])
                for name in state["classes"]:
                    (aside / "images" / name).mkdir(parents=True, exist_ok=True)
                write_json(aside / STATE_FILE, state)
                os.chmod(aside, 0o755)
                Workspace.open(aside)
                if target.exists() or target.is_symlink():
                    raise BadInput("project_pack.exists", folder=target)
                aside.rename(target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return Workspace.open(target)


# ---- the zip ---------------------------------------------------------------------------------------------------------


@contextmanager
def _archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, once its table is known to be small enough. BadInput."""
    try:
        if zip_table.size(file) > LARGEST_TABLE:
            raise BadInput("project_pack.too_big", file=file, member=file.name)
        archive = zipfile.ZipFile(file)
    except OSError as error:
        raise BadInput("project_pack.missing", file=file, reason=error.strerror or str(error)) from error
    except _BROKEN as error:
        raise BadInput("project_pack.not_a_project", file=file) from error
    with archive:
        yield archive


def _members(file: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name: plain files with plain names, each once (also on a disk that knows no capitals)."""
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for info in archive.infolist():
        # As it stands in the file: zipfile's own `filename` ends at the first NUL.
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        same = unicodedata.normalize("NFC", name).casefold()
        packed = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if same in seen or kind not in (0, stat.S_IFREG) or name.endswith("/") or not packed or info.flag_bits & 1:
            raise BadInput("project_pack.member", file=file, member=ascii(name[:80]))
        seen.add(same)
        found[name] = info
    for name in (MANIFEST, STATE_FILE):
        if name not in found:
            raise BadInput("project_pack.not_a_project", file=file)
    return found


def _check_size(file: Path, archive: zipfile.ZipFile, target: Path, total: int) -> None:
    """What the table says comes out must be in proportion to the file, and there must be room for it."""
    size = file.stat().st_size
    packed = sum(info.compress_size for info in archive.infolist())
    if packed > size or total > GROWS_FREELY + MOST_GROWTH * size:
        raise BadInput("project_pack.too_big", file=file, member=file.name)
    there = next(one for one in (target, *target.parents) if one.exists())
    if total + SPARE_BYTES > shutil.disk_usage(there).free:
        raise WorkFailed("workspace.disk_full", folder=target)


def _document(file: Path, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> dict[str, Any]:
    try:
        if members[name].file_size > LARGEST_TEXT:
            raise BadInput("project_pack.too_big", file=file, member=name)
        with archive.open(members[name]) as stream:
            data = stream.read(LARGEST_TEXT)
        return answers.decode(data)
    except _BROKEN as error:  # Nonsense is a ValueError
        raise BadInput("project_pack.damaged", file=file, member=name) from error


def _unpack(file: Path, archive: zipfile.ZipFile, aside: Path, wanted: Mapping[str, zipfile.ZipInfo],
            manifest: Mapping[str, Any], tell: Tell, total: int, cancel: CancelToken) -> None:
    done = 0
    for name, info in wanted.items():
        path = aside.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open(info) as source, path.open("xb") as sink:
                left = info.file_size
                while block := source.read(min(1 << 20, left + 1)):
                    cancel.check()
                    left -= len(block)
                    if left < 0:
                        raise BadInput("project_pack.damaged", file=file, member=ascii(name[:80]))
                    sink.write(block)
                    done += len(block)
                    tell(done, total)
        except _BROKEN as error:
            raise BadInput("project_pack.damaged", file=file, member=ascii(name[:80])) from error
        changed = manifest["times"].get(name)
        if changed is not None:
            os.utime(path, ns=(changed, changed))


def _sweep(parent: Path) -> None:
    for one in parent.glob(f"{ASIDE}*"):
        if time.time() - one.stat().st_mtime > ASIDE_S:
            shutil.rmtree(one, ignore_errors=True)


def _check_texts(file: Path, aside: Path, classes: list[str]) -> None:
    """labels.txt is text; of the other two stays what has their form: later steps make paths of what they say."""
    try:
        for name in (LABELS, TAKES, SPLIT):
            path = aside.joinpath(*name.split("/"))
            if not path.exists():
                continue
            text = path.read_text(encoding="utf-8")
            if name == TAKES:
                notes = [note for line in text.splitlines() if (note := _take(line, classes)) is not None]
                lines = "".join(json.dumps(note, ensure_ascii=False) + "\n" for note in notes)
                path.write_text(lines, encoding="utf-8")
            elif name == SPLIT:
                assigned = answers.mapping(answers.decode(text.encode()), "assigned")
                if not all(part in PARTS for part in assigned.values()):
                    raise Nonsense("assigned")
    except ValueError as error:  # Nonsense too
        raise BadInput("project_pack.damaged", file=file, member=name) from error


def _take(line: str, classes: list[str]) -> dict[str, Any] | None:
    """A line of takes.jsonl as a recording notes it; None for any other."""
    try:
        raw = answers.decode(line.encode())
        answers.number(raw, "t"), answers.text(raw, "take"), answers.text(raw, "file"), answers.choice(raw, "class", classes)
    except Nonsense:
        return None
    return {"v": 1, **{key: raw[key] for key in TAKE_KEYS if key in raw}}


def _link(aside: Path, links: Mapping[str, str]) -> None:
    """The images of the split that are images of the workspace."""
    for name, original in links.items():
        path, source = aside.joinpath(*name.split("/")), aside.joinpath(*original.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError:
            shutil.copy2(source, path)


# ---- what may be in it -----------------------------------------------------------------------------------------------


@contextmanager
def _refusing(file: Path, member: str) -> Iterator[None]:
    """Nonsense inside is a damaged file."""
    try:
        yield
    except (Nonsense, BadInput) as error:
        if isinstance(error, BadInput) and error.code.startswith("project_pack."):
            raise
        raise BadInput("project_pack.damaged", file=file, member=member) from error


def _manifest(file: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    """`times` by name in nanoseconds, and `links`. Raises Nonsense."""
    if raw.get("type") != KIND:
        raise BadInput("project_pack.not_a_project", file=file)
    if raw.get("v") != VERSION or isinstance(raw["v"], bool):
        raise BadInput("project_pack.version", file=file, version=str(raw.get("v"))[:20])
    times = {}
    for name, told in answers.mapping(raw, "files").items():
        numbers = {"size": told[0], "time": told[1]} if isinstance(told, list) and len(told) == 2 else {}
        times[name] = answers.count(numbers, "time", 0, 1 << 62)
    return {"times": times, "links": answers.mapping(raw, "links")}


def _state(raw: Mapping[str, Any]) -> dict[str, Any]:
    """ai_nano.json, with nothing in it that later becomes a path and is none of a workspace. Raises Nonsense, BadInput."""
    if answers.count(raw, "schema") > SCHEMA:
        raise BadInput("workspace.newer", folder="", schema=raw["schema"])
    classes = names.different_names([one for one in answers.items(raw, "classes", 1000) if isinstance(one, str)])
    if len(classes) != len(raw["classes"]):
        raise Nonsense("classes")
    settings = optional(answers.mapping, raw, "settings") or {}
    kept: dict[str, Any] = {}
    if (planned := optional(answers.count, settings, "planned_classes", high=1000)) is not None:
        kept["planned_classes"] = planned
    if optional(answers.flag, settings, "split_given"):
        kept["split_given"] = True
    receipts = answers.mapping(raw, "receipts", 20)
    return {"schema": SCHEMA, "name": answers.text(raw, "name", names.LONGEST_FILE_NAME), "classes": classes,
            "settings": kept, "attempts": {},
            "receipts": {answers.shown(step, 20): _receipt(step, answers.mapping(receipts, step)) for step in receipts}}


def _receipt(step: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    facts = dict(answers.mapping(raw, "facts", MOST_FACTS))
    if step in STEPS_OF_MODELS or "model" in facts:
        answers.model(facts, "model")
    if step == "export":
        answers.texts(facts, "classes", longest=names.LONGEST_LABEL)
        for key in ("opset", "ir_version", "bytes"):
            optional(answers.count, facts, key)
        for key in ("max_difference", "agreement"):
            optional(answers.number, facts, key)
        for key in ("fp16_accuracy", "fp16_agreement"):
            optional(answers.fraction, facts, key)
    if step == "deploy":
        facts["nanos"] = answers.texts(facts, "nanos")
    for key in ("val_accuracy", "test_accuracy"):
        optional(answers.fraction, facts, key)
    optional(answers.number, facts, "seconds")
    inputs = answers.text(raw, "inputs", 64)
    if _HASH.fullmatch(inputs) is None:
        raise Nonsense("inputs")
    return {"outcome": answers.choice(raw, "outcome", ("done",)), "inputs": inputs, "at": answers.number(raw, "at", 0),
            "facts": facts}


def _wanted(file: Path, members: Mapping[str, zipfile.ZipInfo], classes: list[str]) -> dict[str, zipfile.ZipInfo]:
    """What is written to the disk. BadInput for a name that no workspace has, or a size beyond all reason.

    report.html is left out: a page from a stranger would be opened in a browser. It is made anew from report.json.
    """
    found = {}
    for name, info in members.items():
        limit = _limit(name, classes)
        if limit is None:
            raise BadInput("project_pack.member", file=file, member=ascii(name[:80]))
        if info.file_size > limit:
            raise BadInput("project_pack.too_big", file=file, member=ascii(name[:80]))
        if name not in (MANIFEST, STATE_FILE) and not name.endswith("/" + bundle.REPORT_HTML):
            found[name] = info
    return found


def _limit(name: str, classes: list[str]) -> int | None:
    """The most bytes that a member of this name may have; None where none may have it."""
    if name in (MANIFEST, STATE_FILE, LABELS, TAKES, SPLIT):
        return LARGEST_TEXT
    parts = name.split("/")
    if len(parts) != 3:
        return None
    top, middle, last = parts
    if top in ("images", *PARTS):
        good = middle in classes and is_file_name(last) and is_image_name(Path(last))
        return LARGEST_IMAGE if good else None
    if top == "models" and names.is_model_name(middle) and last in MODEL_FILES:
        return bundle.LARGEST_BYTES.get(last, LARGEST_TEXT)
    return None


def _links(file: Path, manifest: Mapping[str, Any], wanted: Mapping[str, zipfile.ZipInfo],
           classes: list[str]) -> dict[str, str]:
    """Images of the split by the image of the workspace that they are."""
    found = {}
    for name, original in manifest["links"].items():
        part, _, rest = name.partition("/")
        if part not in PARTS or original != f"images/{rest}" or original not in wanted or name in wanted \
                or _limit(name, classes) is None:
            raise BadInput("project_pack.member", file=file, member=ascii(name[:80]))
        found[name] = original
    return found
