"""What every process of the embedded classroom owes its parent: JSON lines, and an end when the parent ends."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from typing import Any


def say(message: dict[str, Any]) -> None:
    """Prints `message` as one JSON line of version 1 on standard output."""
    print(json.dumps({"v": 1, **message}), flush=True)


def watch_parent(ended: Callable[[], object]) -> None:
    """Calls `ended`, from a thread, when standard input ends, which it also does when the parent process dies."""

    def read_to_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        ended()

    threading.Thread(target=read_to_end, name="parent", daemon=True).start()
