"""Questions at a real terminal: what is asked, what is shown of a password, and when it may be kept."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import sys
from ai_nano.cli.console import JsonConsole
from ai_nano.cli.questions import TerminalQuestions
answer = TerminalQuestions(JsonConsole(), yes="yes" in sys.argv).password("DL", "ada", "can" in sys.argv)
print("ANSWER", answer and (answer.password == "s3cret pass", answer.keep))
print(repr(answer))
"""


CONFIRM = """
import sys
from ai_nano.cli.console import JsonConsole
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.core.errors import BadInput
try:
    print("ANSWER", TerminalQuestions(JsonConsole(), yes="yes" in sys.argv).confirm("Remove it?"))
except BadInput as error:
    print("ANSWER", error.code, error)
"""


class Terminal:
    """A program at a pseudo-terminal of its own."""

    def __init__(self, *words: str, program: str = PROGRAM) -> None:
        self.shown = ""
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-c", program, *words], stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "AI_NANO_LANGUAGE": "en"})
        os.close(theirs)

    def wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + 20
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, self.shown
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._ours, 1024).decode()
                except OSError:  # Linux says so when the other end is closed
                    assert re.search(pattern, self.shown), self.shown
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode() + b"\n")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.close()


@pytest.mark.parametrize(("words", "says", "keep"), [
    (["can"], "yes", True), (["can"], "y", True), (["can"], "no", False), (["can"], "", False),
    ([], None, False), (["can", "yes"], None, False)])
def test_a_password_at_the_terminal(terminals: list[Terminal], words: list[str], says: str | None, keep: bool) -> None:
    terminals.append(terminal := Terminal(*words))
    terminal.wait_for("Password of ada on DL: ")
    terminal.type("s3cret pass")
    if says is not None:
        terminal.wait_for(r"keyring.*\[yes/no\] ")
        terminal.type(says)
    shown = terminal.wait_for(r"ANSWER .*\r\n.*\r\n")
    assert f"ANSWER (True, {keep})" in shown and ("keyring" in shown) is (says is not None)
    assert "s3cret" not in shown, "not even in the answer's repr"


def test_no_password_is_no_answer(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("can"))
    terminal.wait_for("Password of ada on DL: ")
    terminal.type("")
    assert "ANSWER None" in terminal.wait_for(r"ANSWER .*\r\n")


@pytest.mark.parametrize(("says", "answer"), [("y", "True"), ("n", "False"), ("", "False")])
def test_a_confirmation_at_the_terminal(terminals: list[Terminal], says: str, answer: str) -> None:
    terminals.append(terminal := Terminal(program=CONFIRM))
    terminal.wait_for(r"Remove it\? \[yes/no\] ")
    terminal.type(says)
    assert f"ANSWER {answer}" in terminal.wait_for(r"ANSWER .*\r\n")


@pytest.mark.parametrize(("words", "says"), [((), "ANSWER cli.nobody_confirms"), (("yes",), "ANSWER True")])
def test_a_confirmation_without_a_terminal(words: tuple[str, ...], says: str) -> None:
    done = subprocess.run([sys.executable, "-c", CONFIRM, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(REPOSITORY), "AI_NANO_LANGUAGE": "en"}, timeout=30, check=True)
    assert done.stdout.startswith(says) and ("--yes" in done.stdout) is (not words) and done.stderr == ""


def test_without_a_terminal_nobody_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "can"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=30, check=True)
    assert done.stdout.startswith("ANSWER None") and done.stderr == ""
