"""Pictures made elsewhere (files, folders, zips) become images of the project: step 2 without a camera."""

import hashlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ai_nano.core import names
from ai_nano.core.answers import shown
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.events import Log, Progress
from ai_nano.core.files import storage_errors, write_atomically
from ai_nano.core.importing.find import ZIP, Candidate, FileSource, Refused, find
from ai_nano.core.importing.pictures import Brought, Glimpse, LeftOut
from ai_nano.core.importing.plan import Looked, Planned, arrange, class_folders, same_class
from ai_nano.core.ports import StepContext
from ai_nano.core.progress import Pace
from ai_nano.core.project.workspace import Receipt, Workspace, new_take

T = TypeVar("T")
R = TypeVar("R")

# Beyond this many, what is left out is summed up by its reasons, and named in a file.
MOST_NAMED = 20
LEFT_OUT_FILE = "left-out.txt"
_MOST_THREADS = 4
# Decoded and not yet written, for each thread: what bounds the memory.
_AHEAD = 4
_TELL_S = 0.1


@dataclass(frozen=True)
class ImportOptions:
    """`paths` are files, folders and zips. `class_name` None: their folders are named after classes; `new_classes`: those
    that the project does not have are made, else their pictures are left out."""

    class_name: str | None
    paths: tuple[Path, ...]
    new_classes: bool = False


class ImportStep:
    """What is kept of each picture, and which are one take: doc/design/importing.md."""

    name = "import"
    lane: str | None = "laptop"

    def check(self, workspace: Workspace, options: ImportOptions) -> list[AiNanoError]:
        problems: list[AiNanoError] = []
        if options.class_name is not None:
            try:
                name = names.class_name(options.class_name)
                if not options.new_classes and name not in workspace.classes:
                    problems.append(BadInput("record.unknown_class", name=name, classes=workspace.classes))
            except BadInput as error:
                problems.append(error)
        problems += [BadInput("import.missing", file=path) for path in options.paths
                     if not (path.is_file() or path.is_dir())]
        if options.class_name is None and not any(path.is_dir() or path.suffix.lower() == ZIP for path in options.paths):
            problems.append(BadInput("import.no_class", paths=options.paths))
        return problems

    def run(self, workspace: Workspace, options: ImportOptions, context: StepContext) -> Receipt:
        with storage_errors(workspace.path):
            return Receipt(self.name, "done", "", facts=_Import(workspace, options, context).run())


def folders_by_class(workspace: Workspace, paths: Sequence[Path]) -> dict[str, int]:
    """How many files that may be pictures are in each folder that stands for a class, by the project's name for it or, where
    it has no such class, by the folder's: what a window asks about before it imports with `new_classes`.

    Reads names only, but those of all files: not for the window's own thread.
    """
    counts: Counter[str] = Counter()
    with ExitStack() as opened:
        candidates = [one for one in find(paths, opened) if isinstance(one, Candidate)]
        for _, name in _with_classes(candidates, paths, workspace):
            if name is not None:
                counts[name] += 1
    return dict(counts)


def _with_classes(candidates: Sequence[Candidate], paths: Sequence[Path],
                  workspace: Workspace) -> Iterator[tuple[Candidate, str | None]]:
    """Each with its class as the project calls it, or as its folder is called where the project has none such."""
    known = {same_class(name): name for name in workspace.classes}
    by_root: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_root.setdefault(candidate.root, []).append(candidate)
    for root, members in by_root.items():
        path = paths[root]
        top = "" if isinstance(members[0].source, FileSource) and not path.is_dir() else path.resolve().name
        top = top[:-len(ZIP)] if top.lower().endswith(ZIP) else top
        folders = class_folders([one.folders for one in members], top, lambda name: same_class(name) in known)
        for member, folder in zip(members, folders, strict=True):
            yield member, known.get(same_class(folder), folder) if folder else None


@dataclass(frozen=True)
class _Picture:
    """`t`: unix time of the photograph, or else of its file's last change."""

    candidate: Candidate
    class_name: str
    t: float

    @property
    def shown(self) -> str:
        return self.candidate.source.shown


@dataclass(frozen=True)
class _Came:
    """What a file's bytes are: `digest` their SHA-256, `picture` None where that is there already."""

    digest: str
    picture: Brought | None


class _Import:
    """One run. What is imported when it ends, however it ends, stays and is said."""

    def __init__(self, workspace: Workspace, options: ImportOptions, context: StepContext) -> None:
        self._workspace = workspace
        self._options = options
        self._context = context
        self._take = new_take()
        self._saved: Counter[str] = Counter()
        self._already = 0
        self._changes: Counter[str] = Counter()
        self._refused: list[Refused] = []
        # By class: the SHA-256 of what was imported before, and the take of which it is a frame (None: a single picture).
        self._there: dict[str, dict[str, str | None]] = {}
        self._takes: dict[int, str] = {}
        self._told_at = 0.0

    def run(self) -> dict[str, object]:
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        pool = ThreadPoolExecutor(threads, "import")
        ahead = _AHEAD * threads
        try:
            with ExitStack() as opened:
                planned = arrange(self._look(opened, pool, ahead))
                self._prepare(dict.fromkeys(one.what.class_name for one in planned))
                pace = Pace()
                for number, (one, came) in enumerate(_in_order(pool, self._bring, planned, ahead), 1):
                    self._context.cancel.check()
                    self._take_over(one, came)
                    self._progress(number, len(planned), "images", pace.eta(number, len(planned)))
        except BaseException:
            self._tell(stopped=True)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        facts = self._tell(stopped=False)
        if not self._saved and not self._already:
            self._nothing()
        return facts

    # ---- looking -----------------------------------------------------------------------------------------------------

    def _look(self, opened: ExitStack, pool: ThreadPoolExecutor, ahead: int) -> list[Looked[_Picture]]:
        """Every picture that can be one, by its first bytes, with its class."""
        candidates: list[Candidate] = []
        for found in find(self._options.paths, opened):
            self._context.cancel.check()
            if isinstance(found, Refused):
                self._refused.append(found)
            else:
                candidates.append(found)
        pictures: list[Looked[_Picture]] = []
        seen = _in_order(pool, self._glimpse, self._classes(candidates), ahead)
        for number, ((candidate, name), told) in enumerate(seen, 1):
            self._context.cancel.check()
            self._progress(number, 0, "images")
            if isinstance(told, LeftOut):
                if candidate.sure:
                    self._refused.append(Refused(candidate.source.shown, told))
                continue
            glimpse, changed = told
            picture = _Picture(candidate, name, changed if glimpse.taken is None else glimpse.taken)
            pictures.append(Looked(picture, candidate.name, (name, candidate.root, candidate.folders), glimpse))
        return pictures

    def _classes(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, str]]:
        """Those that have a class, with it; the others are refused."""
        workspace, options = self._workspace, self._options
        if options.class_name is not None:
            name = names.class_name(options.class_name)
            folder = workspace.image_folder(name).resolve()
            own: dict[Path, bool] = {}
            for candidate in candidates:
                source = candidate.source
                parent = source.path.parent if isinstance(source, FileSource) else None
                if parent is not None and parent not in own:
                    own[parent] = parent.resolve() == folder
                if parent is not None and own[parent]:
                    self._refused.append(Refused(candidate.source.shown, LeftOut("own")))
                else:
                    yield candidate, name
            return
        made: dict[str, str | LeftOut] = {name: name for name in workspace.classes}
        for candidate, folder_name in _with_classes(candidates, options.paths, workspace):
            if folder_name is not None and folder_name not in made:
                made[folder_name] = self._new_class(folder_name, made)
            name_or_reason = made[folder_name] if folder_name is not None else LeftOut("no_folder")
            if isinstance(name_or_reason, str):
                yield candidate, name_or_reason
            elif candidate.sure:
                self._refused.append(Refused(candidate.source.shown, name_or_reason))

    def _new_class(self, folder: str, made: dict[str, str | LeftOut]) -> str | LeftOut:
        """The name of the class that a folder becomes."""
        if not self._options.new_classes:
            return LeftOut("no_class", name=shown(folder))
        try:
            name = names.class_name(folder)
        except BadInput as error:
            return LeftOut("class_name", why=shown(error.what))
        others = (one for one in made.values() if isinstance(one, str))
        return next((one for one in others if same_class(one) == same_class(name)), name)

    def _glimpse(self, one: tuple[Candidate, str]) -> tuple[Glimpse, float] | LeftOut:
        source = one[0].source
        try:
            head, changed = source.look()
            return self._context.lab.images.glimpse(head, one[0].name, source.read), changed
        except LeftOut as reason:
            return reason

    # ---- taking over -------------------------------------------------------------------------------------------------

    def _prepare(self, classes: Iterable[str]) -> None:
        """Classes and folders for what comes, and what of it is there already."""
        workspace = self._workspace
        for name in classes:
            if name not in workspace.classes:
                workspace.add_class(name)
            workspace.image_folder(name).mkdir(parents=True, exist_ok=True)
            self._there[name] = {}
        files = {name: set(os.listdir(workspace.image_folder(name))) for name in self._there}
        for note in workspace.takes().values():
            if "sha256" in note and note["file"] in files.get(note["class"], ()):
                self._there[note["class"]][str(note["sha256"])] = None if note.get("single") else str(note.get("take", ""))
        _end_line(workspace.takes_file)

    def _bring(self, one: Planned[_Picture]) -> _Came | LeftOut:
        """In a thread of the pool."""
        candidate, name = one.what.candidate, one.what.class_name
        try:
            data = candidate.source.read()
            digest = hashlib.sha256(data).hexdigest()
            if digest in self._there[name]:
                return _Came(digest, None)
            return _Came(digest, self._context.lab.images.take_in(data, candidate.name))
        except LeftOut as reason:
            return reason

    def _take_over(self, one: Planned[_Picture], came: _Came | LeftOut) -> None:
        if isinstance(came, LeftOut):
            self._refused.append(Refused(one.what.shown, came))
            return
        there = self._there[one.what.class_name]
        if came.picture is None or came.digest in there:
            take = there[came.digest]
            if take is not None:  # what is missing of a take that was broken off belongs to it
                self._takes.setdefault(one.run, take)
            self._already += 1
            return
        self._save(one, came.digest, came.picture)

    def _save(self, one: Planned[_Picture], digest: str, picture: Brought) -> None:
        name = one.what.class_name
        if not one.single and one.run not in self._takes:
            self._takes[one.run] = f"{self._take}-{len(self._takes) + 1}" if self._takes else self._take
        take = self._take if one.single else self._takes[one.run]
        file = f"{self._take}-{self._saved.total() + 1:05d}.jpg"
        note = {"file": file, "class": name, "take": take, "t": one.what.t, "camera": one.what.candidate.source.uri,
                "width": picture.width, "height": picture.height, "sha256": digest}
        # Noted first: an image without its note would be imported again when an import that was killed is repeated.
        self._workspace.note_image({**note, "single": True} if one.single else note)
        write_atomically(self._workspace.image_folder(name) / file, picture.jpeg, sync=False)
        there = self._there[name]
        there[digest] = None if one.single else take
        self._saved[name] += 1
        self._changes.update(picture.changes)

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, stopped: bool) -> dict[str, object]:
        """What came of it, in sentences; returns the receipt's facts."""
        tell = self._context.emit
        for name, saved in self._saved.items():
            tell(Log("import.done", {"name": name, "saved": saved, "count": self._workspace.count(name)}))
        if self._already:
            tell(Log("import.already", {"count": self._already}))
        for change in ("scaled", "first_only", "on_white"):
            if self._changes[change]:
                tell(Log(f"import.{change}", {"count": self._changes[change]}))
        reasons = Counter(one.reason.text for one in self._refused)
        listed = None
        if len(self._refused) <= MOST_NAMED:
            for one in self._refused:
                tell(Log("import.left_out", {"file": one.shown, "reason": one.reason.text}, "warning"))
        else:
            for reason, count in reasons.most_common():
                tell(Log("import.left_out_many", {"count": count, "reason": reason}, "warning"))
            listed = self._list()
        if stopped:
            tell(Log("import.stopped", {"saved": self._saved.total()}, "warning"))
        return {"class": self._options.class_name, "classes": dict(self._saved), "saved": self._saved.total(),
                "already": self._already, **{change: self._changes[change] for change in ("scaled", "first_only", "on_white")},
                "left_out": [one.shown for one in self._refused[:MOST_NAMED]], "left_out_count": len(self._refused),
                "left_out_reasons": dict(Counter(one.reason.reason for one in self._refused)),
                "left_out_file": str(listed) if listed else None}

    def _list(self) -> Path | None:
        """The file that names all that is left out; None where the disk has no room for it."""
        file = self._workspace.hidden / LEFT_OUT_FILE
        lines = "".join(f"{one.text}\n" for one in self._refused)
        try:
            write_atomically(file, lines.encode("utf-8", "backslashreplace"))
        except OSError:
            return None
        self._context.emit(Log("import.left_out_list", {"file": file}, "warning"))
        return file

    def _progress(self, done: int, total: int, unit: str, eta_s: float | None = None) -> None:
        """Some times a second: files may come by the thousand."""
        now = time.monotonic()
        if done == total or now - self._told_at >= _TELL_S:
            self._told_at = now
            self._context.emit(Progress("import", done, total, unit, eta_s))

    def _nothing(self) -> None:
        """Raises BadInput, with what was left out as its details."""
        details = [one.text for one in self._refused[:MOST_NAMED]]
        if self._refused and all(one.reason.reason == "no_class" for one in self._refused):
            folders = sorted({str(one.reason.params["name"]) for one in self._refused})
            raise BadInput("import.other_folders", folders=folders, classes=self._workspace.classes or "–")
        raise BadInput("import.nothing", paths=self._options.paths, details=details)


def _in_order(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[tuple[T, R]]:
    """Each item with what became of it in the pool, in the order of the items; at most `ahead` are begun and not yet given."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) >= ahead:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _end_line(file: Path) -> None:
    """A line that a crash or a full disk has cut would swallow the next one."""
    if file.exists() and file.stat().st_size:
        with file.open("rb+") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
