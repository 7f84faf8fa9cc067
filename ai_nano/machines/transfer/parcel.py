"""What the two peers of a transfer have in common: the interface, the plan of what is missing, names and progress."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import WorkFailed
from ai_nano.core.names import is_model_name
from ai_nano.core.ports import Delivery, Parcel, Sent

INCOMING = PurePosixPath(".ai_nano/incoming")
MODELS = PurePosixPath("models")
BLOCK = 1 << 18
# A file that arrives damaged is sent once more.
ATTEMPTS = 2
REPORT_EVERY_S = 0.1
LONGEST_COMPONENT_BYTES = 200
MOST_COMPONENTS = 8

Progress = Callable[[Sent], None]


class Peer(Protocol):
    """A way to send. Each call is one connection's worth: MachineError when that broke; what arrived stays there."""

    def deliver(self, parcel: Parcel, progress: Progress, cancel: CancelToken) -> Delivery:
        """All steps of doc/design/transfers.md. WorkFailed `store.exists`, `transfer.*`; Cancelled."""

    def fetch(self, source: PurePosixPath, target: Path, limit: int, cancel: CancelToken) -> None:
        """One file of the machine's root, which appears at `target` when whole; at most `limit` bytes."""


@dataclass(frozen=True)
class Item:
    """One file of a parcel as it is here now. `mtime` in whole seconds; `path` relative to the model's folder."""

    index: int
    source: Path
    path: PurePosixPath
    size: int
    mtime: int

    @property
    def part_name(self) -> str:
        """Under which the beginning of exactly this version of the file lies on the machine."""
        digest = hashlib.sha256(f"{self.path}\0{self.size}\0{self.mtime}".encode("utf-8", "surrogateescape"))
        return f".part-{digest.hexdigest()[:16]}"


def items(parcel: Parcel, machine: str) -> list[Item]:
    """The files as they are here, under names that are names. WorkFailed `store.bad_name`, `transfer.bad_path`, `.changed`."""
    for name in (parcel.model, None if parcel.model else parcel.stem, parcel.owner, *parcel.like):
        if name is not None and not is_model_name(name):
            raise WorkFailed("store.bad_name", machine=machine, name=name)
    found: list[Item] = []
    seen: set[PurePosixPath] = set()
    for index, file in enumerate(parcel.files):
        if not _is_path(file.target) or file.target in seen:
            raise WorkFailed("transfer.bad_path", machine=machine, path=file.target)
        try:
            status = file.source.stat()
        except OSError as error:
            raise WorkFailed("transfer.changed", machine=machine, file=file.source) from error
        seen.add(file.target)
        found.append(Item(index, file.source, file.target, status.st_size, int(status.st_mtime)))
    return found


def _is_path(path: PurePosixPath) -> bool:
    """What shared/transfer.py takes too."""
    try:
        lengths = [len(part.encode("utf-8")) for part in path.parts]
    except UnicodeEncodeError:
        return False
    return not path.is_absolute() and 0 < len(lengths) <= MOST_COMPONENTS and max(lengths) <= LONGEST_COMPONENT_BYTES and all(
        not part.startswith(".") and not re.search("[\0\r\n]", part) for part in path.parts)


def changed(machine: str, item: Item) -> WorkFailed:
    """The file here is no longer what was announced."""
    return WorkFailed("transfer.changed", machine=machine, file=item.source)


class Meter:
    """Tells how much of a parcel is there, at most ten times a second and at the end."""

    def __init__(self, found: Sequence[Item], missing: Sequence[tuple[Item, int]], tell: Progress) -> None:
        """`missing`: what is to be sent, each from its offset on."""
        self._total, self._files = sum(item.size for item in found), len(found)
        self._there = self._total - sum(item.size - offset for item, offset in missing)
        self._whole = self._files - len(missing)
        self._tell = tell
        self._began = time.monotonic()
        self._told = 0.0
        self.arrived(0, 0)

    def arrived(self, sent: int, files: int) -> None:
        """So many bytes and whole files of what was missing have arrived by now."""
        now = time.monotonic()
        if now - self._told < REPORT_EVERY_S and self._there + sent < self._total:
            return
        self._told, elapsed = now, now - self._began
        rate = sent / elapsed if sent and elapsed > 0.3 else None
        self._tell(Sent(min(self._total, self._there + sent), self._total, min(self._files, self._whole + files),
                        self._files, rate))
