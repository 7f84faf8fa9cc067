"""The processes of this computer, from /proc."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def others() -> Iterator[int]:
    """All but this one."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid())


def children(parent: int) -> list[int]:
    """The living ones; a zombie is dead."""
    try:
        threads = os.listdir(f"/proc/{parent}/task")
    except OSError:
        return []
    found = [int(pid) for thread in threads for pid in _read(parent, f"task/{thread}/children").split()]
    # "pid (command) state ppid ...", where the command may hold spaces and brackets.
    states = ((pid, _read(pid, "stat").rpartition(b")")[2].split()) for pid in found)
    return [pid for pid, fields in states if fields and fields[0] != b"Z"]


def command(pid: int) -> str:
    """Empty where it has ended."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def environment(pid: int) -> list[bytes]:
    """NAME=VALUE each, as it was when the process began."""
    return _read(pid, "environ").split(b"\0")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:  # gone meanwhile, or another user's
        return b""
