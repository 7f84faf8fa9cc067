"""When a fault strikes: measured by the command's own work, not by the clock, so that it strikes while the work goes on."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from laptops import Running

# Some steps have little to count: the time of their work, from its first line on a quiet machine.
SECONDS = {"train": 4.5, "export": 7.0}
PREDICTIONS = 150
LOOK_S = 0.005
# For a step that has little to do.
OFTEN_S = 0.00005
Reached = Callable[[Running], bool]


def reached(step: str, fraction: float, workspace: Path) -> Reached:
    """Whether so much of the step's work is done. `fraction` from 0 to 1."""
    if step == "split":
        return _images(workspace / ".ai_nano" / "split.new", "*/*", _count(workspace / "images", "*"), fraction)
    if step == "import":
        return _images(workspace / "images", "*", _count(workspace.parent / "show", ""), fraction)
    if step in SECONDS:
        return lambda running: running.lines > 0 and running.work_s >= fraction * SECONDS[step]
    if step == "infer":
        return lambda running: running.last.get("type") == "prediction" and running.last["frame"] >= fraction * PREDICTIONS
    return lambda running: running.last.get("unit") == "bytes" and running.last["done"] >= fraction * running.last["total"]


def _images(folder: Path, classes: str, total: int, fraction: float) -> Reached:
    """Counted where they appear: the step says too little, and is done too quickly."""
    before = _count(folder, classes)

    def look(running: Running) -> bool:
        count = _count(folder, classes) - before
        running.seen = f"at {count} of {total} images"
        return count >= max(1.0, fraction * total)

    return look


def _count(folder: Path, classes: str) -> int:
    folders = folder.glob(classes) if classes else iter((folder,))
    with contextlib.suppress(FileNotFoundError):
        return sum(name.endswith(".jpg") for one in folders for name in os.listdir(one))
    return 0


def wait(running: Running, done: Callable[[], bool], every_s: float = LOOK_S) -> bool:
    """Until `done`; False when the command ended first."""
    while running.runs:
        if done():
            return True
        time.sleep(every_s)
    return False


def told(running: Running) -> str:
    """Where the command was, by the images it had made or its last line."""
    if running.seen:
        return running.seen
    line = running.last
    kind = line.get("type")
    if kind == "progress" and line["total"]:
        if line["unit"] == "bytes":
            return f"at {100 * line['done'] / line['total']:.0f} %"
        return f"at {line['done']} of {line['total']} {line['unit']}"
    if kind == "metric":
        return f"at epoch {line['epoch']} of {line['epochs']}"
    if kind == "prediction":
        return f"at frame {line['frame']}"
    if kind == "log":
        return f"at its line {line['code']}"
    if kind == "result":
        return "at its end"
    return "at its start"
