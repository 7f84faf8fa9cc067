"""What the processes of a soak take of the memory, by whose they are: looked at every two seconds, the peaks are kept."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processes import command, others

EVERY_S = 2.0
PARTS = ("laptops", "sshd", "server", "nanos", "slurm")


@dataclass
class Peaks:
    """In bytes of PSS (a page that n processes share counts as 1/n for each); `total` is that of one moment."""

    parts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*PARTS, "total"), 0))
    processes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*PARTS, "total"), 0))
    looks: int = 0

    def take(self, seen: dict[str, list[int]]) -> None:
        self.looks += 1
        seen = {**seen, "total": [each for part in seen.values() for each in part]}
        for part, sizes in seen.items():
            self.parts[part] = max(self.parts[part], sum(sizes))
            self.processes[part] = max(self.processes[part], len(sizes))


class Watcher:
    """Use with `with`. `sessions` gives the laptops' commands that run now, each the leader of its session."""

    def __init__(self, folder: Path, listener: Callable[[], set[int]], sessions: Callable[[], set[int]]) -> None:
        self.peaks = Peaks()
        self._folder = folder
        self._listener, self._sessions = listener, sessions
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="soak-memory")

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.peaks.take(self.look())

    def look(self) -> dict[str, list[int]]:
        """The sizes of the room's processes now."""
        laptops, listeners = self._sessions(), self._listener()
        seen: dict[str, list[int]] = {part: [] for part in PARTS}
        parents: dict[int, int] = {}
        sessions: dict[int, int] = {}
        lines: dict[int, str] = {}
        for pid in others():
            fields = _stat(pid)
            if fields is not None:
                parents[pid], sessions[pid] = fields
                lines[pid] = command(pid)
        for pid, line in lines.items():
            part = _part(pid, line, parents, sessions, laptops, listeners, str(self._folder))
            if part:
                seen[part].append(_pss(pid))
        return seen


def _part(pid: int, line: str, parents: dict[int, int], sessions: dict[int, int], laptops: set[int], listeners: set[int],
          folder: str) -> str:
    """Empty for a process that is not of the room."""
    if sessions[pid] in laptops:
        return "laptops"
    above, parent = set(), pid
    while parent > 1 and parent not in above:
        above.add(parent)
        parent = parents.get(parent, 0)
    if "sshd" in line.split(" ")[0] and above & listeners:
        return "sshd"
    name = line.split(" ")[0].rpartition("/")[2].rstrip(":")
    if name.startswith("slurm") or name == "munged":
        return "slurm" if folder in line or above & listeners or name.startswith("slurmstepd") else ""
    if folder not in line and not above & listeners:
        return ""
    return "server" if f"{folder}/DL" in line or above & listeners else "nanos" if f"{folder}/nano" in line else ""


def _stat(pid: int) -> tuple[int, int] | None:
    """Its parent and its session; None for one that has ended."""
    try:
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else (int(fields[1]), int(fields[3]))


def _pss(pid: int) -> int:
    """In bytes; 0 where it has just ended."""
    try:
        for line in Path("/proc", str(pid), "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0
