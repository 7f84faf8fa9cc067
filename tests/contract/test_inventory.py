"""inventory.py and removal.py under the Nano's Python: whose what is, and what goes, without ever following a link."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest
from machine import Machine, Message
from test_wire import check

from shared import removal
from shared.runs import RunFolder, Runs

OWN = {"student": "Ада@lab", "project": "животные", "workspace": "3fa9c0d1e2f30415", "laptop": "lab3"}
OTHER = {**OWN, "student": "bob", "workspace": "0" * 16}
FILES = {"train/cat/é 1.jpg": b"one", "val/cat/2.jpg": b"two!", "labels.txt": b"cat\ndog", "checkpoint.pth": b"c" * 100}


def put(folder: Path, owner: Message | None = OWN, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if owner is not None:
        (folder / "owner.json").write_text(json.dumps({"v": 1, **owner, "when": "2026-11-21T10:15:00Z"}))
    return folder


def inventory(machine: Machine) -> dict[tuple[str, str], Message]:
    answer = machine.call("inventory.py")
    check("inventory.result", answer)
    return {(thing["kind"], thing["name"]): thing for thing in answer["things"]}


def remove(machine: Machine, *things: tuple[str, str], keep_models: bool = False) -> dict[tuple[str, str], Message]:
    request = {"v": 1, "type": "remove", "things": [{"kind": kind, "name": name} for kind, name in things],
               "keep_models": keep_models}
    check("removal.request", request)
    answer = machine.call("removal.py", stdin=json.dumps(request).encode() + b"\n")
    check("removal.result", answer)
    return {(thing["kind"], thing["name"]): thing for thing in answer["things"]}


def size(folder: Path) -> tuple[int, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def test_whose_everything_is(machine: Machine) -> None:
    models, hidden = machine.root / "models", machine.root / ".ai_nano"
    first = put(models / "a-001")
    check("file.owner", json.loads((first / "owner.json").read_text()))
    second = put(models / "a-002", files={"labels.txt": b"x"})
    (second / "train").mkdir()
    os.link(first / "train/cat/é 1.jpg", second / "train" / "1.jpg")
    put(models / "b-001", OTHER)
    put(models / "old-001", None)
    put(models / "test-0123456789abcdef", files={"test/cat/1.jpg": b"face"})
    (models / "reserved-001").mkdir()
    put(hidden / "incoming" / "reserved-001.0123456789abcdef", files={"train/cat/.part-0123456789abcdef": b"half"})
    put(machine.home / "models" / "OlD7xq", None, {"resnet18.onnx": b"1234567"})
    machine.start("done", do="finish", model="a-001", workspaces=[OWN["workspace"]])
    machine.follow_all("done")
    machine.start("busy", do="wait", model="b-001")
    things = inventory(machine)
    whose = {key: (thing["owner"] or {}).get("workspace") for key, thing in things.items()}
    own, other = OWN["workspace"], OTHER["workspace"]
    assert whose == {
        ("model", "a-001"): own, ("model", "a-002"): own, ("model", "b-001"): other, ("model", "old-001"): None,
        ("model", "reserved-001"): own, ("images", "test-0123456789abcdef"): own,
        ("incoming", "reserved-001.0123456789abcdef"): own, ("older", "OlD7xq"): None, ("run", "done"): own,
        ("run", "busy"): None}
    assert things["model", "a-001"]["owner"] == OWN
    assert (things["model", "a-001"]["files"], things["model", "a-001"]["bytes"]) == size(first)
    assert things["model", "a-002"]["bytes"] == size(second)[1] - 3, "what two models of one student share counts once"
    assert [user["run"] for user in things["model", "b-001"]["used_by"]] == ["busy"]
    assert things["run", "busy"]["used_by"] and not things["run", "done"]["used_by"] and not things["model", "a-001"]["used_by"]
    machine.cancel("busy")


def test_what_is_used_stays_and_the_rest_goes_for_good(machine: Machine) -> None:
    models = machine.root / "models"
    put(models / "busy-001")
    gone = put(models / "gone-001")
    stays = put(models / "stays-001", OTHER)
    machine.start("busy", do="wait", model="busy-001")
    before = size(gone)
    told = remove(machine, ("model", "busy-001"), ("model", "gone-001"), ("run", "busy"), ("model", "nowhere-001"))
    assert told["model", "busy-001"]["left"] == told["run", "busy"]["left"] == "clean.left.in_use"
    assert told["model", "busy-001"]["params"]["who"] == "busy"
    assert (told["model", "gone-001"]["files"], told["model", "gone-001"]["bytes"]) == before
    assert told["model", "nowhere-001"]["left"] is None
    assert sorted(os.listdir(models)) == ["busy-001", "stays-001"] and size(stays)[0] == len(FILES) + 1
    machine.cancel("busy")
    assert all(thing["left"] is None for thing in remove(machine, ("run", "busy"), ("model", "busy-001")).values())
    assert os.listdir(machine.root / ".ai_nano" / "runs") == []


@pytest.mark.parametrize("moment", ["after the look", "before the renaming"])
def test_a_training_that_has_just_begun_keeps_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    model = put(tmp_path / "models" / "a-001")
    before = size(model)
    monkeypatch.setattr(RunFolder, "state", lambda _folder: "running")
    rename, renamed = os.rename, []

    def begin() -> None:
        Runs(tmp_path).create({"id": "train", "program": "gpu_server/train.py", "params": {"model": "a-001"}, "student": "eve"})

    def begin_and_rename(source: str, target: str, **where: Any) -> None:
        if source == "a-001":
            monkeypatch.setattr(os, "rename", rename)
            renamed.append(target)
            begin()
        rename(source, target, **where)

    remover = removal.Removal(tmp_path, False)
    if moment == "after the look":
        begin()
    else:
        monkeypatch.setattr(os, "rename", begin_and_rename)
    [told] = remover.carry_out([{"kind": "model", "name": "a-001"}])
    assert (told["left"], told["params"]["who"], told["files"]) == ("clean.left.in_use", "eve", 0)
    assert size(model) == before and bool(renamed) == (moment == "before the renaming")
    assert os.listdir(model.parent) == ["a-001"]


def test_wheels_that_a_provisioning_installs_from_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = put(tmp_path / "models" / "wheels-0123456789abcdef", None, {"wheels/torch.whl": b"x"})
    monkeypatch.setattr(RunFolder, "state", lambda _folder: "running")
    Runs(tmp_path).create({"id": "provision", "program": "gpu_server/provision.py", "student": "eve",
                           "params": {"wheels": str(sent / "wheels")}})
    [told] = removal.Removal(tmp_path, False).carry_out([{"kind": "model", "name": sent.name}])
    assert (told["left"], told["params"]) == ("clean.left.in_use", {"who": "eve", "program": "gpu_server/provision.py"})
    assert (sent / "wheels" / "torch.whl").exists()


def test_no_link_is_followed(machine: Machine, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", None)
    models = machine.root / "models"
    planted = put(models / "a-001")
    (planted / "train" / "planted").symlink_to(outside, target_is_directory=True)
    (planted / "test").symlink_to(outside / "train", target_is_directory=True)
    (planted / "report.json").symlink_to(outside / "labels.txt")
    (models / "linked-001").symlink_to(outside, target_is_directory=True)
    (machine.root / ".ai_nano").mkdir(exist_ok=True)
    (machine.root / ".ai_nano" / "runs").symlink_to(outside, target_is_directory=True)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    assert inventory(machine)["model", "linked-001"]["files"] == 1
    told = remove(machine, ("model", "a-001"), ("model", "linked-001"), ("run", "train"))
    assert (told["model", "linked-001"]["files"], told["model", "linked-001"]["left"]) == (1, None)
    assert told["run", "train"]["left"] == "clean.left.link"
    assert os.listdir(models) == []
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("thing", [
    ("model", ".."), ("model", "."), ("model", "a/b"), ("model", ".ai_nano"), ("model", ""), ("waste", "a-001"), ("run", ".."),
    ("cache", "models.lock"), ("cache", "programs"), ("autostart", "runs"), ("home", "x"), ("older", "../ai_nano"),
    ("model", "\0")])
def test_a_name_that_leads_elsewhere_is_refused(machine: Machine, thing: tuple[str, str]) -> None:
    put(machine.root / "models" / "a-001")
    before = size(machine.home)
    assert remove(machine, thing)[thing]["left"] == "clean.left.bad_name"
    assert size(machine.home) == before


def test_models_may_be_kept(machine: Machine) -> None:
    model = put(machine.root / "models" / "a-001", files={**FILES, "training.pth": b"t", "model.onnx": b"o",
                                                         "model.onnx.1.1.8201.GPU.FP16.engine": b"e"})
    (model / "test").symlink_to(machine.home)
    assert remove(machine, ("model", "a-001"), keep_models=True)["model", "a-001"]["files"] == 4
    assert sorted(os.listdir(model)) == sorted(["labels.txt", "checkpoint.pth", "model.onnx", "owner.json",
                                                "model.onnx.1.1.8201.GPU.FP16.engine"])


def test_an_upload_under_way_is_not_taken_away(machine: Machine) -> None:
    name = "a-001.0123456789abcdef"
    folder = put(machine.root / ".ai_nano" / "incoming" / name)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove(machine, ("incoming", name))["incoming", name]["left"] == "clean.left.in_use"
        assert inventory(machine)["incoming", name]["used_by"][0]["program"] == "upload"
    assert remove(machine, ("incoming", name))["incoming", name]["left"] is None
    assert os.listdir(folder.parent) == []


def test_an_owner_that_makes_no_sense_is_nobody(machine: Machine) -> None:
    models = machine.root / "models"
    bad: list[Any] = [[], {"student": 3, "workspace": "0" * 16}, {"student": "x", "workspace": "../../etc"}, "x" * 70000]
    for number, owner in enumerate(bad):
        put(models / f"m-{number}", None)
        (models / f"m-{number}" / "owner.json").write_text(json.dumps(owner))
    put(models / "fifo", None)
    os.mkfifo(models / "fifo" / "owner.json")
    assert [thing["owner"] for thing in inventory(machine).values()] == [None] * 5


def test_what_was_asked_for_makes_no_sense(machine: Machine) -> None:
    assert machine.call("removal.py", stdin=b"[]\n", code=1)["code"] == "clean.bad_request"
