"""Programs of other versions on this machine: a run is served by those that started it, and old ones go in the end."""

import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import List

from shared.runs import RunFolder, Runs

KEPT_S = 30 * 24 * 3600
HALF_SENT_S = 24 * 3600
NAME = re.compile(r"[0-9a-f]{16}\Z")
# What is on its way in (machines/programs.py sends it) or out.
PASSING = re.compile(r"\.(new|gone)-")
# Set for the programs that took over, so that nothing is handed to and fro.
HANDED_OVER = "AI_NANO_HANDED_OVER"


def touch(own: Path) -> None:
    """Notes in the folder's time that the programs are used: nobody prunes them for a while."""
    try:
        os.utime(str(own), None)
    except OSError:
        pass  # read-only, or another user's


def hand_over(own: Path, folder: RunFolder, words: List[str]) -> None:
    """Becomes the runner.py that started the run, with these words, where that is another one and still there; else returns."""
    other = (folder.spec() or {}).get("programs")
    if not isinstance(other, str) or other == str(own) or HANDED_OVER in os.environ:
        return
    runner = os.path.join(other, "shared", "runner.py")
    if os.path.isfile(runner):
        os.environ[HANDED_OVER] = str(own)
        os.execv(sys.executable, [sys.executable, runner] + words)


def prune(own: Path, runs: Runs) -> None:
    """Removes programs beside our own that no run names and that nobody used for 30 days.

    Only in ROOT's own folder for them: what runs from where it is installed has no older versions beside it.
    """
    home = own.parent
    try:
        if not os.path.samefile(str(home), str(runs.root / ".ai_nano" / "programs")):
            return
    except OSError:
        return
    named = {Path(name).name for name in runs.programs()}
    for path in sorted(home.iterdir()):
        if path.name == own.name or path.name in named:
            continue
        kept_s = KEPT_S if NAME.match(path.name) else HALF_SENT_S if PASSING.match(path.name) else None
        if kept_s is not None and _age_s(path) > kept_s:
            _remove(path, kept_s)


def _age_s(path: Path) -> float:
    try:
        return time.time() - os.stat(str(path)).st_mtime
    except OSError:
        return 0.0


def _remove(path: Path, kept_s: float) -> None:
    """Gone at once for whoever looks whether it is there, then removed, unless somebody has just begun to use it."""
    doomed = path if path.name.startswith(".gone-") else path.with_name(f".gone-{os.getpid()}-{path.name}")
    try:
        os.rename(str(path), str(doomed))
        if _age_s(doomed) <= kept_s:
            os.rename(str(doomed), str(path))
            return
    except OSError:
        return  # what is still aside goes another time
    shutil.rmtree(str(doomed), ignore_errors=True)
