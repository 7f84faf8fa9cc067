"""A wheel built from setup.cfg, installed into a virtual environment elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str | Path], folder: Path, timeout_s: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    """`more` is added to the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISPLAY")}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy: a build leaves folders behind, and old ones would get into the wheel.
    source = tmp_path_factory.mktemp("source") / "checkout"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*-demo", "tests")
    shutil.copytree(ROOT, source, ignore=left_out)
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source]
    succeeded(run(build, target, 300))
    (built,) = target.glob("ai_nano-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a virtual environment with the wheel and, behind it, the packages of this one."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    succeeded(run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent))
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel]
    succeeded(run(install, folder.parent))
    site = succeeded(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder)).strip()
    # A path named in a .pth file is searched last, and .pth files in it (an editable ai_nano) are not followed.
    Path(site, "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"
