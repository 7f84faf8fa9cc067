"""`ai-nano doctor` on a terminal: exit codes, quiet where all is fine, worst first with the mend below it."""

import json
from pathlib import Path

import pytest
from test_cli import Terminal

from ai_nano.cli import doctor
from ai_nano.core.doctor.findings import FAILURE, OK, WARNING, Finding, Mend


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def room(terminal: Terminal) -> None:
    file = terminal.folder / "config.json"
    file.write_text(json.dumps({"DL_server": {"ip": "127.0.0.1", "port": 1, "login": "x", "pwd": "geheim"}}))
    file.chmod(0o644)


def test_without_a_room_this_computer_is_checked(terminal: Terminal) -> None:
    """Nothing of Qt is imported for it; what it finds hinders, or only warns, as this computer is."""
    hook = terminal.folder / "sitecustomize.py"
    hook.write_text("import sys\nfor name in ('torch', 'paramiko', 'asyncssh'): sys.modules[name] = None\n")
    terminal.environment["PYTHONPATH"] = f"{terminal.folder}:{terminal.environment['PYTHONPATH']}"
    done = terminal.run("doctor", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    checks = {line["check"]: line for line in lines if line["type"] == "check"}
    assert checks["config"]["code"] == "doctor.config.none" and checks["python"]["state"] == "ok"
    assert lines[-1]["ok"] is True and [one["machine"] for one in lines[-1]["machines"]] == ["laptop"]


def test_found_something_is_1_and_nobody_to_ask_is_3(terminal: Terminal) -> None:
    room(terminal)
    told = terminal.run("doctor", code=1).stdout
    assert "sudo systemctl enable --now ssh" in told and "chmod 600" in told and "geheim" not in told
    assert terminal.error("doctor", "--machine", "DL", code=3) == "doctor.nobody"
    assert terminal.error("doctor", "--machine", "DL2", code=2) == "doctor.no_machine"
    lines = [json.loads(line) for line in terminal.run("doctor", "--json", code=1).stdout.splitlines()]
    assert lines[-1]["ok"] is False and lines[-1]["found"]["failure"] == 2 and "error" not in lines[-1]


def test_where_all_is_fine_one_line_is_said() -> None:
    assert doctor.table("nano1", [Finding("nano1", "disk", OK, None, "1 GB")] * 12) == ["✓ nano1: 12 checks, all fine"]


def test_the_worst_comes_first_and_its_mend_below_it() -> None:
    mend = Mend("sudo nvpmodel -m 0", "nano1")
    lines = doctor.table("nano1", [
        Finding("nano1", "power", WARNING, "doctor.power.weak", "5W", {"mode": "5W", "best": "MAXN"}, (mend,)),
        Finding("nano1", "swap", FAILURE, "doctor.swap.none", "0 MB", {"total": 3956}), Finding("nano1", "disk", OK)])
    assert lines == ["✗ nano1: 1 not working, 1 to look at, of 3 checks",
                     "  ✗ Swap [0 MB]: There is no swap: with 3956 MB of memory, building an engine fails.",
                     "  ! Power mode [5W]: It runs in 5W; MAXN is faster.",
                     "      as administrator on nano1:", "          sudo nvpmodel -m 0"]
