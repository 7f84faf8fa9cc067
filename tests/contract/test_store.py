"""store.py: short operations on a machine's models, one JSON line each."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from machine import Machine
from receiver import before_each_program, delete_while_it_is_listed, models_on_another_disk

BAD_NAMES = ["", ".hidden", "..", "a/b", "a b", "é", "a\n", "x" * 101]


def make_model(machine: Machine, name: str, files: dict[str, bytes]) -> Path:
    path = machine.root / "models" / name
    for file, content in files.items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(content)
    return path


DATASET = {"train/cat/é 1.jpg": b"one", "val/cat/2.jpg": b"two!", "test/cat/3.jpg": b"three", "labels.txt": b"cat\ndog"}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("words", [["delete"], ["clone", "m"]], ids=lambda words: words[0])
def test_a_bad_name_is_refused(machine: Machine, words: list[str], name: str) -> None:
    make_model(machine, "m", DATASET)
    error = machine.store(*words, name, code=1)
    assert error["code"] == "store.bad_name" and error["params"]["name"].startswith(name)


def test_clone_links_the_dataset_and_nothing_else(machine: Machine) -> None:
    source = make_model(machine, "m", {**DATASET, "checkpoint.pth": b"c", "model.onnx": b"o", "report.json": b"{}"})
    reply = machine.store("clone", "m", "ada-animals")
    target = machine.root / "models" / "ada-animals-001"
    assert (reply["model"], reply["path"]) == (target.name, str(target))
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == DATASET.keys()
    assert all(os.path.samefile(source / name, target / name) for name in DATASET)
    shutil.rmtree(source)
    assert {name: (target / name).read_bytes() for name in DATASET} == DATASET


def test_clone_takes_no_number_that_the_workspace_had(machine: Machine) -> None:
    """Here nothing is left of those models, and the laptop still has what it fetched of them."""
    make_model(machine, "m-001", DATASET)
    assert machine.store("clone", "m-001", "m", "--above=7")["model"] == "m-008"
    assert machine.store("clone", "m-001", "m", "--above=3")["model"] == "m-009"


def test_clone_does_not_take_the_folder_that_a_killed_one_left(machine: Machine) -> None:
    make_model(machine, "m", DATASET)
    before_each_program(machine, "import os\nos.getpid = lambda: 77\n")
    (machine.root / ".ai_nano" / "incoming" / "clone.77").mkdir(parents=True)
    assert machine.store("clone", "m", "n")["model"] == "n-001"
    assert (machine.root / "models" / "n-001").stat().st_mode & 0o777 == 0o755


def test_clone_onto_another_disk_is_refused(machine: Machine) -> None:
    with models_on_another_disk(machine) as folder:
        make_model(machine, "m", DATASET)
        assert machine.store("clone", "m", "n", code=1)["code"] == "transfer.other_disk"
        assert os.listdir(folder) == ["m"]


def test_clone_needs_a_model(machine: Machine) -> None:
    assert machine.store("clone", "nowhere", "m", code=1)["code"] == "store.missing"


def test_each_of_many_clones_at_once_gets_a_name_of_its_own(machine: Machine) -> None:
    make_model(machine, "m", DATASET)
    (machine.root / "models" / "m-7").mkdir()

    def clone(_: int) -> str:
        return str(machine.store("clone", "m", "m")["model"])

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(clone, range(6))) == [f"m-{number:03d}" for number in range(8, 14)]


def test_models_lists_this_program_s_and_the_older_one_s(machine: Machine) -> None:
    make_model(machine, "b", {**DATASET, "labels.txt": "café\ndog\n\n".encode()})
    make_model(machine, "a", {"labels.txt": b"x\ny", "model.onnx": b"12345"})
    whose = {"student": "Zoë", "project": "tiere", "workspace": "0" * 16}
    (machine.root / "models" / "a" / "owner.json").write_text(json.dumps({"v": 1, **whose, "when": ""}))
    make_model(machine, "reserved", {})
    older = machine.home / "models" / "OlD7xq"
    older.mkdir(parents=True)
    (older / "resnet18.onnx").write_bytes(b"1234567")
    (machine.home / "models" / "notes").mkdir()
    models = machine.store("models")["models"]
    for model in models:
        assert isinstance(model.pop("modified"), int)
    size = sum(map(len, DATASET.values())) - len(b"cat\ndog") + len("café\ndog\n\n".encode())
    own = machine.root / "models"
    size_of_a = 8 + (own / "a" / "owner.json").stat().st_size
    assert models == [
        {"model": "a", "classes": ["x", "y"], "owner": whose, "size": size_of_a, "exported": True, "path": str(own / "a")},
        {"model": "b", "classes": ["café", "dog"], "owner": None, "size": size, "exported": False, "path": str(own / "b")},
        {"model": "OlD7xq", "classes": [], "owner": None, "size": 7, "exported": True, "path": str(older)}]


def test_delete(machine: Machine) -> None:
    make_model(machine, "m", DATASET)
    make_model(machine, "n", DATASET)
    assert machine.store("delete", "m")["model"] == "m"
    assert os.listdir(machine.root / "models") == ["n"]
    error = machine.store("delete", "m", code=1)
    assert (error["code"], error["params"]) == ("store.missing", {"model": "m"})


def test_delete_never_follows_a_link(machine: Machine) -> None:
    outside = make_model(machine, "../outside", DATASET)
    (machine.root / "models" / "m").symlink_to(outside)
    assert machine.store("delete", "m", code=1)["code"] == "store.missing"
    assert sorted(os.listdir(outside)) == ["labels.txt", "test", "train", "val"]


def test_a_model_that_is_deleted_meanwhile_is_not_listed(machine: Machine) -> None:
    for name in ("a", "doomed", "z"):
        make_model(machine, name, DATASET)
    delete_while_it_is_listed(machine, "doomed")
    assert [model["model"] for model in machine.store("models")["models"]] == ["a", "z"]


@pytest.mark.parametrize("files", [DATASET, {"train/1.jpg": b"one"}], ids=["many", "one"])
def test_a_model_that_is_deleted_meanwhile_is_not_cloned_in_part(machine: Machine, files: dict[str, bytes]) -> None:
    make_model(machine, "doomed", files)
    delete_while_it_is_listed(machine, "doomed")
    error = machine.store("clone", "doomed", "m", code=1)
    assert (error["code"], error["params"]) == ("store.missing", {"model": "doomed"})
    assert [name for name in os.listdir(machine.root / "models") if name[0] != "."] == []
    assert os.listdir(machine.root / ".ai_nano" / "incoming") == []


def test_free_before_root_exists(machine: Machine) -> None:
    assert not machine.root.exists()
    free = machine.store("free")
    assert 0 < free["free_bytes"] <= free["total_bytes"]
    assert not machine.root.exists()


def test_root_may_be_absolute(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "élsewhere" / "models" / "m").mkdir(parents=True)
    reply = subprocess.run([machine.python, str(machine.programs / "shared" / "store.py"), "--root",
                            str(tmp_path / "élsewhere"), "clone", "m", "n"], env=machine.environment, check=True)
    assert reply.returncode == 0 and (tmp_path / "élsewhere" / "models" / "n-001").is_dir()


def test_a_file_in_the_way_is_an_error_and_no_traceback(machine: Machine) -> None:
    machine.root.mkdir()
    (machine.root / "models").write_bytes(b"")
    parcel = {"v": 1, "type": "parcel", "model": None, "stem": "m", "owner": "0" * 16, "like": [], "replaces": False,
              "files": [["labels.txt", 1, 1, None]]}
    error = machine.call("transfer.py", "receive", stdin=json.dumps(parcel).encode() + b"\n", code=1)
    assert error["code"] == "machine.io_error" and error["params"]["path"].startswith(str(machine.root / "models"))
