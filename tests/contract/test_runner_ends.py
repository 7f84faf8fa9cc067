"""runner.py: how jobs end: cancelled, killed or left alone, and what must not be taken for one."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest
from machine import DEADLINE_S, Machine, boot_id, make_run, of, process_start, wait_for

from shared import processes, supervisor
from shared.runs import Runs


def test_cancel_lets_the_program_tidy_up(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    assert machine.state("a") == "running"
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    messages = follower.read_all()
    assert [message["event"]["code"] for message in of(messages, "event")] == ["probe.tidied"]
    assert messages[-1]["state"] == "cancelled"
    assert messages[-1]["exit"]["cancelled"] is True and messages[-1]["exit"]["code"] == 143
    assert machine.state("a") == "cancelled"


def test_cancel_kills_what_refuses_and_its_children(machine: Machine) -> None:
    machine.start("a", do="refuse")
    machine.follow("a").read_event("log", "probe.waiting")
    assert machine.cancel("a", grace=0.2) == {"v": 1, "type": "cancelled", "id": "a", "gone": True,
                                              "state": "cancelled"}
    assert machine.follow_all("a")[-1]["exit"]["signal"] == signal.SIGKILL


def test_children_do_not_outlive_their_program(machine: Machine) -> None:
    machine.start("a", do="leave_child")
    child = machine.events("a")[-1]["child"]
    wait_for(lambda: not Path(f"/proc/{child}").exists() or ") Z" in Path(f"/proc/{child}/stat").read_text(),
             "the child's end")


def test_cancelling_again_changes_nothing(machine: Machine) -> None:
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    assert machine.cancel("a") == machine.cancel("a")


def test_cancelling_what_has_ended_changes_nothing(machine: Machine) -> None:
    machine.start("a", do="finish")
    machine.follow_all("a")
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "done"}
    assert machine.state("a") == "done"


@pytest.mark.parametrize("attempt", range(3))
def test_cancel_during_start(machine: Machine, attempt: int) -> None:
    """As soon as a run's folder is there it can be cancelled, however far its start has come."""
    start = subprocess.Popen(machine.command("runner.py", "start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env=machine.environment)
    outcome: list[Any] = []
    worker = threading.Thread(target=lambda: outcome.append(start.communicate(machine.spec("a", do="wait"))))
    worker.start()
    wait_for(lambda: machine.run_path("a").exists(), "the run's folder")
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    worker.join(DEADLINE_S)
    assert json.loads(outcome[0][0])["type"] == "started"
    assert machine.state("a") == "cancelled"


def test_a_job_survives_its_session(machine: Machine) -> None:
    """As when the SSH connection breaks: everything in the session that started the job is killed."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", '"$@" && sleep 600', "sh", *machine.command("runner.py", "start")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=machine.environment, start_new_session=True)
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(machine.spec("a", do="obey"))
    shell.stdin.close()
    assert json.loads(shell.stdout.readline())["type"] == "started"
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait(DEADLINE_S)
    shell.stdout.close()
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"


def test_a_run_without_a_last_word_has_failed(machine: Machine) -> None:
    """As after a reboot or the kernel's out-of-memory killer."""
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    note = json.loads((machine.run_path("a") / "pid.json").read_text())
    os.kill(note["supervisor"], signal.SIGKILL)
    assert machine.state("a") == "running"  # the program itself still is
    os.kill(note["pid"], signal.SIGKILL)
    wait_for(lambda: machine.state("a") == "failed", "the end")
    end = machine.follow_all("a")[-1]
    assert (end["state"], end["exit"], end["why"]) == ("failed", None, "vanished")
    assert machine.call("runner.py", "list")["runs"][0]["why"] == "vanished"


def test_cancel_has_the_last_word_where_the_supervisor_is_dead(machine: Machine) -> None:
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGKILL)
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}


def test_a_supervisor_that_is_told_to_stop_stops_the_program(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGTERM)
    assert follower.read_all()[-1]["exit"]["code"] == 143


@pytest.mark.parametrize(("patched", "does", "program", "codes"), [
    # Its program has just been asked for its exit code, and its group is gone.
    (supervisor.Bounds, "stop", "finish", (0,)),
    # Nothing has begun yet; then the program has, and nobody knows its group.
    (supervisor, "_join", "wait", supervisor.ENDED_BY_OTHERS),
    (supervisor.processes, "look", "wait", supervisor.ENDED_BY_OTHERS)])
def test_a_supervisor_may_be_told_to_stop_at_any_time(machine: Machine, patched: Any, does: str, program: str,
                                                      codes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Runs(machine.root).create({"id": "a", "program": "probe/probe.py", "params": {"do": program}, "lease_s": None,
                                        "root": str(machine.root), "programs": str(machine.programs)})
    real, told = getattr(patched, does), []

    def tell(*words: Any) -> Any:
        if words[0] != os.getpid() and not told:
            told.append(words)
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*words)

    child = os.fork()
    if child == 0:
        try:
            signal.alarm(30)
            monkeypatch.setattr(patched, does, tell)
            # Not as a cluster's job, which leaves the last word to the cluster.
            supervisor._supervise(folder, machine.programs, -1, supervisor._Popen)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    end = folder.exit()
    assert end is not None and (end["code"] if end["signal"] is None else -end["signal"]) in codes


def test_a_program_that_was_stopped_tidies_up_when_it_is_cancelled(machine: Machine) -> None:
    """TERM alone would wait until somebody lets it go on."""
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    os.kill(machine.process_id("a"), signal.SIGSTOP)
    assert machine.cancel("a", grace=20)["state"] == "cancelled"
    assert [message["event"]["code"] for message in of(follower.read_all(), "event")] == ["probe.tidied"]


def test_a_group_whose_leader_and_supervisor_are_dead_is_ended(machine: Machine) -> None:
    machine.start("a", do="leave_group")
    child = machine.follow("a").read_event("log", "probe.waiting")["params"]["child"]
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGKILL)
    os.kill(machine.process_id("a"), signal.SIGKILL)
    wait_for(lambda: machine.state("a") == "failed", "the leader's end")
    assert _lives(child)
    assert machine.cancel("a", grace=0.2) == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    assert not _lives(child)


def test_a_group_whose_leader_is_a_zombie_is_ended(machine: Machine) -> None:
    """Its parent, here the test, has not asked for its exit code; the group still has a living member."""
    code = ("import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
            "print(child.pid, flush=True)")
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    make_run(machine, "a", leader.pid, process_start(leader.pid), boot_id())
    child = int(leader.stdout.readline())
    wait_for(lambda: ") Z" in Path(f"/proc/{leader.pid}/stat").read_text(), "the zombie")
    assert _lives(child) and machine.state("a") == "failed"
    assert machine.cancel("a", grace=5)["gone"] is True
    assert not _lives(child)
    leader.wait(DEADLINE_S)
    leader.stdout.close()


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("later", "boot", "state"), [
    (0, None, "running"), (1, None, "failed"), (0, "00000000-0000-0000-0000-000000000000", "failed")])
def test_a_reused_process_id_is_not_the_program(machine: Machine, later: int, boot: str | None, state: str) -> None:
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        make_run(machine, "a", innocent.pid, process_start(innocent.pid) + later, boot or boot_id())
        assert machine.state("a") == state
        if state == "failed":
            assert machine.cancel("a", grace=0.1)["state"] == "failed"
        assert innocent.poll() is None
    finally:
        innocent.communicate(b"\n", timeout=DEADLINE_S)
    assert innocent.returncode == 0


def test_a_zombie_is_dead(machine: Machine) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    make_run(machine, "a", zombie.pid, process_start(zombie.pid), boot_id())
    assert machine.state("a") == "running"
    assert zombie.stdin is not None
    zombie.stdin.write(b"\n")
    zombie.stdin.close()
    wait_for(lambda: ") Z" in Path(f"/proc/{zombie.pid}/stat").read_text(), "the zombie")
    assert machine.state("a") == "failed"
    zombie.wait(DEADLINE_S)


def test_what_proc_hides_of_other_logins_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc is mounted with hidepid=1: its folders are listed and cannot be read."""
    shown, own = Path.read_bytes, f"/proc/{os.getpid()}/stat"

    def hidden(path: Path) -> bytes:
        if str(path) != own:
            raise PermissionError(1, "Operation not permitted", str(path))
        return shown(path)

    group = os.getpgrp()
    monkeypatch.setattr(Path, "read_bytes", hidden)
    assert processes.look(1) is None
    assert processes.group_members(group, 0) == ([] if group == os.getpid() else [os.getpid()])
