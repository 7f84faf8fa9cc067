"""How the short programs (store.py, runner.py) answer: JSON lines on standard output, in UTF-8 under any locale."""

import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

from shared.wire import FULL, VERSION, Failure, encode

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def ensure_utf8_file_names() -> None:
    """Starts the interpreter anew under a UTF-8 locale where file names would be ASCII.

    An SSH login often has LANG=C; CPython 3.6 then cannot open a path with an accent (PEP 538 and 540 came with 3.7).
    """
    if sys.getfilesystemencoding().lower().replace("-", "") == "utf8" or "AI_NANO_UTF8" in os.environ:
        return
    environment = dict(os.environ, LC_ALL="C.UTF-8", PYTHONUTF8="1", AI_NANO_UTF8="tried")
    os.execve(sys.executable, [sys.executable] + sys.argv, environment)


def absolute_root(root: str) -> Path:
    """ROOT of the command line: relative to the login's home, wherever the command is run."""
    return Path(os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(root))))


def say(type: str, **fields: Any) -> None:
    """Prints one line at once. Raises BrokenPipeError when nobody listens any more."""
    message = {"v": VERSION, "type": type}
    message.update(fields)
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def answer(program: str, root: Path, function: Callable[[], None]) -> int:
    """Calls `function` and returns the exit code: 0, or 1 after an error line on standard output.

    An error of the system that does not say where it happened (a write to a full disk) is said of `root`.
    """
    try:
        function()
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Failure as failure:
        say("error", code=failure.code, params=failure.params)
    except OSError as error:
        path = str(error.filename or root)
        if error.errno in FULL:
            say("error", code="machine.disk_full", params={"path": path})
        elif error.errno in FORBIDDEN:
            say("error", code="machine.no_permission", params={"path": path})
        else:
            say("error", code="machine.io_error", params={"path": path, "error": error.strerror or str(error)})
    except Exception as error:
        traceback.print_exc()
        say("error", code="program.crashed", params={"program": program, "error": f"{type(error).__name__}: {error}"})
    return 1
