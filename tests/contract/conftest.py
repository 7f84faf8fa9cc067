"""The programs of remote/ run as themselves, those for the Nano under the Nano's Python."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from classification import Nano
from colours import MjpegCamera
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


@pytest.fixture
def nano(machine: Machine) -> Nano:
    return Nano(machine)


@pytest.fixture
def camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.close()


@pytest.fixture
def jetson(nano: Nano, tmp_path: Path) -> Nano:
    """A Nano with a jetson-inference that counts its work (test_nano_jetson.py has the faces of its releases)."""
    site = tmp_path / "site"
    site.mkdir()
    for name, things in (("jetson_inference", "INFERENCE"), ("jetson_utils", "UTILS")):
        (site / f"{name}.py").write_text(
            f"import jetson_double as double\nglobals().update({{each.__name__: each for each in double.{things}}})\n")
    shutil.copy(Path(__file__).with_name("jetson_double.py"), site)
    nano.machine.environment.update(PYTHONPATH=str(site), DISPLAY=":0", JETSON_DOUBLE="topk,none",
                                    JETSON_RESIZED=str(site / "resized"))
    return nano
