"""Counting and removing below an open folder, relative to its descriptor: no link is ever followed, planted or not.

A path that is looked at and then used may have been changed in between by whoever shares the login. What is opened by its
descriptor cannot: each level is opened with O_NOFOLLOW below the level above, and what turns out to be a link is removed as a
link. CPython 3.6's shutil.rmtree does the same, but tells neither how much it removed nor where it could not.
"""

import errno
import os
import stat
from contextlib import contextmanager
from typing import Callable, Container, Iterator, List, Optional, Set, Tuple

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 64
MOST_ERRORS = 5
GONE = (errno.ENOENT,)
NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)

Tick = Callable[[], None]


class Count:
    """Files (links and other entries that are no folder among them), and their bytes; an inode with several names counts
    once among all that share `seen`."""

    def __init__(self, seen: Optional[Set[Tuple[int, int]]] = None) -> None:
        self.files = 0
        self.bytes = 0
        self.newest = 0.0
        self.seen = set() if seen is None else seen

    def add(self, status: os.stat_result) -> None:
        self.files += 1
        inode = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode) and inode not in self.seen:
            self.bytes += status.st_size
            if status.st_nlink > 1:
                self.seen.add(inode)


class Removed:
    """What is gone for good: a hard link frees no bytes as long as the file has another name. `errors` names the first of what
    could not be removed, as (path below the folder, reason)."""

    def __init__(self, tick: Tick = lambda: None) -> None:
        self.files = 0
        self.bytes = 0
        self.errors: List[Tuple[str, str]] = []
        self.tick = tick

    def failed(self, path: str, reason: str) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append((path, reason))


@contextmanager
def opened(root: str, *names: str) -> Iterator[int]:
    """The descriptor of a folder below `root`, no name of which may be a link; `root` itself may (config.json says so).

    FileNotFoundError where it is not there, NotADirectoryError for a link or a file in the way.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            below = open_below(descriptor, name)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def open_below(parent: int, name: str) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
        raise


def status_of(parent: int, name: str) -> Optional[os.stat_result]:
    """None where there is nothing of that name."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def count(parent: int, name: str, found: Count, tick: Tick = lambda: None, depth: int = 0) -> None:
    """Adds what lies at `name`; what goes meanwhile, or may not be read, is passed over. `newest` is of two levels."""
    tick()
    status = status_of(parent, name)
    if status is None:
        return
    if depth <= 1:
        found.newest = max(found.newest, status.st_mtime)
    if not stat.S_ISDIR(status.st_mode):
        found.add(status)
        return
    try:
        folder = open_below(parent, name)
    except OSError:
        return
    try:
        if depth < DEEPEST:
            for each in os.listdir(folder):
                count(folder, each, found, tick, depth + 1)
    finally:
        os.close(folder)


def remove(parent: int, name: str, removed: Removed, path: str = "", depth: int = 0) -> None:
    """Removes what lies at `name`, whatever it is; what cannot be removed is noted, and the rest goes all the same.

    A folder on another disk (somebody mounted one there) is none of ours.
    """
    path = path or name
    removed.tick()
    status = status_of(parent, name)
    if status is None:
        return
    try:
        if stat.S_ISDIR(status.st_mode):
            _remove_folder(parent, name, removed, path, depth)
        else:
            _unlink(parent, name, status, removed)
    except OSError as error:
        if error.errno in NO_FOLDER:  # it was a folder when we looked
            _remove_link(parent, name, removed, path)
        elif error.errno not in GONE:
            removed.failed(path, error.strerror or str(error))


def _remove_folder(parent: int, name: str, removed: Removed, path: str, depth: int) -> None:
    if depth >= DEEPEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    folder = _open_to_empty(parent, name)
    try:
        if os.fstat(folder).st_dev != os.fstat(parent).st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        for each in os.listdir(folder):
            remove(folder, each, removed, f"{path}/{each}", depth + 1)
    finally:
        os.close(folder)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY or not removed.errors:  # its own reason has been noted
            raise


def _open_to_empty(parent: int, name: str) -> int:
    """A folder that its owner may not write in is emptied all the same: it is ours."""
    folder = open_below(parent, name)
    if not os.fstat(folder).st_mode & stat.S_IWUSR:
        try:
            os.fchmod(folder, 0o700)
        except OSError:
            pass
    return folder


def _unlink(parent: int, name: str, status: os.stat_result, removed: Removed) -> None:
    os.unlink(name, dir_fd=parent)
    removed.files += 1
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        removed.bytes += status.st_size


def _remove_link(parent: int, name: str, removed: Removed, path: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
        removed.files += 1
    except OSError as error:
        if error.errno not in GONE:
            removed.failed(path, error.strerror or str(error))


def remove_but(parent: int, name: str, kept: Container[str], removed: Removed) -> None:
    """What lies directly in the folder `name`, but for the files that are `kept`: they are no folders."""
    try:
        folder = _open_to_empty(parent, name)
    except OSError as error:
        if error.errno not in GONE:
            removed.failed(name, error.strerror or str(error))
        return
    try:
        for each in os.listdir(folder):
            status = status_of(folder, each)
            if status is not None and (each not in kept or not stat.S_ISREG(status.st_mode)):
                remove(folder, each, removed, f"{name}/{each}")
    finally:
        os.close(folder)
