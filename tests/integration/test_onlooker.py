"""Looking on at somebody else's run, over real channels: nothing is written there, and nobody keeps it alive by looking."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import far_jobs
import pytest
from far_jobs import both, wait_until
from link import Link
from ssh_machines import Heard, connect, probe

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Detached, MachineError, WorkFailed
from ai_nano.machines import job as job_module
from ai_nano.machines.onlooker import LAST_BYTES
from ai_nano.machines.ssh_machine import SshMachine

link, far = far_jobs.link, far_jobs.far


class Looking:
    """Somebody who looks on, in a thread."""

    def __init__(self, machine: SshMachine, run: str) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.cancel = CancelToken()
        self.outcome: Any = None
        self._seen = machine.look_on(run)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        try:
            self.outcome = self._seen.follow(self.events.append, self.cancel)
        except Exception as error:
            self.outcome = error

    def heard(self, code: str) -> bool:
        return any(event.get("code") == code for event in self.events)

    def end(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome


@pytest.fixture
def other(machine: SshMachine, tmp_path: Path) -> Any:
    """Another laptop in the same room."""
    made = connect(replace(machine._config), tmp_path)
    yield made
    made.close()


@both
def test_a_run_whose_laptop_has_gone_ends_though_somebody_looks_on(
        machine: SshMachine, other: SshMachine, root: Path) -> None:
    job = probe(machine, do="obey", lease_s=1.5)
    owner, gone = Heard(), CancelToken()

    def own() -> None:
        with pytest.raises(Detached):
            owner.follow(job, gone)

    thread = threading.Thread(target=own)
    thread.start()
    looking = Looking(other, job.id)
    wait_until(lambda: looking.heard("probe.waiting"), "the run's word")
    time.sleep(2.0)
    assert not looking.heard("probe.lease_lost"), "its laptop was there"
    gone.detach()
    thread.join(10)
    assert looking.end().state == "done" and looking.heard("probe.lease_lost")
    assert not (root / ".ai_nano" / "runs" / job.id / "commands.jsonl").exists()


@both
def test_leaving_ends_nothing(machine: SshMachine, other: SshMachine, root: Path) -> None:
    job = probe(machine, do="wait")
    looking = Looking(other, job.id)
    wait_until(lambda: looking.heard("probe.waiting"), "the run's word")
    looking.cancel.cancel()
    began = time.monotonic()
    assert isinstance(looking.end(), Detached) and time.monotonic() - began < 2
    assert [run["state"] for run in other.jobs() if run["id"] == job.id] == ["running"]
    folder = root / ".ai_nano" / "runs" / job.id
    assert not (folder / "commands.jsonl").exists() and (folder / "lease").read_bytes() == b"0"
    assert job.cancel()


@both
def test_only_the_last_is_told_of_a_long_run(machine: SshMachine, other: SshMachine) -> None:
    job = probe(machine, do="count", numbers=1000)
    assert Heard().follow(job).state == "done"
    looking = Looking(other, job.id)
    assert looking.end().result["ok"] is True
    told = [event["done"] for event in looking.events if event["type"] == "progress"]
    assert told and told == list(range(told[0], 1000)) and 50 < len(told) < LAST_BYTES / 60


@both
def test_a_machine_that_is_lost_is_told_and_not_waited_for(machine: SshMachine, far: SshMachine, link: Link,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "SILENCE_S", 2.0)
    job = probe(machine, do="wait")
    looking = Looking(far, job.id)
    wait_until(lambda: looking.heard("probe.waiting"), "the run's word")
    link.cut()
    assert isinstance(looking.end(), MachineError)
    assert job.cancel()


@both
def test_a_run_that_is_unknown(machine: SshMachine) -> None:
    outcome = Looking(machine, "20260101-000000-infer-0000").end()
    assert isinstance(outcome, WorkFailed) and outcome.code == "run.missing"


@both
def test_who_leaves_before_anything_was_said_ends_nothing(machine: SshMachine) -> None:
    job, gone = probe(machine, do="wait"), CancelToken()
    gone.cancel()
    with pytest.raises(Detached):
        machine.look_on(job.id).follow(lambda event: None, gone)
    assert [run["state"] for run in machine.jobs() if run["id"] == job.id] == ["running"]
    assert job.cancel()
