"""Puts the programs on a machine that lacks them: the laptop sends this text ahead of them, so it needs nothing but Python.

Run as `python -c 'import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))' BYTES FOLDER SHA256` with this text (BYTES long)
and then a tar archive on standard input. FOLDER appears when the archive is whole, unpacked and on the disk (a Nano is switched
off by its plug), or not at all; several laptops may do it at the same time. One whose shared/runner.py is missing or empty is
what an older version left at such a moment, and gives way. Prints one JSON line, as the programs do (doc/design/wire.md).
"""

import errno
import hashlib
import io
import json
import os
import py_compile
import shutil
import sys
import tarfile
import tempfile

MAX_BYTES = 16 << 20
ATTEMPTS = 10


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


def receive(folder: str, digest: str) -> None:
    """Raises Refused, OSError."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES or hashlib.sha256(data).hexdigest() != digest:
        raise Refused("archive")
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
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
    message = {"v": 1, "type": "result"}
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
    print(json.dumps(message))


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3])
