"""A board on which nothing real is ever switched off or installed: its system's commands are stand-ins."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classification import Nano
from machine import DEADLINE_S, Message, wait_for

COMMANDS = ("systemctl", "sudo", "loginctl", "crontab")


class Board:
    """A Nano whose system has `things` (see stand_in_commands.py)."""

    def __init__(self, nano: Nano, folder: Path, *things: str) -> None:
        self.nano, self.machine = nano, nano.machine
        self.state, commands = folder / "system", folder / "commands"
        self.state.mkdir()
        commands.mkdir()
        stand_in = Path(__file__).with_name("stand_in_commands.py")
        for name in COMMANDS:
            words = " ".join(map(shlex.quote, [sys.executable, str(stand_in), str(self.state), name]))
            (commands / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (commands / name).chmod(0o755)
        self.machine.environment["PATH"] = os.pathsep.join([str(commands), self.machine.environment["PATH"]])
        self.command = str(commands / "systemctl")
        self.have(*things)

    def have(self, *things: str) -> None:
        for thing in things:
            (self.state / thing).touch()

    def ask(self, *words: str, code: int = 0, **environment: str) -> Message:
        """The one line that board.py prints."""
        done = subprocess.run(
            [self.machine.python, str(self.machine.programs / "jetson_nano" / "board.py"), "--root", self.machine.root.name,
             *words], capture_output=True, env={**self.machine.environment, **environment}, cwd="/", timeout=DEADLINE_S)
        assert done.stderr == b"", done.stderr.decode()
        assert done.returncode == code, done.stdout
        [line] = done.stdout.decode("utf-8").splitlines()
        message: Message = json.loads(line)
        return message

    def error(self, *words: str) -> tuple[str, Message]:
        message = self.ask(*words, code=1)
        return message["code"], message["params"]

    def autostart(self, camera: str | Path, **changes: object) -> Message:
        params = self.nano.params(camera, **changes)
        return self.ask("autostart", "on", json.dumps({"model": "colours-001", "params": params, "student": "ada@lab"}))

    def is_now(self, state: str) -> Message:
        """The autostart's status, once it is that. (Asked when its file says so: each question is an interpreter's start.)"""
        found: list[Message] = []

        def there() -> bool:
            if self.noted_state() != state:
                return False
            found.append(self.ask("autostart", "status"))
            return bool(found[-1]["state"] == state)

        wait_for(there, f"the autostart to be {state}: {found[-1:]}")
        return found[-1]

    @property
    def files(self) -> Path:
        return self.machine.root / ".ai_nano" / "autostart"

    def noted(self) -> Message:
        message: Message = json.loads((self.files / "state.json").read_text())
        return message

    def noted_state(self) -> str | None:
        try:
            return str(self.noted()["state"])
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Whatever a test has left running ends."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.noted()["pid"], signal.SIGTERM)
        self.ask("autostart", "off")


@contextmanager
def board_with(nano: Nano, folder: Path, *things: str) -> Iterator[Board]:
    board = Board(nano, folder, *things)
    try:
        yield board
    finally:
        board.close()
