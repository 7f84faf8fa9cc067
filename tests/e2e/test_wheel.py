"""A wheel built from setup.cfg brings everything along: it works from any folder, without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str | Path], folder: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISPLAY")}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


def test_the_wheel_holds_the_programs_the_window_and_the_words(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    for source, target in (("remote", "ai_nano/_remote"), ("ui", "ai_nano/_ui"), ("ai_nano", "ai_nano")):
        paths = [path.relative_to(ROOT / source) for path in (ROOT / source).rglob("*") if path.is_file()]
        files = [path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
        assert files
        assert not [path for path in files if f"{target}/{path.as_posix()}" not in inside]
    assert {"ai_nano/core/locale/en/LC_MESSAGES/ai_nano.po", "ai_nano/core/locale/fr/LC_MESSAGES/ai_nano.po"} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "remote/", "ui/", "build/"))]


def test_help_from_another_folder(installed: Path, tmp_path: Path) -> None:
    for command in ([installed / "ai-nano", "--help"], [installed / "python", "-m", "ai_nano", "--help"]):
        assert "demo" in succeeded(run(command, tmp_path))


def test_the_folders_are_the_wheels_own(installed: Path, tmp_path: Path) -> None:
    question = "from ai_nano import resources as r; print(r.remote_folder()); print(r.ui_folder())"
    remote, ui = map(Path, succeeded(run([installed / "python", "-c", question], tmp_path)).splitlines())
    assert installed.parent in remote.parents and installed.parent in ui.parents
    assert (remote / "shared" / "runner.py").is_file()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_demo_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    command = [installed / "ai-nano", "demo", "--headless", "--json", "--workspace", workspace]
    result = json.loads(succeeded(run(command, tmp_path, 400)).splitlines()[-1])
    assert result["type"] == "result" and result["ok"] is True
    assert Path(result["report"]).is_file()
    assert workspace in Path(result["workspace"]).parents or Path(result["workspace"]) == workspace


def test_the_window_opens_from_another_folder(installed: Path, tmp_path: Path) -> None:
    """Its .ui files, its words and its style are the wheel's own; at SIGTERM it closes."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISPLAY")}
    environment |= {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    with subprocess.Popen([installed / "ai-nano"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 20
        while not (tmp_path / ".cache" / "ai_nano" / "style").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        assert process.poll() is None, process.stdout and process.stdout.read()
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in out, out
    assert (tmp_path / "settings" / "ai_nano" / "window.ini").is_file()
