"""The wheel brings everything along: it works from any folder, without the checkout. Its demo: test_demo.py."""

from __future__ import annotations

import os
import subprocess
import time
import zipfile
from pathlib import Path

from wheels import ROOT, run, succeeded


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
