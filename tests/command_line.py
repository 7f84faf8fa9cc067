"""`ai-nano` in the process of the tests, which has imported it all: for tests of machines, and not of processes."""

import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from ai_nano.cli.main import main


class Said(NamedTuple):
    code: int
    out: str
    errors: str


def ai_nano(folder: Path, *words: str) -> Said:
    """In that folder, which is its home too, without a terminal and in English."""
    environment = {"HOME": str(folder), "AI_NANO_LANGUAGE": "en", "XDG_CONFIG_HOME": str(folder / "config"), "LANG": "C.UTF-8"}
    out, errors, before, handler = io.StringIO(), io.StringIO(), os.getcwd(), signal.getsignal(signal.SIGTERM)
    os.chdir(folder)
    try:
        with (mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(errors),
              open(os.devnull) as nobody, mock.patch.object(sys, "stdin", nobody)):
            code = main(words)
    finally:
        os.chdir(before)
        signal.signal(signal.SIGTERM, handler)
    return Said(code, out.getvalue(), errors.getvalue())
