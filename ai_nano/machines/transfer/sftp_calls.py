"""What can be asked of a machine by SFTP version 3 and OpenSSH's extensions, typed, and distrustful of what it says."""

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from paramiko import sftp as protocol

from ai_nano.core.answers import Nonsense, shown
from ai_nano.machines.transfer.sftp_flow import AT_ONCE, Answer, Budget, Flow, Reply

# Every server takes and gives so much in one packet; OpenSSH 256 KiB.
BLOCK = 1 << 15
FOLDER_MODE = 0o755
# Of those that open nothing.
REQUESTS_AT_ONCE = 512
TIMES = 0xFFFFFFFF  # seconds since 1970, in 32 bits
_LONGEST_HANDLE = 256
_LONGEST_NAME = 1024
_MOST_NAMES = 300_000
_DEEPEST = 32
# Requests for the next names of one folder that are under way at once.
_AHEAD = 4
# Of an extension: not known, or switched off (OpenSSH's `sftp-server -P`).
_NOT_OFFERED = (protocol.SFTP_OP_UNSUPPORTED, protocol.SFTP_PERMISSION_DENIED)
_RENAME, _LINK, _SPACE = "posix-rename@openssh.com", "hardlink@openssh.com", "statvfs@openssh.com"
_FLUSH = "fsync@openssh.com"


class Refusal(Exception):
    """The machine says no. `code` is one of the draft's; a full disk and a name that is taken are both SFTP_FAILURE."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


@dataclass(frozen=True)
class Entry:
    """What is known of one name; `size` in bytes, `mtime` in seconds (32 bits). Links are links, never what they lead to."""

    name: str
    mode: int
    size: int
    mtime: int

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


@dataclass
class Tree:
    """All below one folder, by path relative to it; `there` False: no such folder. `others` are links and the like."""

    there: bool = False
    folders: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, Entry] = field(default_factory=dict)
    others: dict[str, Entry] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.folders or self.files or self.others)


@dataclass(frozen=True)
class Space:
    free_bytes: int
    no_more_files: bool


# ---- what is sent ----------------------------------------------------------------------------------------------------


def _string(text: str | bytes | PurePosixPath) -> bytes:
    data = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
    return len(data).to_bytes(4, "big") + data


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _attributes(mode: int | None = None, mtime: int | None = None) -> bytes:
    if mode is not None:
        return _u32(4) + _u32(mode)
    if mtime is not None:
        return _u32(8) + 2 * _u32(mtime & TIMES)
    return _u32(0)


# ---- what comes back -------------------------------------------------------------------------------------------------


def _expect(answer: Answer, kind: int) -> None:
    """Raises Refusal where the machine refuses instead."""
    if answer.kind == kind:
        return
    if answer.kind != protocol.CMD_STATUS:
        raise Nonsense("an answer of another kind")
    code = answer.u32()
    if code == protocol.SFTP_OK:
        raise Nonsense("yes, where something was asked for")
    raise Refusal(code, _words(answer))


def _words(answer: Answer) -> str:
    try:
        return shown(answer.string().decode("utf-8", "replace"))
    except Nonsense:  # older servers send the code alone
        return ""


def _done(answer: Answer) -> None:
    if answer.kind != protocol.CMD_STATUS:
        raise Nonsense("an answer of another kind")
    code = answer.u32()
    if code != protocol.SFTP_OK:
        raise Refusal(code, _words(answer))


def _handle(answer: Answer) -> bytes:
    _expect(answer, protocol.CMD_HANDLE)
    handle = answer.string()
    if not 0 < len(handle) <= _LONGEST_HANDLE:
        raise Nonsense("a handle")
    return handle


def _entry(answer: Answer, name: str) -> Entry | None:
    """None where the machine leaves out what we need."""
    flags = answer.u32()
    size = answer.u64() if flags & 1 else None
    if flags & 2:
        answer.take(8)
    mode = answer.u32() if flags & 4 else None
    answer.take(4 if flags & 8 else 0)
    mtime = answer.u32() if flags & 8 else None
    if flags & 0x80000000:
        for _ in range(answer.u32()):
            answer.string()
            answer.string()
    if size is None or mode is None or mtime is None:
        return None
    return Entry(name, mode, size, mtime)


def _known_entry(name: str) -> Callable[[Answer], Entry]:
    def read(answer: Answer) -> Entry:
        _expect(answer, protocol.CMD_ATTRS)
        entry = _entry(answer, name)
        if entry is None:
            raise Nonsense("a file without a size, a kind or a time")
        return entry

    return read


def _space(answer: Answer) -> Space | None:
    _expect(answer, protocol.CMD_EXTENDED_REPLY)
    _, unit, blocks, _, available, files, _, files_available = (answer.u64() for _ in range(8))
    # A file system without blocks (FUSE) does not know.
    return Space(unit * available, files > 0 and files_available == 0) if blocks else None


class Remote:
    """Paths are relative to where the login begins, or absolute. Methods raise Refusal, Nonsense and what Flow raises.

    Those that give a Reply send at once and need not be waited for.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._renames = self._links = True
        self._names_seen = 0
        # A server has as many handles as its user may have open files.
        self._listings = Budget(flow, AT_ONCE)

    # ---- one request -------------------------------------------------------------------------------------------------

    def open(self, path: PurePosixPath, flags: int) -> Reply[bytes]:
        return self.flow.ask(protocol.CMD_OPEN, _string(path) + _u32(flags) + _attributes(), _handle)

    def close(self, handle: bytes) -> Reply[None]:
        return self.flow.ask(protocol.CMD_CLOSE, _string(handle), _done)

    def write(self, handle: bytes, offset: int, data: bytes, then: Callable[[], None]) -> Reply[None]:
        """`then` is called once the machine has answered, whatever it said."""
        def read(answer: Answer) -> None:
            then()
            _done(answer)

        return self.flow.ask(protocol.CMD_WRITE, _string(handle) + offset.to_bytes(8, "big") + _string(data), read)

    def read(self, handle: bytes, offset: int, count: int, then: Callable[[bytes], None]) -> Reply[None]:
        """`then` gets what was read, b"" at the end of the file; it may be less than was asked for."""
        def read(answer: Answer) -> None:
            try:
                _expect(answer, protocol.CMD_DATA)
            except Refusal as refusal:
                if refusal.code != protocol.SFTP_EOF:
                    raise
                then(b"")
                return
            data = answer.string()
            if not 0 < len(data) <= count:
                raise Nonsense("more than was asked for, or nothing")
            then(data)

        return self.flow.ask(protocol.CMD_READ, _string(handle) + offset.to_bytes(8, "big") + _u32(count), read)

    def handle_status(self, handle: bytes) -> Reply[Entry]:
        return self.flow.ask(protocol.CMD_FSTAT, _string(handle), _known_entry(""))

    def status(self, path: PurePosixPath) -> Reply[Entry]:
        """Of a link itself."""
        return self.flow.ask(protocol.CMD_LSTAT, _string(path), _known_entry(path.name))

    def set_time(self, handle: bytes, mtime: int) -> Reply[None]:
        return self.flow.ask(protocol.CMD_FSETSTAT, _string(handle) + _attributes(mtime=mtime), _done)

    async def flush(self, handle: bytes) -> None:
        """What was written is on the disk, where the machine offers that."""
        with ignored(*_NOT_OFFERED):
            await self.flow.ask(protocol.CMD_EXTENDED, _string(_FLUSH) + _string(handle), _done)

    def remove(self, path: PurePosixPath) -> Reply[None]:
        return self.flow.ask(protocol.CMD_REMOVE, _string(path), _done)

    def make_folder(self, path: PurePosixPath) -> Reply[None]:
        """Refused with SFTP_FAILURE where something has that name."""
        return self.flow.ask(protocol.CMD_MKDIR, _string(path) + _attributes(mode=FOLDER_MODE), _done)

    def remove_folder(self, path: PurePosixPath) -> Reply[None]:
        return self.flow.ask(protocol.CMD_RMDIR, _string(path), _done)

    async def move(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """A file onto another, a folder onto an empty one, in one step where the machine can."""
        if self._renames:
            try:
                return await self._extended(_RENAME, old, new, _done)
            except Refusal as refusal:
                if refusal.code not in _NOT_OFFERED:
                    raise
                self._renames = False
        with ignored(protocol.SFTP_NO_SUCH_FILE, protocol.SFTP_FAILURE):
            await self.remove_folder(new)
        await self.flow.ask(protocol.CMD_RENAME, _string(old) + _string(new), _done)

    async def link(self, old: PurePosixPath, new: PurePosixPath) -> bool:
        """Whether `new` is now another name of the file `old`."""
        try:
            if self._links:
                await self._extended(_LINK, old, new, _done)
            return self._links
        except Refusal as refusal:
            self._links = self._links and refusal.code not in _NOT_OFFERED
            return False

    async def space(self, path: PurePosixPath) -> Space | None:
        """Of the file system below `path`; None where the machine cannot say."""
        try:
            return await self.flow.ask(protocol.CMD_EXTENDED, _string(_SPACE) + _string(path), _space)
        except Refusal:
            return None

    def _extended(self, name: str, old: PurePosixPath, new: PurePosixPath, read: Callable[[Answer], None]) -> Reply[None]:
        return self.flow.ask(protocol.CMD_EXTENDED, _string(name) + _string(old) + _string(new), read)

    # ---- folders -----------------------------------------------------------------------------------------------------

    async def ensure_folder(self, path: PurePosixPath) -> None:
        """It, and what it lies in, exist. Links to folders count as folders: a root may be one."""
        try:
            return await self.make_folder(path)
        except Refusal as refusal:
            if refusal.code == protocol.SFTP_NO_SUCH_FILE and path != path.parent:
                await self.ensure_folder(path.parent)
                with ignored(protocol.SFTP_FAILURE):  # another laptop may have been quicker
                    await self.make_folder(path)
            elif not await self._leads_to_folder(path):
                raise

    async def _leads_to_folder(self, path: PurePosixPath) -> bool:
        try:
            return (await self.flow.ask(protocol.CMD_STAT, _string(path), _known_entry(path.name))).is_folder
        except Refusal:
            return False

    async def names(self, folder: PurePosixPath) -> list[Entry]:
        """What is in one folder, in no order, without "." and ".."."""
        await self._listings.take()
        try:
            found = await self._listed(folder)
        finally:
            self._listings.give()
        return [entry if entry is not None else await self.status(folder / name) for name, entry in found]

    async def _listed(self, folder: PurePosixPath) -> list[tuple[str, Entry | None]]:
        handle = await self.flow.ask(protocol.CMD_OPENDIR, _string(folder), _handle)
        found: list[tuple[str, Entry | None]] = []
        replies: list[Reply[list[tuple[str, Entry | None]]]] = []
        while True:
            while len(replies) < _AHEAD:
                replies.append(self.flow.ask(protocol.CMD_READDIR, _string(handle), self._more_names))
            try:
                more = await replies.pop(0)
            except Refusal as refusal:
                if refusal.code != protocol.SFTP_EOF:
                    raise
                break
            found += more
        for reply in replies:
            with ignored():
                await reply
        self.close(handle)
        return found

    def _more_names(self, answer: Answer) -> list[tuple[str, Entry | None]]:
        _expect(answer, protocol.CMD_NAME)
        count = answer.u32()
        self._names_seen += count
        if not count or self._names_seen > _MOST_NAMES:
            raise Nonsense("no names, or names without end")
        found = []
        for _ in range(count):
            raw = answer.string()
            answer.string()  # a line for people
            if not raw or len(raw) > _LONGEST_NAME or b"/" in raw or b"\0" in raw:
                raise Nonsense("a name that is none")
            name = raw.decode("utf-8", "surrogateescape")
            entry = _entry(answer, name)
            if name not in (".", ".."):
                found.append((name, entry))
        return found

    async def tree(self, folder: PurePosixPath) -> Tree:
        """All below it; the folders of one depth are listed at the same time. Links are not followed."""
        tree = Tree()
        level = [""]
        for _ in range(_DEEPEST):
            listed = await self.flow.gather(self.names_or_none(folder / path) for path in level)
            deeper = []
            for path, entries in zip(level, listed, strict=True):
                tree.there = tree.there or entries is not None
                for entry in entries or ():
                    below = f"{path}/{entry.name}" if path else entry.name
                    kind = tree.folders if entry.is_folder else tree.files if entry.is_file else tree.others
                    kind[below] = entry
                    if entry.is_folder:
                        deeper.append(below)
            level = deeper
            if not level:
                return tree
        raise Nonsense("folders without end")

    async def names_or_none(self, folder: PurePosixPath) -> list[Entry] | None:
        """None: there is no such folder."""
        with ignored(protocol.SFTP_NO_SUCH_FILE):  # gone, or gone meanwhile
            return await self.names(folder)
        return None

    async def remove_below(self, folder: PurePosixPath, tree: Tree) -> None:
        """What `tree` lists. What is gone already is no failure."""
        await self.remove_files([folder / path for path in [*tree.files, *tree.others]])
        for depth in sorted({path.count("/") for path in tree.folders}, reverse=True):
            await self.flow.gather(self._gone(self.remove_folder, folder / path)
                                   for path in tree.folders if path.count("/") == depth)

    async def remove_tree(self, folder: PurePosixPath, tree: Tree) -> None:
        """What `tree` lists, and the folder itself."""
        await self.remove_below(folder, tree)
        await self._gone(self.remove_folder, folder)

    async def remove_files(self, paths: list[PurePosixPath]) -> None:
        await self.flow.gather((self._gone(self.remove, path) for path in paths), REQUESTS_AT_ONCE)

    async def _gone(self, how: Callable[[PurePosixPath], Reply[None]], path: PurePosixPath) -> None:
        with ignored(protocol.SFTP_NO_SUCH_FILE):
            await how(path)


class ignored:
    """Refusals of these codes are none; of all, where no code is given."""

    def __init__(self, *codes: int) -> None:
        self._codes = codes

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, Refusal) and (not self._codes or error.code in self._codes)
