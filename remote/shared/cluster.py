"""A run that is a job of Slurm, as the login node sees it: pid.json tells nothing there, since it is another machine's.

Whether it lives is Slurm's word; how it ended is exit.json's, and Slurm's where there is none (doc/design/sharing.md).
"""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, Optional

from shared import slurm

if TYPE_CHECKING:
    from shared.runs import RunFolder

# A job that ended by itself wrote exit.json; another node's file may take a while to be seen here.
LATE_S = 12.0
# After which a submission that was not answered has failed.
SUBMITTED_S = 120.0
# scancel sends TERM, and KILL after the cluster's KillWait.
CANCEL_S = 38.0
POLL_S = 0.5
FORGOTTEN = "forgotten_by_cluster"


def lives(folder: "RunFolder") -> bool:
    """Of a run without exit.json. What cannot be known counts as living."""
    return end(folder) is None


def end(folder: "RunFolder") -> Optional[Dict[str, Any]]:
    """{"state", "why"} of a job that is over; None while it is not, or nobody can say. Noted once it is known."""
    noted = folder.read_note("job_end.json")
    if noted is not None:
        return noted
    note = folder.job()
    job, submitted = note.get("job"), float(note.get("submitted") or 0.0)
    if job is None:
        return {"state": "FAILED", "why": "vanished"} if time.time() - submitted > SUBMITTED_S else None
    told = slurm.queue(folder.root)
    if told["error"] is not None or told["t"] < submitted or job in told["jobs"]:
        return None
    try:
        state = slurm.last_word(str(job))
    except slurm.Silent:
        return None
    if slurm.active(state):
        return None
    why = slurm.ENDS[state] if state is not None else FORGOTTEN
    if state is not None and why is None:
        if _unseen_s(folder) < LATE_S:
            return None
        why = "vanished"
    found = {"state": state, "why": why}
    with suppress(OSError):  # a full disk: Slurm is asked again
        folder.note("job_end.json", found)
    return found


def _unseen_s(folder: "RunFolder") -> float:
    """Since when its end is known and its exit.json is not there."""
    path = folder.path / "job_gone"
    try:
        return max(0.0, time.time() - os.stat(str(path)).st_mtime)
    except FileNotFoundError:
        with suppress(OSError):
            path.write_bytes(b"")
        return 0.0


class Watch:
    """Looks on while a job waits."""

    def __init__(self, folder: "RunFolder") -> None:
        self._folder = folder
        student = (folder.spec() or {}).get("student")
        self._student = slurm.word(student) if isinstance(student, str) else None

    def look(self) -> Dict[str, Any]:
        """The fields of the message `queue`: `waiting`, or `running` with its node."""
        note = self._folder.job()
        told = slurm.queue(self._folder.root)
        entry = told["jobs"].get(note.get("job"))
        waits = entry is not None and entry["state"] in slurm.PENDING
        if self._begun(since=told["t"] if waits else 0.0) or (entry is not None and not waits):
            return dict(_nothing("running"), node=note.get("node") or (entry or {}).get("node"), error=told["error"])
        if entry is None:  # Slurm was asked before it came
            return dict(_nothing("waiting"), error=told["error"])
        start = entry["start"]
        reason = entry["reason"] if entry["state"] == "PENDING" else entry["state"].capitalize()
        ahead = [self._entry(one) for one in told["training"] if one["partition"] == entry["partition"]]
        return dict(_nothing("waiting"), place=entry["place"], of=entry["of"], reason=reason or None, error=told["error"],
                    start_s=None if start is None else round(max(0.0, start - time.time()), 1), ahead=ahead)

    def _begun(self, since: float) -> bool:
        """Whether its node has noted the program, and, of a job that Slurm may have put back, after that time."""
        if self._folder.process().get("pid") is None:
            return False
        try:
            return os.stat(str(self._folder.path / "pid.json")).st_mtime >= since
        except FileNotFoundError:
            return False

    def _entry(self, told: Dict[str, Any]) -> Dict[str, Any]:
        return {"run": None, "student": told["student"], "laptop": None, "trains": True,
                "own": self._student is not None and told["student"] == self._student, "for_s": told["for_s"], "left_s": None}


def _nothing(state: str) -> Dict[str, Any]:
    return {"scheduler": "slurm", "state": state, "place": None, "of": None, "start_s": None, "reason": None, "node": None,
            "error": None, "ahead": []}


def withdraw(folder: "RunFolder") -> None:
    """Of a run whose exit.json says that it was refused: its job, if it has begun in the same moment."""
    job = folder.job().get("job")
    if job is not None:
        with suppress(slurm.Silent):
            slurm.cancel(str(job))


def cancel(folder: "RunFolder") -> bool:
    """scancel; whether the job is gone, as Slurm says. What then left no exit.json gets one."""
    folder.ask_to_cancel()
    until = time.monotonic() + CANCEL_S
    job = folder.job().get("job")
    while job is None and folder.exit() is None and time.monotonic() < until:
        time.sleep(POLL_S)  # it is just being submitted
        job = folder.job().get("job")
    job = job or slurm.taken(folder)
    if job is None:
        return folder.exit() is not None
    try:
        slurm.cancel(str(job))
    except slurm.Silent:
        pass  # it may have ended, which is asked now
    while True:
        try:
            gone = not slurm.active(slurm.last_word(str(job)))
        except slurm.Silent:
            gone = False
        if gone or time.monotonic() > until:
            break
        time.sleep(POLL_S)
    if gone and folder.exit() is None:
        folder.write_exit(None, None, True, None)
    return gone
