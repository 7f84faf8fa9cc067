"""What every process of the embedded classroom owes its parent: JSON lines, and an end when it is told to end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn


def say(message: dict[str, Any]) -> None:
    """Prints `message` as one JSON line of version 1 on standard output."""
    print(json.dumps({"v": 1, **message}), flush=True)


def leave(code: int) -> NoReturn:
    """Ends the process at once. Threads that still serve somebody may be anywhere, also where the interpreter's own end would
    wait for them for ever, and whatever is to be kept has been written."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def told_to_end(ended: Callable[[], object]) -> Iterator[None]:
    """Inside, SIGTERM, SIGINT and the end of standard input call `ended`, perhaps several times, perhaps from a thread.

    Standard input also ends when the parent process dies. Afterwards the signals are ignored: the process ends by
    itself then, and a parent that closes its input and sends SIGTERM must not find it killed on its last metres.
    """

    def read_to_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        ended()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        signal.signal(number, lambda *_: ended())
    threading.Thread(target=read_to_end, name="parent", daemon=True).start()
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
