"""report.json, changed by a training and an export at the same time: neither loses what the other wrote."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import server_data

from gpu_server import report_file

IN_TIME_S = 20.0
LONG_ENOUGH_S = 0.5  # for a change that waits for nobody; it takes milliseconds

# Puts a key into the report, and says when it is about to and when it has read. With `hold` it writes only when told.
CHANGE = """if 1:
    import sys
    from pathlib import Path
    from gpu_server import report_file

    def with_key(report):
        print("read", flush=True)
        if hold == "hold":
            sys.stdin.readline()
        return dict(report or {}, **{key: 1})

    folder, key, hold = sys.argv[1:]
    print("begins", flush=True)
    report_file.change(Path(folder), with_key)
"""

Start = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program that puts `key` into the report."""
    started = []

    def one(key: str, hold: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen([sys.executable, "-c", CHANGE, str(tmp_path), key, hold], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(server_data.REMOTE)})
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def says(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None and process.stdout.readline() == f"{word}\n"


def test_two_programs_change_it_one_after_the_other(start: Start, tmp_path: Path) -> None:
    (tmp_path / report_file.FILE).write_text('{"stage": "quick"}')
    first = start("export", "hold")
    says(first, "begins")
    says(first, "read")
    second = start("history", "go")
    says(second, "begins")
    until = time.monotonic() + LONG_ENOUGH_S
    while time.monotonic() < until and second.poll() is None:
        time.sleep(0.01)
    first.communicate("go\n", IN_TIME_S)
    second.communicate(timeout=IN_TIME_S)
    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads((tmp_path / report_file.FILE).read_text()) == {"stage": "quick", "export": 1, "history": 1}


def test_a_killed_program_leaves_no_lock(start: Start, tmp_path: Path) -> None:
    first = start("export", "hold")
    says(first, "begins")
    says(first, "read")
    first.kill()
    first.wait()
    second = start("history", "go")
    second.communicate(timeout=IN_TIME_S)
    assert json.loads((tmp_path / report_file.FILE).read_text()) == {"history": 1}


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff"])
def test_what_is_no_report_is_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / report_file.FILE).write_bytes(content)
    found = []
    assert report_file.change(tmp_path, found.append) is None
    assert found == [None]
    assert (tmp_path / report_file.FILE).exists() == (content is not None), "None leaves it alone"


def test_a_report_is_of_its_checkpoint() -> None:
    assert report_file.is_of({"checkpoint_sha256": "a"}, "a") and not report_file.is_of({"checkpoint_sha256": "a"}, "b")
    assert report_file.is_of({}, "b"), "an older program's does not say of which"
