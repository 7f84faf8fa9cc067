"""The workspace: one folder with everything of a project. See the contract page for its layout."""

import hashlib
import json
import operator
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import filelock

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.files import image_names, storage_errors, write_atomically
from ai_nano.core.project import changes
from ai_nano.core.project.take_notes import TakeNotes

SCHEMA = 1
STATE_FILE = "ai_nano.json"
PARTS = ("train", "val", "test")
# The times of folders may be as coarse as this: what changed since then may not show in them.
COARSE_NS = 2_500_000_000


@dataclass
class Receipt:
    """What a run of a step left behind; `inputs` is the fingerprint of what it used.

    `outcome` is done, failed, cancelled, lost, or running: noted on the way, and what is left of it when the laptop dies.
    """

    step: str
    outcome: str
    inputs: str
    at: float = field(default_factory=time.time)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "inputs": self.inputs, "at": self.at, "facts": self.facts}


@dataclass(frozen=True)
class ImageFile:
    """One recorded or imported image; `take` groups frames that were recorded in one go.

    `corrected`: a frame of which a model was wrong or unsure, and of which a person said what it is. `single`: it was made by
    itself, whatever came in with it.
    """

    path: Path
    class_name: str
    take: str
    t: float
    corrected: bool = False
    single: bool = False

    @property
    def key(self) -> str:
        """`<class>/<file>`, the name by which the split remembers it."""
        return f"{self.class_name}/{self.path.name}"


def new_take() -> str:
    """The name of a take that begins now: its images begin with it."""
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")[:-3]


class Workspace:
    """An open workspace. Reading needs no lock; everything that writes goes through `writing()`."""

    def __init__(self, path: Path, name: str, classes: list[str], settings: dict[str, Any] | None = None) -> None:
        self.path = path
        self.name = name
        self.classes = classes
        # The last success of each step, and what came of trying since then, until it succeeds again.
        self.receipts: dict[str, Receipt] = {}
        self.attempts: dict[str, Receipt] = {}
        self.settings = settings or {}
        # Held by as many steps of this process as are running; against other windows and commands it is one lock.
        self._lock = filelock.FileLock(str(self.hidden / "lock"), thread_local=False)
        self._mutex = threading.RLock()
        # Held while something in models/ takes the place of something else.
        self.publishing = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._saved = ""
        self.notes = TakeNotes(self.takes_file)
        # What runs on it in this program, by name: the workflow's to say.
        self.steps: Mapping[str, object] = {}
        self._listed: dict[str, _Listing] = {}

    # ---- opening -----------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, classes: list[str], name: str | None = None) -> "Workspace":
        """A new workspace at `path`; without classes, they are named later (`add_class`).

        BadInput when one is there already or the folder cannot be written.
        """
        if (path / STATE_FILE).exists():
            raise BadInput("workspace.exists", folder=path)
        if path.exists() and not path.is_dir():
            raise BadInput("workspace.not_a_folder", folder=path)
        workspace = cls(path, name or path.resolve().name, names.class_names(classes) if classes else [])
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        with workspace.writing():
            for one in workspace.classes:
                workspace.image_folder(one).mkdir(parents=True, exist_ok=True)
        return workspace

    @classmethod
    def open(cls, path: Path) -> "Workspace":
        """The workspace at `path`; also one that the older program made. BadInput when there is none.

        A change that a killed program has begun is carried out to its end, unless somebody is at it just now.
        """
        workspace = cls._read(path)
        with suppress(AiNanoError, OSError):
            if changes.journal(workspace).exists():
                with workspace.writing():
                    pass
        return workspace

    @classmethod
    def _read(cls, path: Path) -> "Workspace":
        state = path / STATE_FILE
        try:
            if state.exists():
                return cls._from_state(path, state)
            if any((path / part).is_dir() for part in ("images", *PARTS)):
                return cls._from_older_program(path)
            raise BadInput("workspace.none" if path.exists() else "workspace.missing", folder=path)
        except (OSError, UnicodeError) as error:  # a name too long, a folder that may not be read, labels.txt in Latin-1
            reason = getattr(error, "strerror", None) or str(error)
            raise BadInput("workspace.unreadable", folder=path, reason=reason) from error

    @classmethod
    def _from_state(cls, path: Path, state: Path) -> "Workspace":
        try:
            workspace = cls._from_json(path, json.loads(state.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput("workspace.damaged", file=state, reason=str(error)) from error
        workspace._stamp = workspace._stamp_now()
        return workspace

    @classmethod
    def _from_json(cls, path: Path, document: Mapping[str, Any]) -> "Workspace":
        if document["schema"] > SCHEMA:
            raise BadInput("workspace.newer", folder=path, schema=document["schema"])
        try:
            classes = names.folder_names(document["classes"])
        except BadInput as error:  # somebody wrote it by hand; names become paths
            raise BadInput("workspace.damaged", file=path / STATE_FILE, reason=error.what) from error
        workspace = cls(path, document["name"], classes, dict(document.get("settings", {})))
        for kept, key in ((workspace.receipts, "receipts"), (workspace.attempts, "attempts")):
            kept.update({step: Receipt(step, **one) for step, one in document.get(key, {}).items()})
        return workspace

    @classmethod
    def _from_older_program(cls, path: Path) -> "Workspace":
        labels = path / "labels.txt"
        if labels.exists():
            classes = [line for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            folder = path / "images" if (path / "images").is_dir() else path / "train"
            classes = sorted(one.name for one in folder.iterdir() if one.is_dir())
        return cls(path, path.resolve().name, names.folder_names(classes), settings={"split_given": True})

    # ---- writing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the workspace's lock, then save. MissingPrerequisite when it is open elsewhere; re-entrant in one process.

        Several threads may be inside at once: which steps may run side by side is the workflow's to say.
        """
        with storage_errors(self.path):
            self.hidden.mkdir(exist_ok=True)
        with storage_errors(self.path):
            try:
                with self._mutex:
                    first = not self._lock.is_locked
                    # A moment's patience: whoever asks whether the workspace is open elsewhere holds the lock for so long.
                    self._lock.acquire(timeout=0.5, poll_interval=0.02)
                    if first:
                        self.look_again()
                        changes.finish(self)
            except filelock.Timeout:  # an OSError too
                raise MissingPrerequisite("workspace.open_elsewhere", folder=self.path) from None
        try:
            yield
            self.save()
        finally:
            with self._mutex:
                self._lock.release()

    def look_again(self) -> None:
        """Take over what another window or command has written since; nothing where the file is as we know it."""
        with self._mutex:
            if self._stamp_now() in (None, self._stamp):
                return
            there = Workspace._from_state(self.path, self.path / STATE_FILE)
            self.name, self._stamp, self._saved = there.name, there._stamp, ""
            self.classes[:] = there.classes
            for mine, theirs in ((self.settings, there.settings), (self.receipts, there.receipts),
                                 (self.attempts, there.attempts)):
                mine.clear()
                mine.update(theirs)

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = (self.path / STATE_FILE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def save(self) -> None:
        """Nothing where the file says so already: then nothing can fail either."""
        with self._mutex, storage_errors(self.path):
            state = json.dumps({
                "schema": SCHEMA, "name": self.name, "classes": self.classes, "settings": self.settings,
                "receipts": {step: receipt.to_json() for step, receipt in self.receipts.items()},
                "attempts": {step: attempt.to_json() for step, attempt in self.attempts.items()}},
                ensure_ascii=False, indent=1, allow_nan=False) + "\n"
            if state != self._saved or self._stamp is None or self._stamp_now() != self._stamp:
                write_atomically(self.path / STATE_FILE, state.encode())
                self._stamp, self._saved = self._stamp_now(), state

    def refuse_beside(self, steps: Iterable[str]) -> None:
        """MissingPrerequisite while one of these steps of this program goes by what is about to change."""
        for step in steps:
            if step in self.steps:
                raise MissingPrerequisite("change.busy", other=step)

    def add_class(self, raw: str, position: int | None = None) -> str:
        """A further class with its folder, at `position` in the order of classes (None: last); returns its kept name.

        Raises BadInput for a name that cannot be one or is taken.
        """
        name = names.class_name(raw)
        with self.writing():
            place = len(self.classes) if position is None else position
            twin = next((one for one in self.classes if names.folded(one) == names.folded(name)), None)
            if twin is not None:
                raise BadInput("class_name.equal", name=name, other=twin)
            with storage_errors(self.path):
                self.image_folder(name).mkdir(parents=True, exist_ok=True)
                if not self.count(name):
                    self.notes.drop_class(name)
            self.classes.insert(place, name)
        return name

    @property
    def planned_classes(self) -> int:
        """How many classes step 1 asked for; as many as there are, where nothing was planned."""
        return max(int(self.settings.get("planned_classes", 0)), len(self.classes))

    def note(self, receipt: Receipt) -> None:
        """Keep a receipt (inside `writing()`). A failure does not displace an earlier success, whose model is still there."""
        with self._mutex:
            if receipt.outcome == "done":
                self.receipts[receipt.step] = receipt
                self.attempts.pop(receipt.step, None)
            else:
                self.attempts[receipt.step] = receipt
            self.save()

    def done(self, step: str) -> Receipt | None:
        """The receipt of a step's last success."""
        return self.receipts.get(step)

    def attempt(self, step: str, inputs: str) -> Receipt | None:
        """The attempt since then that did not succeed, if it was made with these inputs."""
        attempt = self.attempts.get(step)
        return attempt if attempt is not None and attempt.inputs == inputs else None

    def open_elsewhere(self) -> bool:
        """Whether some window or command is changing the workspace just now."""
        try:
            with filelock.FileLock(str(self.hidden / "lock"), timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # no folder for a lock yet, or a read-only one: nobody can be writing
            return False

    @property
    def split_given(self) -> bool:
        """The split was made by the older program (or by hand), not by our step 3."""
        return bool(self.settings.get("split_given"))

    # ---- places ------------------------------------------------------------------------------------------------------

    @property
    def hidden(self) -> Path:
        return self.path / ".ai_nano"

    @property
    def takes_file(self) -> Path:
        return self.hidden / "takes.jsonl"

    @property
    def labels_file(self) -> Path:
        return self.path / "labels.txt"

    def image_folder(self, class_name: str) -> Path:
        return self.path / "images" / class_name

    def model_folder(self, model: str) -> Path:
        return self.path / "models" / model

    # ---- images ------------------------------------------------------------------------------------------------------

    def image_paths(self, class_name: str) -> list[Path]:
        folder = self.image_folder(class_name)
        return [folder / name for name in image_names(folder)]

    def count(self, class_name: str) -> int:
        return len(image_names(self.image_folder(class_name)))

    def images(self, class_name: str) -> list[ImageFile]:
        """A class's images in the order of their recording. Images without a noted take share the take `""`.

        Thousands cost nothing as long as neither the folder nor takes.jsonl changes.
        """
        takes, folder = self.takes(), self.image_folder(class_name)
        try:
            status = folder.stat()
        except OSError:
            return []
        before, stamp = self._listed.get(class_name), (status.st_ino, status.st_mtime_ns)
        if before is not None and before.takes is takes and before.stamp == stamp:
            return list(before.images)
        began = time.time_ns()
        found = [_image_file(folder / name, class_name, takes.get(f"{class_name}/{name}")) for name in image_names(folder)]
        found.sort(key=operator.attrgetter("t"))  # those of one moment stay in the order of their names
        if began - status.st_mtime_ns > COARSE_NS:
            self._listed[class_name] = _Listing(stamp, takes, found)
        return list(found)

    def takes(self) -> dict[str, dict[str, Any]]:
        """takes.jsonl by `<class>/<file>`, to be read only; a line that is not whole (a crash, a full disk) is passed over."""
        return self.notes.all()

    def note_image(self, note: Mapping[str, Any]) -> None:
        self.notes.append([note])

    # ---- fingerprints ------------------------------------------------------------------------------------------------

    def images_fingerprint(self) -> str:
        """Changes whenever an image is added, removed or rewritten, or the classes change. Reads no image."""
        return self._fingerprint([self.image_folder(one) for one in self.classes], "\n".join(self.classes))

    def split_fingerprint(self) -> str:
        """The same for train/, val/, test/ and labels.txt: what an upload sends."""
        labels = self.labels_file.read_text(encoding="utf-8") if self.labels_file.exists() else ""
        return self._fingerprint([self.path / part / one for part in PARTS for one in self.classes], labels)

    def _fingerprint(self, folders: list[Path], salt: str) -> str:
        digest = hashlib.sha256(salt.encode())
        for folder in folders:
            inside = f"{folder.relative_to(self.path)}{os.sep}"
            for name in image_names(folder):
                status = os.stat(os.path.join(folder, name))
                line = f"{inside}{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:32]

    def has_split(self) -> bool:
        return self.labels_file.exists() and (self.path / "train").is_dir()

    def write_labels(self) -> None:
        """One class a line, in order, no empty line at the end: a trailing one would count as a class on the Nano.

        A file that says so already keeps its time, by which an upload knows it again.
        """
        data = "\n".join(self.classes).encode("utf-8")
        if not self.labels_file.is_file() or self.labels_file.read_bytes() != data:
            write_atomically(self.labels_file, data)


@dataclass(frozen=True)
class _Listing:
    """The images of a class, as long as its folder has this inode and time of change, and takes.jsonl says this."""

    stamp: tuple[int, int]
    takes: Mapping[str, Any]
    images: list[ImageFile]


def _image_file(path: Path, class_name: str, note: Mapping[str, Any] | None) -> ImageFile:
    try:
        if note is not None:
            return ImageFile(path, class_name, str(note["take"]), float(note["t"]), "corrected" in note,
                             bool(note.get("single")))
    except (KeyError, TypeError, ValueError):
        pass  # somebody wrote it by hand
    return ImageFile(path, class_name, "", path.stat().st_mtime)
