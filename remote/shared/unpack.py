"""Puts the programs on a machine that lacks them: the laptop sends this text ahead of them, so it needs nothing but Python.

Run as `python -c 'import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))' BYTES FOLDER SHA256` with this text (BYTES long)
and then a tar archive on standard input. FOLDER appears when the archive is whole, unpacked and on the disk (a Nano is switched
off by its plug), or not at all. Several laptops may do it at the same time: one unpacks, and the others of a class, who bring
the same, wait for it and find it done; thirty that compile and sync at once would keep each other from answering at all. One
whose shared/runner.py is missing or empty is what an older version left at such a moment, and gives way. Prints JSON lines, as
the programs do (doc/design/wire.md): a sign of life each second while it waits, and the result.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import py_compile
import shutil
import sys
import tarfile
import tempfile
import time
from typing import Any, Dict, Iterator

MAX_BYTES = 16 << 20
ATTEMPTS = 10
LOCK = ".lock"  # behind the name of the folder of all programs
LOOK_S, ALIVE_S = 0.1, 1.0
# Who unpacks for so long has been stopped, or the file system keeps the locks of the dead.
TURN_S = 60.0


class Refused(Exception):
    pass


def unpack(data: bytes, folder: str) -> None:
    """Raises Refused for what is no plain file below the folder, OSError."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            parts = member.name.split("/")
            source = archive.extractfile(member) if member.isreg() else None
            if source is None or any(part in ("", ".", "..") for part in parts):
                raise Refused(member.name)
            path = os.path.join(folder, *parts)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())


def settle(aside: str, folder: str) -> None:
    """Compiles what will be in `folder`, since the programs themselves never write there, and puts it all on the disk.

    It spares each start a quarter of its time. Raises OSError.
    """
    for path, _, names in os.walk(aside):
        for name in [name for name in names if name.endswith(".py")]:
            source = os.path.join(path, name)
            try:
                compiled = py_compile.compile(source, dfile=os.path.join(folder, os.path.relpath(source, aside)), doraise=True)
            except (py_compile.PyCompileError, OSError):
                continue  # it says so when it is started; without room for it, it runs all the same
            sync(compiled or source, os.O_RDONLY)
    for path, _, _ in os.walk(aside, topdown=False):
        sync(path)


def sync(path: str, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> None:
    """What is in it is on the disk, a folder's names where the file system can do that for a folder."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def is_whole(folder: str) -> bool:
    try:
        return os.path.getsize(os.path.join(folder, "shared", "runner.py")) > 0
    except OSError:
        return False


def appear(aside: str, folder: str) -> None:
    """Renames, unless another laptop was quicker. Raises OSError."""
    for attempt in range(ATTEMPTS):
        try:
            os.rename(aside, folder)
            return
        except OSError as error:
            if is_whole(folder):
                return
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == ATTEMPTS - 1:
                raise
        broken = tempfile.mkdtemp(prefix=".gone-", dir=os.path.dirname(folder))
        try:
            os.rename(folder, broken)
            if is_whole(broken):  # another laptop's, from just now
                os.rename(broken, folder)
        except OSError:
            pass  # another laptop is doing the same
        shutil.rmtree(broken, ignore_errors=True)


@contextlib.contextmanager
def turn(folder: str) -> Iterator[None]:
    """One laptop's turn to unpack beside `folder`; it ends with the process, however that ends. It has come at once where the
    folder is whole meanwhile, where the file system knows no locks, and when it has been waited for long enough."""
    lock = os.open(os.path.dirname(folder) + LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        began = said = time.monotonic()
        while not is_whole(folder) and time.monotonic() - began < TURN_S:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    break
            if time.monotonic() - said >= ALIVE_S:
                said = time.monotonic()
                say({"v": 1, "type": "alive"})
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(lock)


def say(message: Dict[str, Any]) -> None:
    """Ends with a laptop that has gone."""
    try:
        print(json.dumps(message))
        sys.stdout.flush()
    except OSError:
        os._exit(1)


def receive(folder: str, digest: str) -> None:
    """Raises Refused, OSError."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES or hashlib.sha256(data).hexdigest() != digest:
        raise Refused("archive")
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    with turn(folder):
        if not is_whole(folder):
            put(data, folder)


def put(data: bytes, folder: str) -> None:
    """Raises Refused, OSError."""
    parent = os.path.dirname(folder)
    aside = tempfile.mkdtemp(prefix=".new-", dir=parent)
    try:
        unpack(data, aside)
        settle(aside, folder)
        os.chmod(aside, 0o755)
        appear(aside, folder)
        sync(parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def main(folder: str, digest: str) -> None:
    """Prints the result, or an error with a code of the catalogue."""
    message: Dict[str, Any] = {"v": 1, "type": "result"}
    try:
        receive(folder, digest)
    except Refused as refused:
        message.update(type="error", code="program.not_received", params={"name": str(refused)})
    except OSError as error:
        path = os.fsencode(error.filename or folder).decode("utf-8", "replace")
        code, params = "machine.io_error", {"path": path, "error": error.strerror or str(error)}
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            code, params = "machine.disk_full", {"path": path}
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            code, params = "machine.no_permission", {"path": path}
        message.update(type="error", code=code, params=params)
    say(message)


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3])
