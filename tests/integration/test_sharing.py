"""One server for a class: the same tests with `direct` on a real sshd and with a real Slurm behind it. `scheduler: auto` in
both: which of the two a server has, it finds out."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from colours import make_images
from far_jobs import wait_until
from slurm_room import GPU_NODE, SlurmRoom
from ssh_machines import config_for, connect
from ssh_servers import SshServer, start_server
from test_jobs_terminal import Terminal

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, Detached, WorkFailed
from ai_nano.core.events import Event, Log, Progress
from ai_nano.core.ports import Machine
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.room import scheduler
from ai_nano.core.room.config import ServerConfig
from ai_nano.core.room.training_queue import Queued
from ai_nano.steps.train import TrainOptions

pytestmark = pytest.mark.root
SECONDS = 60.0
Far = tuple[SshServer, SlurmRoom | None]


class Following:
    """A step that follows its training in a thread."""

    def __init__(self, job: Any) -> None:
        self.job, self.cancel = job, CancelToken()
        self.events: list[Event] = []
        self.outcome: object = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = wire.follow(self.job, "train", "DL", self.events.append, self.cancel)
        except AiNanoError as error:
            self.outcome = error

    @property
    def queue(self) -> list[Queued]:
        return [event for event in list(self.events) if isinstance(event, Queued)]

    def said(self, code: str) -> bool:
        return any(isinstance(event, Log) and event.code == code for event in list(self.events))

    def wait_for(self, true: Callable[[], Any], what: str) -> None:
        wait_until(lambda: true() or self.outcome is not None, what, SECONDS)
        assert true(), (what, self.outcome, self.queue)

    def end(self) -> Any:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), self.events[-3:]
        return self.outcome


class Room:
    """A server and its students, each with a laptop (a connection) of his own."""

    def __init__(self, server: SshServer, slurm: SlurmRoom | None, folder: Path) -> None:
        self.server, self.slurm, self.folder = server, slurm, folder
        self.root = folder / "ai nano"
        self.followed: list[Following] = []
        self._laptops = ExitStack()

    def laptop(self, student: str) -> Machine:
        machine = connect(config_for(self.server, str(self.root)), self.folder)
        machine.student = student
        self._laptops.callback(machine.close)
        return machine

    def schedule(self, **changes: Any) -> dict[str, Any]:
        return scheduler.schedule(dataclasses.replace(ServerConfig("DL", "", ""), **changes), "mugs")

    def train(self, machine: Machine, do: str = "obey", **params: Any) -> Following:
        return self.follow(machine.start("train", "gpu_server/probe.py", {"do": do, **params}, schedule=self.schedule()))

    def follow(self, job: Any) -> Following:
        self.followed.append(Following(job))
        return self.followed[-1]

    def close(self) -> None:
        """Nothing waits and nothing trains."""
        machine = self.laptop("nobody")
        for run in machine.jobs():
            if run["state"] == "running":
                machine.attach(run["id"]).cancel()
        for following in self.followed:
            following.cancel.detach()
            following.end()
        self._laptops.close()


@pytest.fixture(scope="module", params=["direct", "slurm"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    slurm = request.getfixturevalue("slurm_room") if request.param == "slurm" else None
    lines = [slurm.sshd_line] if slurm is not None else []
    with start_server("openssh-key", tmp_path_factory.mktemp(request.param), True, lambda: None, *lines) as server:  # type: ignore
        yield server, slurm


@pytest.fixture
def room(far: Far, tmp_path: Path) -> Iterator[Room]:
    made = Room(*far, tmp_path)
    try:
        yield made
    finally:
        made.close()


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def of(machine: Machine, run: str) -> Mapping[str, Any]:
    return next(one for one in machine.jobs() if one["id"] == run)


def test_two_students_one_gpu(room: Room) -> None:
    """The second sees her place and who trains, and starts when the first has ended; export does not wait."""
    ada, bob = room.laptop("ada@lab1"), room.laptop("bob@lab3")
    first = room.train(ada)
    first.wait_for(lambda: first.said("probe.waiting"), "the first training")
    second = room.train(bob)
    second.wait_for(lambda: second.queue and second.queue[-1].place == 1, "the place in the queue")
    told = second.queue[-1]
    assert told.waits and told.of == 1 and told.scheduler == ("direct" if room.slurm is None else "slurm")
    second.wait_for(lambda: [one.who.partition(" ")[0] for one in second.queue[-1].ahead if one.trains] == ["ada@lab1"],
                    "who trains now")
    listed = of(bob, second.job.id)
    assert listed["state"] == "running" and listed["waiting"] and listed["queue"]["place"] == 1
    assert of(bob, first.job.id)["queue"] is None and not of(bob, first.job.id)["waiting"]

    export = room.follow(bob.start("export", "gpu_server/probe.py", {"do": "finish"}))
    assert export.end()["ok"] is True and not export.queue
    assert not second.said("probe.waiting") and first.outcome is None

    first.job.send({"type": "stop"})
    first.end()
    second.wait_for(lambda: second.said("probe.waiting"), "its turn")
    second.wait_for(lambda: second.queue[-1].state == "running", "being told of it")
    assert not of(bob, second.job.id)["waiting"]
    if room.slurm is not None:
        assert second.queue[-1].node == GPU_NODE
        assert room.slurm.ask("squeue", "-h", "-o", "%j").split() == ["ai_nano:bob@lab3:mugs"]
        places = room.slurm.ask("squeue", "-h", "-a", "-u", str(os.getuid()), "-o", "%T|%Z").splitlines()
        assert places == [f"RUNNING|{room.root}/.ai_nano/runs/{second.job.id}"], "by which a lost job is found again"
    second.job.send({"type": "stop"})
    second.end()


def test_cancelled_while_it_waits_and_while_it_runs(room: Room) -> None:
    ada, bob = room.laptop("ada@lab1"), room.laptop("bob@lab3")
    first = room.train(ada, do="wait")
    first.wait_for(lambda: first.said("probe.waiting"), "the first training")
    waits, next_one = room.train(bob), room.train(room.laptop("cal@lab5"))
    next_one.wait_for(lambda: next_one.queue and next_one.queue[-1].place == 2, "the second place")
    waits.cancel.cancel()
    assert isinstance(waits.end(), Cancelled)
    assert of(bob, waits.job.id)["state"] == "cancelled" and not waits.said("probe.waiting")
    next_one.wait_for(lambda: next_one.queue[-1].place == 1, "moving up")
    first.cancel.cancel()
    assert isinstance(first.end(), Cancelled) and first.said("probe.tidied")
    assert of(ada, first.job.id)["state"] == "cancelled"
    next_one.wait_for(lambda: next_one.said("probe.waiting"), "the GPU of the one that was cancelled")


def test_a_failing_one_says_why_and_makes_room(room: Room) -> None:
    ada = room.laptop("ada@lab1")
    failing = room.train(ada, do="crash").end()
    assert isinstance(failing, WorkFailed) and failing.code == "program.crashed"
    assert "JSONDecodeError" in failing.what + failing.why
    assert of(ada, room.followed[0].job.id)["state"] == "failed"
    assert room.train(ada, do="finish").end()["ok"] is True


def test_one_that_outlives_its_laptop_is_taken_up_again(room: Room) -> None:
    """While it waits and while it trains; it loses nothing that was said."""
    first = room.train(room.laptop("ada@lab1"))
    first.wait_for(lambda: first.said("probe.waiting"), "the first training")
    bob = room.laptop("bob@lab3")
    second = room.train(bob, do="count", numbers=200, pause_s=0.01)
    second.wait_for(lambda: second.queue, "waiting")
    second.cancel.detach()
    assert isinstance(second.end(), Detached)
    bob.close()

    later = room.laptop("bob@lab3")
    listed = of(later, second.job.id)
    assert listed["state"] == "running" and listed["waiting"] and listed["student"] == "bob@lab3"
    again = room.follow(later.attach(second.job.id))
    again.wait_for(lambda: again.queue, "waiting still")
    first.job.send({"type": "stop"})
    again.wait_for(lambda: sum(isinstance(event, Progress) for event in again.events) > 20, "training")
    later.close()
    again.cancel.detach()
    again.end()

    last = room.follow(room.laptop("bob@lab3").attach(second.job.id))
    assert last.end()["ok"] is True
    assert [event.done for event in last.events if isinstance(event, Progress)] == list(range(200))


def test_a_terminal_leaves_it_waiting_and_finds_it_again(room: Room, tmp_path: Path) -> None:
    """`train --leave` comes back at once; `jobs` tells the place, follows and cancels; the project takes its own run up."""
    machine = room.laptop("ada@lab1")
    first = room.train(machine)
    first.wait_for(lambda: first.said("probe.waiting"), "the first training")
    home = tmp_path / "bob"
    home.mkdir()
    workspace = Workspace.create(home / "w", ["red", "green"])
    workspace.note(Receipt("upload", "done", "", facts={"model": "photos"}))
    bob = Terminal(room.server, machine, home)  # type: ignore[arg-type]
    left = bob.run("train", "w", "--leave")[-1]
    assert (left["ok"], left["left"], left["waiting"], left["model"]) == (True, True, True, "photos")
    listed = next(one for one in bob.run("jobs")[-1]["jobs"] if one["id"] == left["run"])
    assert listed["waiting"] and listed["student"] == "ada@lab"

    def placed() -> str:
        with bob.start("jobs") as process:
            return process.communicate(timeout=60)[0]

    wait_until(lambda: "You are next of 1 waiting for DL" in placed(), "the place", SECONDS)
    with bob.start("--json", "train", "w") as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        told = next(line for line in lines if line["type"] == "queue")
        assert told["state"] == "waiting" and told["v"] == 1
        process.send_signal(signal.SIGINT)
        last = list(lines)[-1]
    assert last["ok"] is False and process.wait(30) == 130
    assert of(machine, left["run"])["state"] == "cancelled"


def test_the_real_training(room: Room) -> None:
    ada = room.laptop("ada@lab1")
    model = room.root / "models" / "photos"
    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        for colour in ("red", "green"):
            make_images(model / part / colour, [colour] * count)
    (model / "labels.txt").write_text("green\nred")
    asked = {"model": "photos", **TrainOptions().params(), "weights": None}
    trained = room.follow(ada.start("train", "gpu_server/train.py", asked, schedule=room.schedule())).end()
    assert not isinstance(trained, AiNanoError), (trained, getattr(trained, "details", ""))
    assert trained["model"] == "photos" and (model / "checkpoint.pth").is_file()


def test_who_dies_frees_the_gpu(room: Room) -> None:
    """Killed with its supervisor, as by a machine without memory."""
    ada, bob = room.laptop("ada@lab1"), room.laptop("bob@lab3")
    first = room.train(ada)
    first.wait_for(lambda: first.said("probe.waiting"), "the first training")
    second = room.train(bob)
    second.wait_for(lambda: second.queue, "waiting")
    folder = room.root / ".ai_nano" / "runs" / first.job.id
    pid = read(folder / "pid.json")
    os.kill(pid["supervisor"], signal.SIGKILL)
    if room.slurm is None:
        time.sleep(1.0)
        assert not second.said("probe.waiting"), "its program still has the GPU"
        os.kill(pid["pid"], signal.SIGKILL)
    second.wait_for(lambda: second.said("probe.waiting"), "the GPU")
    assert isinstance(first.end(), WorkFailed)


@pytest.mark.parametrize("far", ["direct"], indirect=True)
def test_slurm_is_demanded_and_not_there(room: Room) -> None:
    with pytest.raises(WorkFailed) as missing:
        room.laptop("ada@lab1").start("train", "gpu_server/probe.py", {"do": "finish"},
                                      schedule=room.schedule(scheduler="slurm"))
    assert missing.value.code == "slurm.missing"


@pytest.mark.parametrize("far", ["slurm"], indirect=True)
def test_ended_by_somebody_else(room: Room) -> None:
    """An administrator's scancel is told as such; what Slurm refuses, in its own words."""
    assert room.slurm is not None
    ada = room.laptop("ada@lab1")
    first = room.train(ada, do="wait")
    first.wait_for(lambda: first.said("probe.waiting"), "the training")
    room.slurm.ask("scancel", *room.slurm.jobs())
    ended = first.end()
    assert isinstance(ended, WorkFailed) and ended.code == "job.ended_by_cluster"
    assert of(ada, first.job.id)["why"] == "ended_by_cluster"
    refused = room.follow(ada.start("train", "gpu_server/probe.py", {"do": "finish"}, schedule=room.schedule(
        slurm=scheduler.SlurmConfig(partition="nowhere")))).end()
    assert isinstance(refused, WorkFailed) and refused.code == "slurm.refused" and "partition" in refused.why


@pytest.mark.parametrize("far", ["slurm"], indirect=True)
def test_a_silent_slurm_loses_no_training(room: Room) -> None:
    """While slurmctld says nothing, nothing is known, and nothing is taken for dead."""
    assert room.slurm is not None
    first = room.train(room.laptop("ada@lab1"))
    first.wait_for(lambda: first.said("probe.waiting"), "the training")
    with room.slurm.silent():
        bob = room.laptop("bob@lab3")
        wait_until(lambda: of(bob, first.job.id) and read(room.root / ".ai_nano" / "slurm.json")["error"], "noticing", SECONDS)
        assert of(bob, first.job.id)["state"] == "running"
    first.job.send({"type": "stop"})
    assert not isinstance(first.end(), AiNanoError)
