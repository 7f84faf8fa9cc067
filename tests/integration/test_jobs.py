"""Jobs that outlive their connection: real sockets are cut and real processes killed, and nothing is lost or doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from link import Link
from ssh_machines import Heard, connect, probe
from ssh_servers import SshServer

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, ContactLost
from ai_nano.core.events import Event, State
from ai_nano.machines import job as job_module
from ai_nano.machines import ssh_machine as ssh_machine_module
from ai_nano.machines.ssh_machine import SshMachine

BOTH = ["embedded", "openssh-key"]
SEEDS = range(int(os.environ.get("AI_NANO_SEEDS", "2")))
NUMBERS = 300

both = pytest.mark.parametrize("ssh_server", BOTH, indirect=True)


@pytest.fixture
def link(ssh_server: SshServer) -> Iterator[Link]:
    with Link(ssh_server.host, ssh_server.port) as made:
        yield made


@pytest.fixture
def far(machine: SshMachine, link: Link, tmp_path: Path) -> Iterator[SshMachine]:
    """The same machine, over a link that can be cut. It keeps trying, as in the window."""
    made = connect(replace(machine._config, port=link.port), tmp_path)
    made.patience_s = None
    yield made
    made.close()
    # paramiko leaves the alarm clock of a handshake that was cut ticking, for the ten seconds that it has.
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.cancel()


def wait_until(true: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Following:
    """A thread that follows a job as a step does; `states` are the step's (status, code)."""

    def __init__(self, job: Any) -> None:
        self.cancel = CancelToken()
        self.states: list[tuple[str, str]] = []
        self.outcome: object = None
        self._job = job
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        def hear(event: Event) -> None:
            if isinstance(event, State):
                self.states.append((event.status, event.code))

        try:
            self.outcome = wire.follow(self._job, "train", "DL", hear, self.cancel)
        except Exception as error:
            self.outcome = error

    def wait_for(self, state: tuple[str, str]) -> None:
        wait_until(lambda: self.states and self.states[-1] == state, str(state))

    def end(self) -> object:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome


LOST = ("lost", "status.contact_lost")
BACK = ("running", "status.contact_back")


# ---- cut while it talks ----------------------------------------------------------------------------------------------


def session_processes(server: SshServer) -> list[int]:
    """The processes of OpenSSH that serve one connection each: children of the listening one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = (int(fields[1]), (folder / "cmdline").read_bytes())
        except OSError:
            continue
    here = [pid for pid, (_, line) in parents.items() if b"sshd" in line and f"{server.key_file.parent}".encode() in line]
    return [pid for pid, (parent, _) in parents.items() if parent in here]


def check_whole(heard: Heard, end: Any) -> None:
    assert end.state == "done" and end.result.get("ok") is True
    assert [event["done"] for event in heard.events if event["type"] == "progress"] == list(range(NUMBERS))
    assert heard.text == "".join(f"line {number}\n" for number in range(NUMBERS))


@both
@pytest.mark.parametrize("seed", SEEDS)
def test_cut_at_random_moments(ssh_server: SshServer, machine: SshMachine, far: SshMachine, link: Link, seed: int) -> None:
    """OpenSSH's serving process is killed, of the embedded server the socket is cut."""
    chance, heard = random.Random(seed), Heard()
    run = probe(machine, do="count", numbers=NUMBERS, pause_s=0.004)
    over = threading.Event()
    cuts = []

    def cut() -> None:
        while not over.wait(chance.uniform(0.05, 0.7)):
            mine = set(session_processes(ssh_server)) - spared
            for pid in mine if ssh_server.kind == "openssh-key" else ():
                os.kill(pid, signal.SIGKILL)
                cuts.append(pid)
            if ssh_server.kind == "embedded":
                link.cut()
                cuts.append(0)

    spared = set(session_processes(ssh_server))
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        end = heard.follow(far.attach(run.id))
    finally:
        over.set()
        cutter.join()
    check_whole(heard, end)
    assert len(cuts) >= 2


@both
@pytest.mark.parametrize("seed", SEEDS)
def test_cut_after_any_byte_also_the_last(machine: SshMachine, far: SshMachine, link: Link, seed: int) -> None:
    """In the middle of a line, and between the result and the end."""
    chance = random.Random(1000 + seed)
    run = probe(machine, do="count", numbers=NUMBERS)
    check_whole(heard := Heard(), heard.follow(machine.attach(run.id)))
    far.store("free")
    before = link.traffic
    check_whole(heard := Heard(), heard.follow(far.attach(run.id)))
    after = link.traffic
    size = after.up + after.down - before.up - before.down
    for count in (chance.randrange(1, size), chance.randrange(size - 1500, size), size - chance.randrange(1, 200)):
        link.cut_after(count)
        check_whole(heard := Heard(), heard.follow(far.attach(run.id)))


# ---- out of reach ----------------------------------------------------------------------------------------------------


@both
def test_lost_is_told_and_so_is_its_end(machine: SshMachine, far: SshMachine, link: Link) -> None:
    run = probe(machine, do="obey")
    following = Following(job := far.attach(run.id))
    wait_until(lambda: link.traffic.open, "the connection")
    link.down()
    following.wait_for(LOST)
    time.sleep(2.5)  # several attempts, told once
    link.up()
    following.wait_for(BACK)
    assert following.states == [LOST, BACK]
    job.send({"type": "stop"})
    assert isinstance(following.end(), dict)


@both
def test_cancelling_while_out_of_reach_is_told_and_done_when_it_is_back(
        machine: SshMachine, far: SshMachine, link: Link) -> None:
    run = probe(machine, do="wait")
    following = Following(far.attach(run.id))
    wait_until(lambda: link.traffic.open, "the connection")
    link.down()
    following.wait_for(LOST)
    following.cancel.cancel()
    following.wait_for(("lost", "status.contact_lost.cancelling"))
    assert machine.jobs()[-1]["state"] == "running"
    link.up()
    assert isinstance(following.end(), Cancelled)
    assert machine.jobs()[-1]["state"] == "cancelled"


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_patience_ends_on_a_terminal_and_with_a_lease(machine: SshMachine, far: SshMachine, link: Link,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that ends there by itself is not waited for, not even in the window."""
    monkeypatch.setattr(job_module, "PATIENCE_S", 2.0)
    run, leased = probe(machine, do="wait"), far.start("probe", "gpu_server/probe.py", {"do": "obey"}, lease_s=1.0)
    far.patience_s = 2.0
    followings = [Following(far.attach(run.id)), Following(leased)]
    wait_until(lambda: link.traffic.open, "the connection")
    time.sleep(0.5)
    far.patience_s = None
    followings.append(Following(far.attach(run.id)))
    far.patience_s = 2.0
    link.down()
    assert isinstance(followings[1].end(), ContactLost)
    assert isinstance(followings[0].end(), ContactLost) and followings[0].states == [LOST]
    assert isinstance(followings[2].end(), ContactLost)
    assert machine.attach(run.id).cancel()


@both
def test_a_lid_that_was_closed(machine: SshMachine, far: SshMachine, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is silently dead; the clocks tell that the laptop slept, so nobody waits for a time-out."""
    monkeypatch.setattr(ssh_machine_module, "DOUBT_S", 0.5)
    monkeypatch.setattr(job_module, "SILENCE_S", 600.0)
    run = probe(machine, do="obey")
    following = Following(job := far.attach(run.id))
    wait_until(lambda: link.traffic.down > 3000, "the connection")
    time.sleep(0.5)
    real, slept_s = job_module._clocks, 3600.0
    link.freeze()
    monkeypatch.setattr(job_module, "_clocks", lambda: real() + slept_s)
    following.wait_for(LOST)
    link.thaw()
    following.wait_for(BACK)
    job.send({"type": "stop"})
    assert isinstance(following.end(), dict)


@both
def test_a_clock_that_was_set_cuts_nothing(machine: SshMachine, far: SshMachine, link: Link,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    run = probe(machine, do="obey")
    following = Following(job := far.attach(run.id))
    wait_until(lambda: link.traffic.down > 3000, "the connection")
    before, real = link.traffic.connections, job_module._clocks
    monkeypatch.setattr(job_module, "_clocks", lambda: real() + 3600.0)
    time.sleep(1.0)
    job.send({"type": "stop"})
    assert isinstance(following.end(), dict)
    assert following.states == [] and link.traffic.connections == before


# ---- on a terminal ---------------------------------------------------------------------------------------------------


class Terminal:
    """`ai-nano` processes in a room with one server and one Nano, both of them the test's sshd."""

    def __init__(self, server: SshServer, machine: SshMachine, folder: Path) -> None:
        self.folder = folder
        config = machine._config
        login: dict[str, Any] = {"ip": config.host, "port": config.port, "login": config.login, "host_key": server.host_key,
                                 "root": config.root, "python": config.python}
        login |= {"pwd": str(config.password)} if config.password else {"key_file": str(config.key_file)}
        self._document = {"DL_server": {"name": "DL", **login}, "jetson_nano": [{"name": "nano1", **login, "port": 1}],
                          "student": "ada@lab"}
        self.environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings"),
                            "XDG_CACHE_HOME": str(folder / "cache"), "AI_NANO_LANGUAGE": "en"}
        self.write()

    def write(self, **server: Any) -> None:
        document = {**self._document, "DL_server": {**self._document["DL_server"], **server}}
        file = self.folder / "config.json"
        file.write_text(json.dumps(document))
        file.chmod(0o600)

    @contextmanager
    def start(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """With less patience than a person's."""
        # Ctrl-C is heard also where whoever runs the tests has been started deaf to it (in the background of a shell).
        code = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "from ai_nano import __main__, lab\nlab.build_lab.__defaults__ = (None, 2.0)\n"
                "raise SystemExit(__main__.main())")
        with subprocess.Popen([sys.executable, "-c", code, *words], cwd=self.folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            yield process

    def run(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        with self.start("--json", *words) as process:
            out, errors = process.communicate(timeout=60)
        assert process.returncode == code and "Traceback" not in errors, out + errors
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def terminal(ssh_server: SshServer, machine: SshMachine, tmp_path: Path) -> Terminal:
    folder = tmp_path / "laptop"
    folder.mkdir()
    return Terminal(ssh_server, machine, folder)


def done_numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["done"] for line in lines if line["type"] == "progress"]


@both
def test_a_follower_that_is_killed_and_another_that_takes_up(terminal: Terminal, machine: SshMachine) -> None:
    run = probe(machine, do="count", numbers=NUMBERS, pause_s=0.01)
    first: list[dict[str, Any]] = []
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        assert process.stdout is not None
        for line in process.stdout:
            first.append(json.loads(line))
            if len(done_numbers(first)) == 100:
                process.kill()
                break
    assert done_numbers(first) == list(range(100)) and first[-1]["type"] != "result"
    second = terminal.run("jobs", "--follow", run.id)
    assert done_numbers(second) == list(range(NUMBERS))
    assert second[-1]["result"]["ok"] is True and second[-1]["machine"] == "DL"


@both
def test_what_a_vanished_laptop_left_is_listed_and_ended(
        terminal: Terminal, machine: SshMachine, ssh_server: SshServer) -> None:
    machine.student = "bob@lab"
    run = probe(machine, do="wait")
    machine.student = None
    gone = probe(machine, do="wait")
    for pid in _pids(ssh_server.home / machine._config.root, gone.id):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.jobs()[-1]["state"] == "failed", "the end")
    lines = terminal.run("jobs")
    told = {job["id"]: job for job in lines[-1]["jobs"]}
    assert (told[run.id]["machine"], told[run.id]["student"], told[run.id]["state"]) == ("DL", "bob@lab", "running")
    assert 0 <= told[run.id]["age_s"] < 60 and told[run.id]["step"] == "gpu_server/probe.py"
    assert (told[gone.id]["state"], told[gone.id]["why"]) == ("failed", "vanished")
    assert [one["machine"] for one in lines[-1]["unreachable"]] == ["nano1"]
    assert [line["code"] for line in lines if line["type"] == "log"] == ["jobs.unreachable"]
    with terminal.start("jobs") as process:
        out, _ = process.communicate(timeout=60)
    assert "s ago by bob@lab" in out and "failed: killed, nothing known" in out
    assert terminal.run("jobs", "--cancel", run.id)[-1]["cancelled"] == run.id
    assert {job["id"]: job["state"] for job in machine.jobs()}[run.id] == "cancelled"


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_a_run_that_is_nowhere_to_be_found(terminal: Terminal, machine: SshMachine) -> None:
    machine.store("models")
    error = terminal.run("jobs", "--cancel", "20260101-000000-train-0000", code=3)[-1]["error"]
    assert error["code"] == "jobs.out_of_reach" and "nano1" in error["why"]


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_the_cli_ends_with_5_when_contact_stays_lost(terminal: Terminal, machine: SshMachine, link: Link,
                                                    tmp_path: Path) -> None:
    terminal.write(port=link.port)
    run = probe(machine, do="wait")
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        wait_until(lambda: link.traffic.down > 5000, "the connection")
        time.sleep(0.5)
        link.down()
        out, _ = process.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 5 and lines[-1]["error"]["code"] == "job.lost"
    assert "lost" in [line["status"] for line in lines if line["type"] == "state"]
    assert machine.attach(run.id).cancel()


def _pids(root: Path, run_id: str) -> list[int]:
    note = json.loads((root / ".ai_nano" / "runs" / run_id / "pid.json").read_text())
    return [note["supervisor"], note["pid"]]


@both
def test_who_looks_on_and_leaves_ends_nothing(terminal: Terminal, machine: SshMachine) -> None:
    run = probe(machine, do="wait")
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        assert process.stdout is not None
        while "probe.waiting" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out.splitlines()[-1])["running"] is True
    assert machine.jobs()[-1]["state"] == "running"
    assert run.cancel()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_a_start_that_is_cut_off_starts_once(machine: SshMachine, far: SshMachine, link: Link, share: float) -> None:
    """Wherever the connection breaks, before the order is there or after the answer has left: one run, whose id is known."""
    far.store("free")
    there = link.traffic
    probe(far, do="finish")
    whole = link.traffic.up + link.traffic.down - there.up - there.down
    before = len(machine.jobs())
    link.cut_after(int(share * whole))
    noted: list[str] = []
    job = far.start("probe", "gpu_server/probe.py", {"do": "finish"}, on_id=noted.append)
    assert link.traffic.connections >= 2 or link.traffic.open == 0, "nothing was cut"
    assert [run["id"] for run in machine.jobs()[before:]] == noted == [job.id]
    assert Heard().follow(job).state == "done"
