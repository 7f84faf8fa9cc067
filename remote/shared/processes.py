"""The process table of Linux (/proc); a reused process id or a zombie is never taken for a running program."""

import os
from pathlib import Path
from typing import List, NamedTuple, Optional

PROC = Path("/proc")
DEAD_STATES = ("Z", "X", "x")


class Process(NamedTuple):
    """One line of the process table; `start_time` in clock ticks since boot."""

    pid: int
    state: str
    group: int
    start_time: int

    @property
    def dead(self) -> bool:
        """A zombie has ended; only its parent has not asked for its exit code yet."""
        return self.state in DEAD_STATES


def look(pid: int) -> Optional[Process]:
    """The process of that id; None where there is none, and of another login's that /proc does not show (hidepid).

    Fields of /proc/<pid>/stat: see proc(5).
    """
    try:
        text = (PROC / str(pid) / "stat").read_bytes().decode("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2:].split()
    return Process(pid=pid, state=fields[0], group=int(fields[2]), start_time=int(fields[19]))


def boot_id() -> str:
    """Names this boot of the kernel; process ids and start times mean nothing across boots."""
    return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="ascii").strip()


def alive(pid: Optional[int], start_time: Optional[int], boot: Optional[str]) -> bool:
    """Whether the very process that was noted down still runs."""
    if pid is None or boot != boot_id():
        return False
    process = look(pid)
    return process is not None and not process.dead and process.start_time == start_time


def group_members(group: int, leader_start_time: int) -> List[int]:
    """Ids of the living processes in the group whose leader had that id and start time."""
    leader = look(group)
    if leader is not None and leader.start_time != leader_start_time:
        return []  # the kernel gives a group's id away only once the group is empty
    processes = [look(int(name)) for name in os.listdir(str(PROC)) if name.isdigit()]
    return [each.pid for each in processes if each is not None and each.group == group and not each.dead]
