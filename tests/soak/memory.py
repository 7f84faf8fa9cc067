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

    def __init__(self, folder: Path, sshd: set[int], slurm: set[int], sessions: Callable[[], set[int]]) -> None:
        self.peaks = Peaks()
        self._folder = str(folder)
        self._sshd, self._slurm, self._sessions = sshd, slurm, sessions
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
        laptops = self._sessions()
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
            above, parent = {pid}, parents[pid]
            while parent > 1 and parent not in above:
                above.add(parent)
                parent = parents.get(parent, 0)
            part = "laptops" if sessions[pid] in laptops else self._part(line, above)
            if part:
                seen[part].append(pss(pid))
        return seen

    def _part(self, line: str, above: set[int]) -> str:
        """Of a process by its command line and by whom it comes from; empty for one that is not of the room."""
        name = line.partition(" ")[0].rpartition("/")[2]
        if above & self._slurm and self._folder not in line or name.startswith("slurmstepd"):
            return "slurm"
        if above & self._sshd:
            return "sshd" if name.startswith("sshd") else "server"
        if f"{self._folder}/DL" in line:
            return "server"
        return "nanos" if f"{self._folder}/nano" in line else ""


def _stat(pid: int) -> tuple[int, int] | None:
    """Its parent and its session; None for one that has ended."""
    try:
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else (int(fields[1]), int(fields[3]))


def pss(pid: int) -> int:
    """In bytes; 0 where it has just ended."""
    try:
        for line in Path("/proc", str(pid), "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0
