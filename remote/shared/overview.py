"""What a room needs to know of a machine's runs: who works or waits here, how far it is, and what failed within a day.

One answer to one question, made of the ends of files: however long a training has talked, little of it is read, and nothing
that runs hears of it.
"""

import os
import shutil
import time
from typing import Any, Dict, List, Optional

from shared import ended_by, gpus, waiting
from shared.bounds import read_piece
from shared.runs import RunFolder, Runs
from shared.tickets import Queue
from shared.wire import decode

TAIL_BYTES = 16384
FAILED_S = 24 * 3600
MOST_FAILED = 50
# Of a program that works: how far it is. Of one that waits: its place. A classification says thirty things a second that
# nobody wants here.
WORDS = {"progress": ("what", "done", "total", "unit", "eta_s"), "metric": ("epoch", "epochs", "val_accuracy"),
         "turn": ("state", "position", "wait_s")}
CLASSIFY = "jetson_nano/classify.py"


def look(runs: Runs) -> List[Dict[str, Any]]:
    """Those of `list` that run, and the newest that failed or that somebody else ended, each with what else is known."""
    listed = [(run, RunFolder(runs.path / run["id"])) for run in runs.listing(waiting.place)]
    ended: List[Dict[str, Any]] = []
    for run, folder in reversed(listed):
        if run["state"] in ("failed", "cancelled") and len(ended) < MOST_FAILED:
            told = _end(run, folder)
            if told["ended_s"] < FAILED_S and (run["state"] == "failed" or told["ended_by"] is not None):
                ended.append(told)
    running = [_with_progress(run, folder) for run, folder in listed if run["state"] == "running"]
    slots = _slots([folder for run, folder in listed if run["state"] == "running" and not run["waiting"]])
    return [dict(run, slot=slots.get(run["id"])) for run in running + ended[::-1]]


def _slots(folders: List[RunFolder]) -> Dict[str, str]:
    """By run, which of this machine's GPUs a training has (`scheduler: direct`), counted from 0; nothing without any."""
    if shutil.which(gpus.NVIDIA_SMI[0]) is None:
        return {}
    queues = set()
    for folder in folders:
        schedule = (folder.spec() or {}).get("schedule")
        if isinstance(schedule, dict) and not folder.clustered:
            queues.add(gpus.queue_folder(folder.root, schedule))
    found: Dict[str, str] = {}
    for path in queues:
        if path.is_dir():
            queue = Queue(path)
            with queue.locked():
                found.update({ticket.run: ticket.device for ticket in queue.look(0, {}) if ticket.device is not None})
    return found


def _with_progress(run: Dict[str, Any], folder: RunFolder) -> Dict[str, Any]:
    told = dict.fromkeys(WORDS)
    if run["waiting"] or run["program"] != CLASSIFY:
        for event in _last_events(folder):
            kind = event.get("type")
            if kind in WORDS and told[kind] is None:
                told[kind] = {key: event.get(key) for key in WORDS[kind]}
    return _row(run, folder, **told)


def _end(run: Dict[str, Any], folder: RunFolder) -> Dict[str, Any]:
    error = next((event for event in _last_events(folder) if event.get("type") == "error"), None)
    try:
        ended_s = max(0.0, time.time() - os.stat(str(folder.path)).st_mtime)  # of exit.json's appearance
    except FileNotFoundError:
        ended_s = FAILED_S
    return _row(run, folder, ended_s=round(ended_s, 1), exit=folder.exit(), ended_by=ended_by.told(folder, run["state"]),
                error=None if error is None else {"code": error.get("code"), "params": error.get("params")})


def _row(run: Dict[str, Any], folder: RunFolder, **told: Any) -> Dict[str, Any]:
    known: Dict[str, Any] = {"laptop": (folder.spec() or {}).get("laptop"), "node": folder.job().get("node"), "ended_s": None,
                             "exit": None, "ended_by": None, "error": None, "progress": None, "metric": None, "turn": None}
    known.update(told)
    return dict(run, **known)


def _last_events(folder: RunFolder) -> List[Dict[str, Any]]:
    """Whole lines only, the newest first."""
    try:
        descriptor = os.open(str(folder.events), os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        size = os.fstat(descriptor).st_size
        data = read_piece(descriptor, max(0, size - TAIL_BYTES), TAIL_BYTES).data
    finally:
        os.close(descriptor)
    lines = data[:data.rfind(b"\n") + 1].split(b"\n")
    found: List[Optional[Dict[str, Any]]] = [decode(line) for line in reversed(lines)]
    return [event for event in found if event is not None]
