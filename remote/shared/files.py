"""Files below a folder: listing, linking, hashing, locking."""

import errno
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Callable, Iterator, Optional, Tuple

NO_HARD_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


def files_below(folder: Path) -> Iterator[Tuple[str, os.stat_result]]:
    """(path relative to the folder with slashes, stat) of each regular file; links are not followed.

    A file that goes meanwhile is passed over; FileNotFoundError for a folder that does.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(str(folder / prefix)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield prefix + entry.name, stat


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system knows them, else a copy with the same modification time."""
    try:
        os.link(str(source), str(target))
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        shutil.copy2(str(source), str(target))


def sha256(path: Path, tick: Callable[[], None] = lambda: None) -> Optional[str]:
    """None where there is no such file; `tick` is called after each MiB."""
    digest = hashlib.sha256()
    try:
        with open(str(path), "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
                tick()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return digest.hexdigest()


def same_time(stat: os.stat_result, mtime: int) -> bool:
    """In whole seconds, as SFTP counts."""
    return int(stat.st_mtime) == mtime


def take_lock(path: Path) -> Optional[int]:
    """The descriptor of the lock file, which is ours until it is closed; None where another has it."""
    while True:
        lock = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before us may have removed the file, and a third have made another.
            if os.path.samestat(os.fstat(lock), os.lstat(str(path))):
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return None
        os.close(lock)
