"""Starting at boot by the real crontab, for a user made for it: no other crontab is touched. cron itself does not run here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ssh_servers import Account

REMOTE = Path(__file__).parents[2] / "remote"
PATH = "/usr/bin:/bin"
PYTHON = shutil.which("python3", path=PATH)
MINE = b"# 100 % mine\n5 4 * * * true\n"
DOCUMENT = json.dumps({"model": "m-001", "student": None, "params": {
    "model_dir": "/nowhere", "camera": "csi://0", "engine": "onnxruntime", "leds": "none", "pins": [], "threshold": 0.6}})

pytestmark = [pytest.mark.root, pytest.mark.skipif(
    shutil.which("crontab", path=PATH) is None or PYTHON is None, reason="needs Debian's package cron")]


class Login:
    """Commands of the user, who has no systemd."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.home = account.home
        shutil.copytree(REMOTE, self.home / "programs", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, *words: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {"HOME": str(self.home), "PATH": PATH, "LANG": "C", "AI_NANO_TEST": os.environ["AI_NANO_TEST"]}
        return subprocess.run(words, input=text, capture_output=True, cwd=self.home, env=environment, timeout=60,
                              user=self._account.user, group=self._account.user, extra_groups=[])

    def autostart(self, *words: str) -> dict[str, Any]:
        assert PYTHON is not None
        program = str(self.home / "programs" / "jetson_nano" / "board.py")
        done = self.run(PYTHON, program, "--root", "ai nano %", "autostart", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def crontab(self) -> bytes | None:
        done = self.run("crontab", "-l")
        return done.stdout if done.returncode == 0 else None


@pytest.mark.parametrize("mine", [None, MINE], ids=["no crontab", "a crontab"])
def test_the_line_comes_and_goes(throwaway_user: Account, mine: bytes | None) -> None:
    login = Login(throwaway_user)
    try:
        if mine is not None:
            assert login.run("crontab", "-", text=mine).returncode == 0
        answer = login.autostart("on", DOCUMENT)
        assert answer["way"] == "cron" and answer["state"] != "ended"
        table = login.crontab()
        assert table is not None and table.startswith((mine or b"") + b"@reboot ") and b"nano \\%" in table
        login.autostart("on", DOCUMENT)
        assert login.crontab() == table
        assert login.autostart("off")["removed"] is True
        assert login.crontab() == mine and os.listdir(login.home / "ai nano %" / ".ai_nano") == []
    finally:
        login.autostart("off")
        login.run("crontab", "-r")
        shutil.rmtree(login.home / "programs")
