"""Jobs that outlive their connection: real sockets are cut and real processes killed, and nothing is lost or doubled."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import far_jobs
import pytest
from far_jobs import NUMBERS, both, wait_until
from link import Link
from ssh_machines import Heard, probe
from ssh_servers import SshServer

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, ContactLost
from ai_nano.core.events import Event, State
from ai_nano.machines import job as job_module
from ai_nano.machines import ssh_machine as ssh_machine_module
from ai_nano.machines.ssh_machine import SshMachine

link, far = far_jobs.link, far_jobs.far
SEEDS = range(int(os.environ.get("AI_NANO_SEEDS", "2")))


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
