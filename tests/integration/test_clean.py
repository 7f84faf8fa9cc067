"""`ai-nano clean` in a room of a server and a Nano: what is one's own goes, whatever else is there stays byte for byte."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cleaning_room import Laptop
from ssh_machines import Heard
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.nano import boards
from ai_nano.core.room.cleaning import Receipt, Scope
from ai_nano.steps import clean as step
from ai_nano.steps.clean import scope_of
from ai_nano.steps.deploy import DeployOptions, DeployStep

BOTH = pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)
REAL = pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)


def files_below(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()}


@dataclass
class Room:
    """Ann and her namesake on a cloned laptop, with a project of one name; and Bob."""

    ann: Laptop
    clone: Laptop
    bob: Laptop
    server: Path
    nano: Path
    models: dict[str, str]

    def clean(self, laptop: Laptop, end: bool = False, **scope: Any) -> Receipt:
        wanted = scope_of(laptop.lab, **scope)
        plans = step.look(step.machines(laptop.lab), wanted)
        return step.clean(laptop.lab, plans, wanted, end, lambda *_told: None, CancelToken())

    def of(self, who: str) -> list[Mapping[str, bytes]]:
        return [files_below(root / "models" / self.models[who]) for root in (self.server, self.nano)]

    def told_of(self, word: str) -> list[str]:
        """Every file of both machines in which the word stands, the programs apart."""
        return [path for root in (self.server, self.nano) for path, content in files_below(root).items()
                if not path.startswith(".ai_nano/programs") and (word.encode() in content or word in path)]


@pytest.fixture(scope="module")
def rooms(ssh_server: SshServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One for each server: programs travel once, and connections last."""
    folder, here = f"ai_nano-test-{secrets.token_hex(6)}/rööm 1", tmp_path_factory.mktemp("laptops")
    laptops = {name: Laptop(ssh_server, folder, student, "animals", here / name)
               for name, student in (("ann", "pupil@lab-pc"), ("clone", "pupil@lab-pc"), ("bob", "bob"))}
    for name, laptop in laptops.items():
        laptop.split([f"{name}-{number}" for number in range(2)])
        laptop.upload()
        laptop.lab.nano("nano1").store("free")
    root = ssh_server.home / folder
    yield Room(*laptops.values(), root / "server", root / "nano", {})
    for laptop in laptops.values():
        laptop.close()
    shutil.rmtree(root.parent)


@pytest.fixture
def room(rooms: Room) -> Room:
    """With everybody's model on both machines, whatever the test before has removed."""
    for name in ("ann", "clone", "bob"):
        laptop: Laptop = getattr(rooms, name)
        rooms.models[name] = laptop.upload()
        laptop.deploy(rooms.models[name])
    assert len(set(rooms.models.values())) == 3
    return rooms


@BOTH
def test_who_cleans_takes_the_own_projects_and_nobody_elses(room: Room, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "treasure").write_bytes(b"gold")
    mine = room.server / "models" / room.models["ann"]
    (mine / "train" / "planted").symlink_to(outside, target_is_directory=True)
    (mine / "report.html").symlink_to(outside / "treasure")
    machine = room.ann.lab.server
    clone = machine.store("clone", room.models["ann"], "pupil-lab-pc-animals")["model"]
    for laptop in (room.ann, room.bob):
        Heard().follow(laptop.lab.server.start("probe", "gpu_server/probe.py", {"model": "–", "do": "finish"}))
    others = room.of("clone") + room.of("bob")
    size = sum(len(content) for name, content in files_below(mine).items())

    receipt = room.clean(room.ann)

    assert [(done.machine, done.clean) for done in receipt.machines] == [("DL", True), ("nano1", True)]
    assert room.of("clone") + room.of("bob") == others
    assert not mine.exists() and not (room.server / "models" / clone).exists()
    assert not (room.nano / "models" / room.models["ann"]).exists()
    assert files_below(outside) == {"treasure": b"gold"}
    [own] = room.ann.ids
    assert room.told_of(own) == []
    assert room.told_of("ann-1") == []
    runs = [one["student"] for one in machine.jobs()]
    assert runs == ["bob"]
    server = receipt.machines[0]
    assert {one.name for one in server.removed if one.kind == "model"} == {room.models["ann"], clone}
    assert server.bytes >= size, "what hard links share is freed once"
    assert server.bytes < 2 * size
    told = json.dumps(receipt.to_json())
    assert "pupil@lab-pc" in told and "Looked again afterwards: nothing is left." in receipt.text
    assert receipt.text.count("nothing is left") == 2


@REAL
def test_a_students_name_takes_what_all_laptops_of_that_name_sent(room: Room) -> None:
    before = room.of("bob")
    receipt = room.clean(room.bob, student="pupil@lab-pc")
    assert all(done.clean for done in receipt.machines)
    assert room.of("bob") == before
    for name in ("ann", "clone"):
        assert room.of(name) == [{}, {}]
    assert room.told_of("pupil@lab-pc") == []


@REAL
def test_what_is_used_stays_and_is_named_or_is_ended_first(room: Room) -> None:
    machine = room.ann.lab.server
    job = machine.start("train", "gpu_server/probe.py", {"model": room.models["ann"], "do": "wait"})
    before = room.of("ann")
    receipt = room.clean(room.ann)
    server, nano = receipt.machines
    assert {left.thing.kind for left in server.left} == {"model", "run"}
    assert {left.code for left in server.left} == {"clean.left.in_use"}
    assert "pupil@lab-pc" in server.left[0].text and not server.clean and nano.clean
    assert room.of("ann") == [before[0], {}]
    assert receipt.failed == [], "it was to stay"
    receipt = room.clean(room.ann, end=True)
    assert receipt.machines[0].clean and receipt.machines[0].ended == (job.id,)
    assert room.of("ann") == [{}, {}]
    assert not (room.server / ".ai_nano" / "runs" / job.id).exists()


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_what_starts_at_boot_stays_unless_it_is_ended(room: Room) -> None:
    """The embedded server only writes down what is to start at boot."""
    nano, model = room.ann.lab.nano("nano1"), room.models["ann"]
    folder = room.nano / "models" / model
    boards.autostart_on(nano, model, {"model_dir": str(folder), "camera": "csi://0"}, "pupil@lab-pc")
    done = room.clean(room.ann).machines[1]
    assert {left.thing.kind: left.params["program"] for left in done.left} == {"model": "autostart", "autostart": "autostart"}
    assert folder.is_dir()
    done = room.clean(room.ann, end=True).machines[1]
    assert done.clean and done.ended == ("autostart",)
    assert not folder.exists() and not (room.nano / ".ai_nano" / "autostart").exists()


@REAL
def test_the_whole_room(room: Room) -> None:
    (room.server / ".ai_nano" / "slurm.json").write_text('{"waiting": ["pupil@lab-pc"]}')
    (room.server / "models" / "anonymous").mkdir()
    (room.server / "models" / "anonymous" / "labels.txt").write_text("a\nb")
    receipt = room.clean(room.bob, room=True)
    assert all(done.clean for done in receipt.machines)
    assert os.listdir(room.server / "models") == [] == os.listdir(room.nano / "models")
    assert room.told_of("pupil@lab-pc") == [] == room.told_of("bob")
    assert (room.server / ".ai_nano" / "programs").is_dir()
    room.ann.do(DeployStep(), DeployOptions())
    assert room.ann.upload() == room.models["ann"], "what was removed is sent again"


@REAL
def test_models_may_stay_without_their_images(room: Room) -> None:
    receipt = room.clean(room.ann, keep_models=True)
    there = room.of("ann")
    assert set(there[0]) == {"labels.txt", "owner.json"}
    assert set(there[1]) >= {"model.onnx", "labels.txt", "bundle.json"}
    assert all(done.clean for done in receipt.machines)


@REAL
def test_a_machine_that_is_away_is_named_and_the_others_are_cleaned(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Mapping[str, Any]:
        raise MachineError("machine.unreachable", machine="nano1", host="h", port=22, reason="-")

    with monkeypatch.context() as patch:
        patch.setattr(room.ann.lab._machines["nano1"], "inventory", away)
        receipt = room.clean(room.ann)
    server, nano = receipt.machines
    assert server.clean and nano.error is not None and [one.machine for one in receipt.unreachable] == ["nano1"]
    assert nano.error.what in receipt.text


@REAL
def test_a_nanos_model_of_another_project_is_not_replaced(room: Room) -> None:
    room.clone.deploy(room.models["clone"])
    stranger = room.models["clone"]
    before = room.of("clone")
    with pytest.raises(WorkFailed) as failed:
        room.bob.deploy(stranger)
    assert failed.value.code == "store.others" and failed.value.params["student"] == "pupil@lab-pc"
    assert room.of("clone") == before
    room.bob.deploy(stranger, force=True)
    assert json.loads((room.nano / "models" / stranger / "owner.json").read_text())["student"] == "bob"
    room.bob.lab.nano("nano1").store("delete", stranger)


@REAL
def test_a_model_of_another_project_is_neither_cloned_nor_trained(room: Room) -> None:
    """After a clean the numbers begin again: what was Ann's name may be Bob's by then."""
    with pytest.raises(WorkFailed) as failed:
        room.ann.lab.server.store("clone", room.models["bob"], "x", *room.ann.ids)
    assert failed.value.code == "store.others"


@REAL
def test_the_scope_of_a_laptop_that_knows_nothing_is_empty(room: Room) -> None:
    scope = Scope("pupil@lab-pc", "another", frozenset())
    plans = step.look(step.machines(room.ann.lab), scope)
    assert [plan.things for plan in plans] == [(), ()]
    alike = {thing.name for plan in plans for thing in plan.namesakes}
    assert {room.models["ann"], room.models["clone"]} <= alike and room.models["bob"] not in alike
