"""What is loaded ahead on a machine: there while the connection lives, and never in the way."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import pytest
from ssh_machines import Heard, probe

from ai_nano.core.ports import MachineState
from ai_nano.machines.ssh_machine import SshMachine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "remote"))
from shared import ahead  # noqa: E402

BOTH = ["embedded", "openssh-key"]
both = pytest.mark.parametrize("ssh_server", BOTH, indirect=True)


def wait_until(true: Callable[[], Any], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def waits(root: Path) -> bool:
    """Whether somebody is at the address of the programs in this ROOT."""
    addresses = [ahead.address(folder).replace(b"\0", b"@") for folder in (root / ".ai_nano" / "programs").glob("[0-9a-f]*")]
    return any(address in Path("/proc/net/unix").read_bytes() for address in addresses)


@both
def test_a_run_begins_in_what_was_loaded_and_all_ends_with_the_connection(machine: SshMachine, root: Path) -> None:
    machine.store("free")
    machine.warm_up()
    machine.warm_up()  # again: there is one already
    wait_until(lambda: waits(root), "a process that waits")
    job, heard = probe(machine, do="wait"), Heard()
    pid = json.loads((root / ".ai_nano" / "runs" / job.id / "pid.json").read_text())["pid"]
    assert "ahead.py" in processes.command(pid)
    assert job.cancel()
    assert heard.follow(job).state == "cancelled"
    machine.close()
    wait_until(lambda: not waits(root), "its end")


def test_it_connects_to_nobody_by_itself(machine: SshMachine, root: Path) -> None:
    """Which may ask a person for a password that nobody wanted yet."""
    machine.warm_up()
    time.sleep(0.3)
    assert machine.state is not MachineState.CONNECTED and not waits(root)
    machine.close()


@both
def test_where_nothing_can_wait_runs_begin_as_ever(machine: SshMachine, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.store("free")
    exec_program = machine.exec_program
    monkeypatch.setattr(machine, "exec_program", lambda program, *words: exec_program(
        program.replace("ahead.py", "is_missing.py"), *words))
    machine.warm_up()
    heard = Heard()
    end = heard.follow(probe(machine, do="finish"))
    assert (end.state, end.result["ok"]) == ("done", True) and not waits(root)
