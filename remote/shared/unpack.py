"""Puts the programs on a machine that lacks them: the laptop sends this text ahead of them, so it needs nothing but Python.

Run as `python -c 'import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))' BYTES FOLDER SHA256` with this text (BYTES long)
and then a tar archive on standard input. FOLDER appears when the archive is whole and unpacked, or not at all; several
laptops may do it at the same time. Prints one JSON line, as the programs do (doc/design/wire.md).
"""

import errno
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile

MAX_BYTES = 16 << 20


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
        os.chmod(aside, 0o755)
        try:
            os.rename(aside, folder)
        except OSError:
            if not os.path.isdir(folder):  # another laptop was quicker
                raise
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
