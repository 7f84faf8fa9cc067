"""The laptop's side against real servers: programs that travel, files, jobs that are detached and followed.

One suite for the embedded server and OpenSSH; it runs the programs of remote/ as real processes there.
"""

import secrets
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from ssh_machines import Heard, Nobody, ProgramsWithProbe, config_for, connect, probe
from ssh_servers import OLD_TOO, SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import ContactLost, MachineError, WorkFailed
from ai_nano.core.ports import JobEnd, Parcel, Upload
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

# ---- programs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_programs_travel_by_themselves_and_once(machine: SshMachine, root: Path) -> None:
    machine.store("models")
    folder = root / ".ai_nano" / "programs" / ProgramsWithProbe("gpu_server").name
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert (folder / "shared" / "runner.py").is_file() and not (folder / "jetson_nano").exists()
    machine.store("models")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


def test_other_programs_get_another_folder(machine: SshMachine, root: Path, ssh_server: SshServer, tmp_path: Path) -> None:
    machine.store("models")
    config = config_for(ssh_server, machine._config.root)
    other = SshMachine(config, Programs("jetson_nano"), HostKeys(tmp_path / "k"), Nobody())
    other.store("models")
    other.close()
    assert len(list((root / ".ai_nano" / "programs").iterdir())) == 2


def test_a_python_that_is_not_there(machine: SshMachine, tmp_path: Path) -> None:
    broken = connect(replace(machine._config, python="/nowhere/python3"), tmp_path)
    with pytest.raises(MachineError) as caught:
        broken.store("models")
    broken.close()
    assert (caught.value.code, caught.value.exit_code) == ("machine.no_python", 3)


def test_programs_that_have_gone_are_sent_again(machine: SshMachine, root: Path) -> None:
    """By whomever they were removed: the shell looks each time, which costs no round trip."""
    job = probe(machine, do="finish")
    assert Heard().follow(job).state == "done"
    shutil.rmtree(root / ".ai_nano" / "programs")
    assert Heard().follow(machine.attach(job.id)).state == "done"
    shutil.rmtree(root / ".ai_nano" / "programs")
    assert machine.jobs()[-1]["id"] == job.id


def test_programs_that_a_power_cut_left_empty_are_sent_again(machine: SshMachine, root: Path) -> None:
    machine.store("models")
    runner, = (root / ".ai_nano" / "programs").glob("*/shared/runner.py")
    for path in (runner, runner.with_name("store.py")):
        path.write_bytes(b"")
    assert machine.store("models")["models"] == [] and runner.stat().st_size > 0


def test_two_laptops_send_their_programs_at_the_same_time(machine: SshMachine, root: Path, tmp_path: Path) -> None:
    others = [connect(machine._config, tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=one.store, args=("models",)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in others:
        one.close()
    assert [one.name for one in (root / ".ai_nano" / "programs").iterdir()] == [ProgramsWithProbe("gpu_server").name]


def test_a_login_that_greets(machine: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As interactive logins do whose profile prints: lines, and one without its end."""
    real = machine._exec
    monkeypatch.setattr(machine, "_exec", lambda line: real(f"echo 'Welcome, {{}} to DL'; printf '{{no json'; {line}"))
    assert machine.store("models")["models"] == []
    heard = Heard()
    assert heard.follow(probe(machine, do="finish")).state == "done" and len(heard.events) == 5


def test_a_shell_that_is_none_is_told(machine: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git-shell, or an account for SFTP alone that ends at once."""
    real = machine._exec
    monkeypatch.setattr(machine, "_exec", lambda line: real("echo 'This account is for files.'; exit 1"))
    with pytest.raises(MachineError) as caught:
        machine.store("models")
    assert caught.value.code == "machine.no_answer"


def test_without_sftp(ssh_server_without_sftp: SshServer, tmp_path: Path) -> None:
    """The programs travel over a plain exec, jobs run, and so do files, as a stream."""
    folder = f"ai_nano-test-{secrets.token_hex(6)}"
    machine = connect(config_for(ssh_server_without_sftp, folder), tmp_path)
    try:
        assert machine.store("models")["models"] == []
        heard = Heard()
        assert heard.follow(probe(machine, do="finish")).state == "done" and len(heard.events) == 5
        (tmp_path / "labels.txt").write_text("cat")
        parcel = Parcel((Upload(tmp_path / "labels.txt", PurePosixPath("labels.txt")),), "0" * 16, "m")
        assert machine.upload(parcel, lambda sent: None, CancelToken()).sent == 1
        machine.download(PurePosixPath("models/m/labels.txt"), tmp_path / "back", CancelToken())
        assert (tmp_path / "back").read_text() == "cat"
    finally:
        machine.close()
        shutil.rmtree(ssh_server_without_sftp.home / folder)


# ---- jobs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_a_job_is_followed_to_its_end(machine: SshMachine) -> None:
    heard = Heard()
    end = heard.follow(probe(machine, do="finish", events=5))
    assert end.state == "done" and end.result["ok"] is True
    assert [event["done"] for event in heard.events if event["type"] == "progress"] == [1, 2, 3, 4, 5]
    assert heard.text == "café, as printed\n"


def test_a_job_that_ended_before_it_was_followed_is_told_whole(machine: SshMachine) -> None:
    job = probe(machine, do="finish")
    deadline = time.monotonic() + 30
    while machine.jobs()[-1]["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    heard = Heard()
    assert heard.follow(machine.attach(job.id)).state == "done" and len(heard.events) == 5


@pytest.mark.parametrize(("deed", "code"), [("fail", "probe.failed"), ("crash", "program.crashed")])
def test_a_job_that_fails_says_why(machine: SshMachine, deed: str, code: str) -> None:
    end = Heard().follow(probe(machine, do=deed))
    assert end.state == "failed" and end.error is not None and end.error[0] == code
    if deed == "crash":
        assert any("JSONDecodeError" in line for line in end.last_lines)


@pytest.mark.parametrize("deed", ["wait", "refuse"])
def test_cancelling_ends_the_whole_group(machine: SshMachine, deed: str) -> None:
    """`refuse` ignores TERM and has a child that does too: only KILL to the group ends both."""
    job, cancel, heard = probe(machine, do=deed), CancelToken(), Heard()
    ended: list[JobEnd] = []
    thread = threading.Thread(target=lambda: ended.append(heard.follow(job, cancel)))
    thread.start()
    heard.wait_for("probe.waiting")
    cancel.cancel()
    thread.join(40)
    assert ended and ended[0].state == "cancelled"
    _wait_until_gone(job.id)
    assert ("probe.tidied" in {event.get("code") for event in heard.events}) is (deed == "wait")


def test_a_cut_connection_loses_and_doubles_nothing(machine: SshMachine) -> None:
    job, heard, cancel = probe(machine, do="wait"), Heard(), CancelToken()
    ended: list[JobEnd] = []
    thread = threading.Thread(target=lambda: ended.append(heard.follow(job, cancel)))
    thread.start()
    heard.wait_for("probe.waiting")
    machine.close()  # the socket goes; the next use opens another
    time.sleep(1.5)
    assert machine.jobs()[-1]["state"] == "running"
    cancel.cancel()
    thread.join(40)
    assert ended and ended[0].state == "cancelled"
    assert [event["code"] for event in heard.events if event["type"] == "log"] == ["probe.waiting", "probe.tidied"]


def test_a_machine_that_stays_away_is_contact_lost_while_work_goes_on(
        machine: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    job, heard = probe(machine, do="wait"), Heard()
    failed: list[BaseException] = []

    def follow() -> None:
        try:
            heard.follow(job)
        except ContactLost as error:
            failed.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    heard.wait_for("probe.waiting")
    def refuse() -> None:
        raise MachineError("machine.refused", machine="DL", host="here", port=22)

    with monkeypatch.context() as cut:
        cut.setattr(machine._connection, "_connect", refuse)
        machine.close()
        thread.join(40)
    assert failed and isinstance(failed[0], ContactLost) and failed[0].exit_code == 5
    assert machine.jobs()[-1]["state"] == "running"
    assert machine.attach(job.id).cancel()


def test_commands_reach_the_program_and_a_lost_laptop_ends_it(machine: SshMachine) -> None:
    job, heard = probe(machine, do="obey", lease_s=3), Heard()
    job.send({"type": "set", "threshold": 0.7})
    thread = threading.Thread(target=lambda: heard.follow(job), daemon=True)
    thread.start()
    heard.wait_for("probe.command")
    time.sleep(4)  # longer than the lease: it is renewed while we follow
    assert machine.jobs()[-1]["state"] == "running"
    job.send({"type": "stop"})
    thread.join(20)
    assert not thread.is_alive() and machine.jobs()[-1]["state"] == "done"


def test_unknown_runs(machine: SshMachine) -> None:
    with pytest.raises(WorkFailed) as caught:
        Heard().follow(machine.attach("20260101-000000-none-0000"))
    assert caught.value.code == "run.missing"


def _processes_naming(run_id: str) -> list[str]:
    """Command lines of living processes that name the run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if run_id in line and state != "Z":
            found.append(line)
    return found


def _wait_until_gone(run_id: str) -> None:
    """The followers of a closed channel need a moment to notice."""
    deadline = time.monotonic() + 10
    while left := _processes_naming(run_id):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_the_probe_looks_for_processes_that_are_there(machine: SshMachine) -> None:
    job = probe(machine, do="wait")
    assert _processes_naming(job.id)
    assert job.cancel()
    _wait_until_gone(job.id)
