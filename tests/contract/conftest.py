"""The programs of remote/ run as themselves, those for the Nano under the Nano's Python."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import REPOSITORY, Machine


@pytest.fixture(scope="session")
def nano_python() -> str:
    """The Nano's interpreter, CPython 3.6; where there is none the one that runs the tests, but never so in CI."""
    candidates = [os.environ.get("AI_NANO_NANO_PYTHON"), str(REPOSITORY / ".venv-nano" / "bin" / "python"),
                  shutil.which("python3.6")]
    for candidate in candidates:
        if candidate and os.path.exists(candidate):
            return candidate
    if os.environ.get("CI"):
        pytest.fail("no CPython 3.6: set AI_NANO_NANO_PYTHON or make .venv-nano")
    return sys.executable


@pytest.fixture
def machine(tmp_path: Path, nano_python: str) -> Iterator[Machine]:
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home, nano_python)
    yield machine
    machine.close()
