"""report.json in a model's folder, which train, export and evaluate change while another of them may be at work there.

Whoever changes it reads it and writes it under one lock, so that no one's part is lost. Shape: doc/design/wire.md.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

from gpu_server.files import write_json

FILE = "report.json"
LOCK = ".report.lock"  # stays: who waits for a lock must not hold that of a file which was removed

Report = Dict[str, Any]

_KNOWS_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def change(folder: Path, make: Callable[[Optional[Report]], Optional[Report]]) -> Optional[Report]:
    """Writes what `make` gives for the report as it is (None: there is none, or it is damaged), and returns it.

    None from `make` leaves the file alone. The lock is held meanwhile, so `make` should take no time.
    """
    with _locked(folder):
        report = make(_read(folder))
        if report is not None:
            write_json(folder / FILE, report)
        return report


def is_of(report: Report, checkpoint_sha256: str) -> bool:
    """Whether it tells of this checkpoint; an older program's does not say of which, and is taken for it."""
    return bool(report.get("checkpoint_sha256", checkpoint_sha256) == checkpoint_sha256)


def _read(folder: Path) -> Optional[Report]:
    try:
        report = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return report if isinstance(report, dict) else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A file for the lock, opened for writing, since NFS locks no folder; report.json is another file after each change."""
    lock = os.open(str(folder / LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _KNOWS_NO_LOCKS:
                raise
        yield
    finally:
        os.close(lock)
