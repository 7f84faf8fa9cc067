"""A program's side of what crosses between the machines (doc/design/wire.md).

A program is started by runner.py as `PYTHON PROGRAMS/<program> --run RUNDIR`, with PROGRAMS on its PYTHONPATH, so that
`from shared.wire import Failure, Run, guard` works. What it has to say goes to events.jsonl as codes and parameters;
the laptop makes the sentences. Whatever it prints goes to output.log.
"""

import errno
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, NoReturn, Optional

VERSION = 1


def encode(message: Dict[str, Any]) -> bytes:
    """One line of the wire, newline included. Raises ValueError for NaN and infinity, TypeError for numpy's types.

    A file name that is not valid UTF-8 reaches Python with lone surrogates, which UTF-8 cannot carry: they become '?'.
    """
    return (json.dumps(message, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def decode(line: bytes) -> Optional[Dict[str, Any]]:
    """The message in a line; None for what is no JSON object or has a version that this code does not know."""
    try:
        message = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("v", VERSION) != VERSION:
        return None
    return message


class Failure(Exception):
    """An expected failure, ends the program with 1: `code` is a key of the catalogue, `params` fill its sentences."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return f"{self.code} {self.params}"


class Appender:
    """Appends whole lines to a file, each with one write, so that a reader never sees two lines mixed.

    A write that a full disk cut short leaves a torn line; the next append closes it first, and readers skip it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False

    def append(self, line: bytes) -> None:
        """Raises OSError, for example with errno ENOSPC."""
        data = b"\n" + line if self._torn else line
        descriptor = os.open(str(self._path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._torn = 0 < written < len(data)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))


class Run:
    """One run of a program: what it was told and the way to tell how it goes.

    `path` is the run's folder, `spec` all of spec.json, `params` its parameters, `root` the machine's absolute ROOT.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError or ValueError where the folder has no readable spec.json."""
        self.path = Path(path).absolute()
        self.spec: Dict[str, Any] = json.loads((self.path / "spec.json").read_text(encoding="utf-8"))
        self.params: Dict[str, Any] = self.spec["params"]
        self.root = Path(self.spec["root"])
        self._events = Appender(self.path / "events.jsonl")

    def emit(self, type: str, **fields: Any) -> None:
        """Appends one event. Fields must be JSON's own types: no numpy scalars, no NaN (send None instead)."""
        message: Dict[str, Any] = {"v": VERSION, "type": type}
        message.update(fields)
        self._events.append(encode(message))

    def progress(self, what: str, done: int, total: Optional[int], unit: str, eta_s: Optional[float] = None) -> None:
        """`what` is a key of the catalogue; `total` is None where nobody can know it."""
        self.emit("progress", what=what, done=done, total=total, unit=unit, eta_s=eta_s)

    def log(self, code: str, level: str = "info", **params: Any) -> None:
        """A sentence for the person: `level` is `info` or `warning`."""
        self.emit("log", level=level, code=code, params=params)

    def result(self, **fields: Any) -> None:
        """The last event of a run that succeeds."""
        self.emit("result", **fields)


class Commands:
    """The laptop's commands to a running program, read by polling commands.jsonl."""

    def __init__(self, run: Run) -> None:
        self._path = run.path / "commands.jsonl"
        self._offset = 0

    def poll(self) -> List[Dict[str, Any]]:
        """The commands that came since the last call, oldest first; a line still being written waits for its end."""
        try:
            with open(str(self._path), "rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        whole = data[:data.rfind(b"\n") + 1]
        self._offset += len(whole)
        messages = [decode(line) for line in whole.splitlines()]
        return [message for message in messages if message is not None]


# LEDs are to be dark within 3 s when the laptop, its link or its program is gone.
SILENT_S = 2.5


class Lease:
    """Whether the laptop is still there, which keeps changing the file `lease`; `lease_s` null needs no laptop.

    Measured with this machine's monotonic clock alone: a Nano has no battery clock and its time of day jumps.
    """

    def __init__(self, run: Run) -> None:
        self._path = run.path / "lease"
        self._seconds: Optional[float] = run.spec.get("lease_s")
        self._content = self._read()
        self._changed = time.monotonic()

    def _read(self) -> Optional[bytes]:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def expired(self) -> bool:
        return self._seconds is not None and self._unheard_s() > self._seconds

    def silent(self) -> bool:
        """Whether the laptop has not been heard for a while; it may come back before the lease has expired."""
        return self._seconds is not None and self._unheard_s() > min(SILENT_S, self._seconds)

    def _unheard_s(self) -> float:
        content = self._read()
        if content != self._content:
            self._content, self._changed = content, time.monotonic()
        return time.monotonic() - self._changed


# The disk was so full that not even the error event could be written.
EXIT_NO_ROOM = 124
FULL = (errno.ENOSPC, errno.EDQUOT)


def _report(run: Run, code: str, **params: Any) -> int:
    """The error event; where it cannot be written output.log is the next hope.

    Returns the exit code, which is all that is left where a full disk keeps both from being written.
    """
    try:
        run.emit("error", code=code, params=params)
        no_room = False
    except OSError as error:
        no_room = error.errno in FULL
        _to_output_log(f"{code} {params}: {error}\n")
    return EXIT_NO_ROOM if no_room else 1


def _to_output_log(text: str) -> None:
    """Where there is room; else output ends here, since what Python cannot flush at its end changes the exit code."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _stop(number: int, frame: Any) -> NoReturn:
    """Ends the program by an exception, so that `finally` blocks run; a second signal must not interrupt those."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def guard(run: Run, function: Callable[[Run], None]) -> int:
    """Calls `function(run)` and returns the program's exit code.

    0 when it returned; 1 after a Failure, which becomes an error event, and after anything unexpected, which becomes
    `program.crashed` {program, error} with the traceback in output.log; 124 instead of 1 where a full disk leaves no room
    for the event. A full disk and a lack of memory have codes of their own. TERM, INT and HUP raise SystemExit inside
    `function`; the exit code is then 128 + the signal's number.
    """
    program = str(run.spec.get("program", ""))
    previous = {number: signal.signal(number, _stop) for number in STOP_SIGNALS}
    try:
        function(run)
        return 0
    except Failure as failure:
        return _report(run, failure.code, **failure.params)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except MemoryError:
        _to_output_log(traceback.format_exc())
        return _report(run, "program.out_of_memory", program=program)
    except Exception as error:
        _to_output_log(traceback.format_exc())
        if isinstance(error, OSError) and error.errno in FULL:
            return _report(run, "program.disk_full", program=program)
        return _report(run, "program.crashed", program=program, error=f"{type(error).__name__}: {error}")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
