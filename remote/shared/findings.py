"""What a look at this machine finds, said as JSON lines (doc/design/wire.md): one for each check, as soon as it is known.

Judged here, where the facts are; the sentence and the command that mends it are made on the laptop, from the code. A check
that breaks or takes too long is one unknown finding and never the end of the others.
"""

import os
import pwd
import shutil
import subprocess
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from shared import console

OK, WARNING, FAILURE, UNKNOWN = "ok", "warning", "failure", "unknown"
# All checks from metadata: the laptop promises an answer in 5 s.
METADATA_S = 4.0
COMMAND_S = 3.0
LONGEST = 200


class Said(NamedTuple):
    """What a command answered; `code` is 127 where there is none of that name, 124 where it did not end."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1][:LONGEST] if lines else ""


def path() -> str:
    """A login by SSH may lack the folders of the system's own commands."""
    return os.pathsep.join(filter(None, [os.environ.get("PATH"), "/usr/bin", "/bin", "/usr/sbin", "/sbin"]))


def find(name: str) -> Optional[str]:
    return shutil.which(name, path=path())


def ask(words: Sequence[str], timeout_s: float = COMMAND_S) -> Said:
    """Runs a command in English, with nothing on its standard input: it never asks anybody anything."""
    found = find(words[0])
    if found is None:
        return Said(127, "", f"{words[0]}: not found")
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C", PATH=path())
    try:
        done = subprocess.run([found] + list(words[1:]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Said(124, "", f"{words[0]}: no answer")
    except OSError as error:
        return Said(126, "", error.strerror or str(error))
    return Said(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


class Findings:
    """Says what it is told, a check at most once: whoever comes after the time is over is not heard."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: Dict[str, str] = {}
        self._closed = False

    def ok(self, check: str, figure: str = "") -> None:
        self._say(check, OK, None, figure, {})

    def warn(self, check: str, code: str, figure: str = "", **params: Any) -> None:
        self._say(check, WARNING, code, figure, params)

    def bad(self, check: str, code: str, figure: str = "", **params: Any) -> None:
        self._say(check, FAILURE, code, figure, params)

    def unsure(self, check: str, code: str, figure: str = "", **params: Any) -> None:
        self._say(check, UNKNOWN, code, figure, params)

    def _say(self, check: str, state: str, code: Optional[str], figure: str, params: Dict[str, Any]) -> None:
        with self._lock:
            if not self._closed and check not in self._said:
                self._said[check] = state
                console.say("finding", check=check, state=state, code=code, figure=figure[:LONGEST], params=params)

    def close(self) -> None:
        with self._lock:
            self._closed = True


Check = Callable[[Findings], None]


def carry_out(findings: Findings, checks: Dict[str, Check], seconds: float = METADATA_S) -> None:
    """All checks side by side; each that has not ended in time is unknown. A check may say what it finds under other names
    too. Threads are daemons: what hangs in the kernel (a dead network file system) does not hold up the answer."""
    threads: List[threading.Thread] = []
    deadline = time.monotonic() + seconds
    for name, check in checks.items():
        threads.append(threading.Thread(target=_guarded, args=(findings, name, check), name=name, daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            findings.unsure(thread.name, "doctor.slow", seconds=round(seconds))
    findings.close()


def _guarded(findings: Findings, name: str, check: Check) -> None:
    try:
        check(findings)
    except BrokenPipeError:
        pass
    except Exception as error:
        traceback.print_exc()
        findings.unsure(name, "doctor.crashed", error=f"{type(error).__name__}: {error}"[:LONGEST])
