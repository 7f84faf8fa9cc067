"""A deep check: a few lines of Python in a process of their own, with a time limit; what they print is the figure.

A library that is broken may crash, hang or write to the screen, and never takes the doctor with it.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

from shared.findings import Check, Findings

# Importing torch from a slow disk, making a CUDA context on a Nano.
LIMIT_S = 100.0
SLOW = "doctor.deep.slow"


def check(name: str, text: str, limit_s: float = LIMIT_S, **params: Any) -> Check:
    """`params` go into the sentence and into the mend. The text comes on standard input: others see command lines."""
    def look(findings: Findings) -> None:
        began = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True)
        try:
            output, errors = began.communicate(text.encode("utf-8"), timeout=limit_s)
        except subprocess.TimeoutExpired:
            findings.bad(name, SLOW, seconds=round(limit_s), **params)
            return
        finally:
            _end(began)
        said = output.decode("utf-8", "replace").split("\n")
        if began.returncode == 0:
            findings.ok(name, next((line for line in reversed(said) if line.strip()), ""))
        else:
            lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
            error = lines[-1] if lines else f"exit {began.returncode}"
            findings.bad(name, f"doctor.{name}", error=error[:200], **params)
    return look


def _end(process: "subprocess.Popen[bytes]") -> None:
    """With all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # it did not read all of its text
                stream.close()
