"""A parcel on its way into ROOT/models/: what is missing of it, its parts, its appearing (doc/design/transfers.md)."""

import errno
import hashlib
import os
import re
import shutil
import signal
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from shared import owner, processes, space
from shared.files import files_below, link_or_copy, same_time, sha256, take_lock
from shared.models import MODEL, Models
from shared.wire import Failure

OWNER = re.compile(r"[0-9a-f]{6,64}\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
PARTS = ("train", "val", "test")
PART = ".part-"
LONGEST_COMPONENT = 200  # bytes
DEEPEST = 8
LARGEST_FILE = 1 << 40
KEPT_S = 7 * 24 * 3600.0
GHOST_S = 5.0
# Of a training: its run's folder, checkpoints, report, and what is written beside each before it is renamed.
SPARE_FILES = 40

Tick = Callable[[], None]


class Entry(NamedTuple):
    """One file of a parcel, the `number`th from 0; `sha256` where the parcel is compared by content."""

    number: int
    path: str
    size: int
    mtime: int
    sha256: Optional[str]

    @property
    def part_path(self) -> str:
        """Where the beginning of exactly this version of the file lies."""
        name = f"{self.path}\0{self.size}\0{self.mtime}".encode("utf-8", "surrogateescape")
        folder, _, _ = self.path.rpartition("/")
        return os.path.join(folder, PART + hashlib.sha256(name).hexdigest()[:16])


class Parcel:
    """What the laptop announces. Raises Failure `transfer.bad_parcel` {key}, `transfer.bad_path` {path}, `store.bad_name`."""

    def __init__(self, message: Dict[str, Any]) -> None:
        self.model: Optional[str] = _name(message.get("model"))
        self.stem: Optional[str] = _name(message.get("stem"))
        if self.model is None and self.stem is None:
            raise Failure("transfer.bad_parcel", key="model")
        owner, like = message.get("owner"), message.get("like")
        if not isinstance(owner, str) or not OWNER.match(owner):
            raise Failure("transfer.bad_parcel", key="owner")
        if not isinstance(like, list):
            raise Failure("transfer.bad_parcel", key="like")
        self.owner = owner
        self.like: List[str] = [name for name in map(_name, like) if name is not None]
        self.replaces = message.get("replaces") is True
        workspaces, spare, above = message.get("workspaces"), message.get("spare"), message.get("above")
        self.workspaces = [one for one in workspaces if isinstance(one, str)] if isinstance(workspaces, list) else []
        self.force = message.get("force") is True
        self.spare = min(spare, LARGEST_FILE) if isinstance(spare, int) and spare > 0 else 0
        self.above = above if isinstance(above, int) and 0 < above < 10 ** 9 else 0
        files = message.get("files")
        if not isinstance(files, list) or not files:
            raise Failure("transfer.bad_parcel", key="files")
        self.entries = [_entry(number, one) for number, one in enumerate(files)]
        if len({entry.path for entry in self.entries}) < len(self.entries):
            raise Failure("transfer.bad_parcel", key="files")


def _name(value: Any) -> Optional[str]:
    if value is None:
        return None
    if not isinstance(value, str) or not MODEL.match(value):
        raise Failure("store.bad_name", name=str(value)[:200])
    return value


def _entry(number: int, value: Any) -> Entry:
    if not isinstance(value, list) or len(value) != 4:
        raise Failure("transfer.bad_parcel", key="files")
    path, size, mtime, digest = value
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (size, mtime))
    if not whole or not 0 <= size <= LARGEST_FILE or abs(mtime) > 1 << 40:
        raise Failure("transfer.bad_parcel", key="files")
    if digest is not None and not (isinstance(digest, str) and SHA256.match(digest)):
        raise Failure("transfer.bad_parcel", key="files")
    if not isinstance(path, str) or not allowed(path):
        raise Failure("transfer.bad_path", path=str(path)[:200])
    return Entry(number, path, size, mtime, digest)


def allowed(path: str) -> bool:
    """Whether a path may be a parcel's: it stays in the model's folder and takes no name of ours."""
    components = path.split("/")
    if len(components) > DEEPEST or any(character in path for character in "\0\n\r"):
        return False
    try:
        return all(one and not one.startswith(".") and len(one.encode("utf-8")) <= LONGEST_COMPONENT for one in components)
    except UnicodeEncodeError:
        return False


class Incoming:
    """One parcel's folder in ROOT/.ai_nano/incoming. `tick` is called while something takes long."""

    def __init__(self, root: Path, parcel: Parcel, tick: Tick) -> None:
        self._models = Models(root)
        self._place = root / ".ai_nano" / "incoming"
        self._parcel = parcel
        self._tick = tick
        self.model = parcel.model or ""
        self.linked = 0
        self.told = False  # whether the laptop knows the name; set by who tells it

    @property
    def target(self) -> Path:
        return self._models.path / self.model

    @property
    def folder(self) -> Path:
        return self._place / f"{self.model}.{self._parcel.owner}"

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Reserves a name where there is none, and keeps every other receiver of the same parcel away.

        A name that was reserved here is given back when something fails before the laptop is `told`.
        Failure `transfer.other_disk`.
        """
        os.makedirs(str(self._place), exist_ok=True)
        self._models.check_disk(self._place)
        reserved = not self.model
        if reserved:
            assert self._parcel.stem is not None
            self.model = self._models.reserve_next(self._parcel.stem, self._parcel.above)
        try:
            with self._locked():
                self._tidy()
                yield
        except BaseException:
            if reserved and not self.told:
                self._give_back()
            raise

    def _give_back(self) -> None:
        try:
            os.rmdir(str(self.target))
        except OSError:
            pass

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Who holds it already is the ghost of a connection that this laptop lost, and is ended. Failure `transfer.busy`."""
        deadline = time.monotonic() + GHOST_S
        path = Path(str(self.folder) + ".lock")
        lock = take_lock(path)
        while lock is None:
            if time.monotonic() > deadline:
                raise Failure("transfer.busy", model=self.model)
            _end_ghost(path)
            time.sleep(0.05)
            lock = take_lock(path)
        try:
            own = processes.look(os.getpid())
            assert own is not None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{own.pid} {own.start_time}".encode("ascii"), 0)
            os.utime(lock)
            yield
        finally:
            os.close(lock)

    def _tidy(self) -> None:
        """Parcels that nobody touched for a week go; a lock's time is that of the last try."""
        for entry in os.listdir(str(self._place)):
            name, dot, kind = entry.rpartition(".")
            lock = self._place / (entry if kind == "lock" and dot else entry + ".lock")
            folder = lock.with_suffix("")
            if folder == self.folder:
                continue
            locked = lock.exists()
            try:
                touched = os.stat(str(lock if locked else folder)).st_mtime
                taken = take_lock(lock) if time.time() - touched > KEPT_S else None
            except OSError:
                continue  # gone, or another user's
            if taken is None:
                continue  # young, or at work and only the clock has jumped
            try:
                if not locked or time.time() - os.fstat(taken).st_mtime > KEPT_S:
                    shutil.rmtree(str(folder), ignore_errors=True)
                    _remove(lock)
            finally:
                os.close(taken)

    # ---- what is missing ---------------------------------------------------------------------------------------------

    def there_already(self) -> bool:
        """Whether the model's folder holds the whole parcel."""
        if not self.target.is_dir() or not all(self._is(entry, self.target / entry.path) for entry in self._parcel.entries):
            return False
        paths = {entry.path for entry in self._parcel.entries}
        try:
            return all(path in paths for path, _ in files_below(self.target) if path.split("/")[0] in PARTS)
        except FileNotFoundError:  # somebody has just deleted it
            return False

    def missing(self) -> List[Tuple[Entry, int]]:
        """What is to be sent, each from the offset on; takes over what other models have.

        Failure `transfer.no_space`, `transfer.no_files`, `store.exists`, and `store.others` {model, student} for another
        workspace's model.
        """
        if self._parcel.replaces and not self._parcel.force:
            owner.check(self.target, self._parcel.workspaces)
        if not self._parcel.replaces and self.target.is_dir() and os.listdir(str(self.target)):
            raise Failure("store.exists", model=self.model)
        os.makedirs(str(self.folder), exist_ok=True)
        wanted = {entry.path: entry for entry in self._parcel.entries}
        parts = {entry.part_path for entry in self._parcel.entries}
        for path, _ in list(files_below(self.folder)):
            if path not in wanted and path not in parts:
                _remove(self.folder / path)
        like = self._like()
        missing = []
        for entry in self._parcel.entries:
            self._tick()
            place = self.folder / entry.path
            if self._is(entry, place):
                continue
            _remove(place)
            source = like.get((_class_and_name(entry.path), entry.size, entry.mtime))
            if source is not None and self._link(source, place, entry):
                self.linked += 1
                continue
            missing.append((entry, self._offset(entry)))
        self._check_space(sum(entry.size - offset for entry, offset in missing), [entry for entry, _ in missing])
        return missing

    def _is(self, entry: Entry, path: Path) -> bool:
        there = _file(path)
        if there is None or there.st_size != entry.size:
            return False
        if entry.sha256 is not None:
            return sha256(path, self._tick) == entry.sha256
        return same_time(there, entry.mtime)

    def _like(self) -> Dict[Tuple[str, int, int], Path]:
        found = {}
        for model in self._parcel.like:
            folder = self._models.path / model
            if model == self.model and not self._parcel.replaces:
                continue
            try:
                files = list(files_below(folder))
            except OSError:
                continue  # it is not there, somebody is just deleting it, or it is not ours to read
            for path, status in files:
                found[(_class_and_name(path), status.st_size, int(status.st_mtime))] = folder / path
        return found

    def _link(self, source: Path, place: Path, entry: Entry) -> bool:
        os.makedirs(str(place.parent), exist_ok=True)
        try:
            link_or_copy(source, place)
        except FileNotFoundError:  # somebody has just deleted that model
            return False
        return self._is(entry, place)

    def _offset(self, entry: Entry) -> int:
        part = self.folder / entry.part_path
        there = _file(part)
        if there is not None and there.st_size <= entry.size:
            return there.st_size
        _remove(part)
        return 0

    def _check_space(self, sending: int, missing: List[Entry]) -> None:
        """What is sent, and what is made of it here; a folder counts as a file."""
        room, spare = space.look(str(self.folder)), self._parcel.spare
        needed = sending + spare
        by = "quota" if room.by_quota else "disk"
        if needed > room.free_bytes:
            raise Failure("transfer.no_space", needed_bytes=needed, free_bytes=room.free_bytes, spare_bytes=spare, by=by)
        files = len(missing) + len({os.path.dirname(entry.path) for entry in missing}) + (SPARE_FILES if spare else 0)
        if missing and room.free_files is not None and files > room.free_files:
            raise Failure("transfer.no_files", needed=files, free=room.free_files, by=by)

    # ---- what comes --------------------------------------------------------------------------------------------------

    @contextmanager
    def part(self, entry: Entry, offset: int) -> Iterator[Callable[[bytes], int]]:
        """Gives the function that appends to the file's part."""
        path = self.folder / entry.part_path
        os.makedirs(str(path.parent), exist_ok=True)
        descriptor = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as stream:
            stream.seek(offset)
            stream.truncate()
            yield stream.write
            if entry.sha256 is not None:
                # A Nano is switched off by its plug; a data set is sent again at little cost, and is hundreds of files.
                stream.flush()
                os.fsync(stream.fileno())

    def finish(self, entry: Entry, expected: str) -> bool:
        """Whether the whole part is what was sent; it is then the file, else it is removed."""
        part = self.folder / entry.part_path
        if os.lstat(str(part)).st_size != entry.size or sha256(part, self._tick) != expected:
            _remove(part)
            return False
        os.utime(str(part), (entry.mtime, entry.mtime))
        os.replace(str(part), str(self.folder / entry.path))
        return True

    def appear(self) -> Path:
        """The parcel becomes the model. Failure `store.exists` when another has its name and it does not replace,
        `transfer.names` {path} where the file system took two names for one (vfat does not tell cases apart)."""
        _remove_empty(self.folder)
        self._check_names()
        if self._parcel.replaces:
            self._models.replace(self.model, self.folder)
        else:
            self._models.appear(self.model, self.folder)
        self.leave()
        return self.target

    def _check_names(self) -> None:
        for entry in self._parcel.entries:
            _remove(self.folder / entry.part_path)  # of an earlier try, where another model has it now
        wanted = [entry.path for entry in self._parcel.entries]
        there = [path for path, _ in files_below(self.folder)]
        if any(found < expected for found, expected in zip(_counts(there), _counts(wanted))):
            raise Failure("transfer.names", path=min(set(wanted) - set(there)))

    def leave(self) -> None:
        """Nothing of the parcel is on its way any more."""
        shutil.rmtree(str(self.folder), ignore_errors=True)
        _remove(Path(str(self.folder) + ".lock"))


def _file(path: Path) -> Optional[os.stat_result]:
    """None for what is no regular file, a link among it."""
    try:
        found = os.lstat(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _end_ghost(lock: Path) -> None:
    """The start time beside the process id: what is noted may be older than the one who holds the lock."""
    try:
        words = lock.read_bytes()[:64].decode("ascii", "replace").split()
    except FileNotFoundError:
        return
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return
    process = processes.look(int(words[0]))
    if process is not None and not process.dead and process.start_time == int(words[1]):
        try:
            os.kill(process.pid, signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            pass


def _counts(paths: List[str]) -> Tuple[int, int]:
    """Of files, and of the folders that they are in."""
    return len(paths), len({os.path.dirname(path) for path in paths})


def _class_and_name(path: str) -> str:
    """Of `train/cat/x.jpg`: `cat/x.jpg`. An image that the split has put into another part is the same image."""
    part, _, rest = path.partition("/")
    return rest if part in PARTS else path


def _remove(path: Path) -> None:
    try:
        os.unlink(str(path))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        shutil.rmtree(str(path))


def _remove_empty(folder: Path) -> None:
    """Folders without a file: those of classes that the parcel no longer has."""
    for path, _folders, names in os.walk(str(folder), topdown=False):
        if path != str(folder) and not names and not os.listdir(path):
            os.rmdir(path)
