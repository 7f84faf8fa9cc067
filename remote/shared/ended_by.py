"""Who ended somebody else's run, and with what words: ended_by.json in the run's folder, beside the programs' own files.

A file of its own, written before the program is told to stop: so it is there whoever then writes down the end, be it a
supervisor of an older version, of another node, or `cancel` itself.
"""

import time
from typing import Any, Dict, Optional

from shared.json_files import read, write_whole
from shared.runs import RunFolder
from shared.wire import VERSION

FILE = "ended_by.json"
LONGEST_NAME = 100
LONGEST_REASON = 300
INSTRUCTOR = "instructor"


def note(folder: RunFolder, who: Optional[str], role: Optional[str], reason: Optional[str]) -> None:
    """Nothing where nobody is named: it is the student's own end. A disk that is too full keeps no run from being ended."""
    if not who:
        return
    try:
        write_whole(folder.path / FILE, {"v": VERSION, "who": who[:LONGEST_NAME], "role": role,
                                         "reason": (reason or "")[:LONGEST_REASON] or None, "t": time.time()})
    except OSError:
        pass


def told(folder: RunFolder, state: str) -> Optional[Dict[str, Any]]:
    """As the laptop hears it, with how long ago it was: this machine's clock may be an hour off. None for any other end."""
    known = read(folder.path / FILE) if state == "cancelled" else None
    if known is None or not isinstance(known.get("t"), (int, float)):
        return None
    return {"who": known.get("who"), "role": known.get("role"), "reason": known.get("reason"),
            "ago_s": round(max(0.0, time.time() - known["t"]), 1)}
