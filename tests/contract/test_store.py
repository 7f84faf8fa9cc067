"""store.py: short operations on a machine's models, one JSON line each."""

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from machine import Machine

BAD_NAMES = ["", ".hidden", "..", "a/b", "a b", "é", "a\n", "x" * 101]


def make_model(machine: Machine, name: str, files: dict[str, bytes]) -> Path:
    path = machine.root / "models" / name
    for file, content in files.items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(content)
    return path


DATASET = {"train/cat/é 1.jpg": b"one", "val/cat/2.jpg": b"two!", "test/cat/3.jpg": b"three", "labels.txt": b"cat\ndog"}


def test_reserve_makes_the_folder_once(machine: Machine) -> None:
    path = str(machine.root / "models" / "nano-animals-001")
    assert machine.store("reserve", "nano-animals-001") == {
        "v": 1, "type": "result", "model": "nano-animals-001", "path": path}
    assert os.path.isdir(path)
    error = machine.store("reserve", "nano-animals-001", code=1)
    assert error == {"v": 1, "type": "error", "code": "store.exists", "params": {"model": "nano-animals-001"}}


def test_one_of_many_at_once_gets_the_name(machine: Machine) -> None:
    def reserve(_: int) -> int:
        return subprocess.run(machine.command("store.py", "reserve", "m"), env=machine.environment,
                              capture_output=True).returncode

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(reserve, range(6))) == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("words", [["reserve"], ["listing"], ["delete"], ["hash"]], ids=lambda words: words[0])
def test_a_bad_name_is_refused(machine: Machine, words: list[str], name: str) -> None:
    error = machine.store(*words, name, code=1)
    assert (error["code"], error["params"]) == ("store.bad_name", {"name": name})


def test_listing_gives_sizes_and_whole_seconds(machine: Machine) -> None:
    path = make_model(machine, "m", DATASET)
    for name in DATASET:
        os.utime(path / name, ns=(0, 1_700_000_000_987_654_321))
    (path / "train" / "link.jpg").symlink_to(path / "labels.txt")
    assert machine.store("listing", "m")["files"] == {
        name: [len(content), 1_700_000_000] for name, content in DATASET.items()}


def test_a_folder_that_is_not_there_has_no_files(machine: Machine) -> None:
    assert machine.store("listing", "nowhere")["files"] == {}


def test_hash(machine: Machine) -> None:
    make_model(machine, "m", {"model.onnx": b"x" * 3_000_000, "labels.txt": b"cat"})
    assert machine.store("hash", "m", "model.onnx", "labels.txt", "bundle.json")["sha256"] == {
        "model.onnx": hashlib.sha256(b"x" * 3_000_000).hexdigest(), "labels.txt": hashlib.sha256(b"cat").hexdigest(),
        "bundle.json": None}


@pytest.mark.parametrize("name", ["../other/model.onnx", "/etc/passwd", "train/../../other/x"])
def test_hash_stays_within_the_model(machine: Machine, name: str) -> None:
    make_model(machine, "m", DATASET)
    assert machine.store("hash", "m", name, code=1)["code"] == "store.bad_name"


def test_clone_links_the_dataset_and_nothing_else(machine: Machine) -> None:
    source = make_model(machine, "m", {**DATASET, "checkpoint.pth": b"c", "model.onnx": b"o", "report.json": b"{}"})
    reply = machine.store("clone", "m", "m-2")
    target = machine.root / "models" / "m-2"
    assert (reply["model"], reply["path"]) == ("m-2", str(target))
    assert machine.store("listing", "m-2")["files"].keys() == DATASET.keys()
    assert all(os.path.samefile(source / name, target / name) for name in DATASET)
    shutil.rmtree(source)
    assert {name: (target / name).read_bytes() for name in DATASET} == DATASET


def test_clone_needs_a_model_and_a_free_name(machine: Machine) -> None:
    assert machine.store("clone", "nowhere", "m-2", code=1)["code"] == "store.missing"
    make_model(machine, "m", DATASET)
    make_model(machine, "taken", {"labels.txt": b"x"})
    assert machine.store("clone", "m", "taken", code=1)["code"] == "store.exists"
    assert machine.store("listing", "taken")["files"].keys() == {"labels.txt"}
    assert machine.store("clone", "m", "../outside", code=1)["code"] == "store.bad_name"


def test_models_lists_this_program_s_and_the_older_one_s(machine: Machine) -> None:
    make_model(machine, "b", {**DATASET, "labels.txt": "café\ndog\n\n".encode()})
    make_model(machine, "a", {"labels.txt": b"x\ny", "model.onnx": b"12345"})
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
    assert models == [
        {"model": "a", "classes": ["x", "y"], "size": 8, "exported": True, "path": str(own / "a")},
        {"model": "b", "classes": ["café", "dog"], "size": size, "exported": False, "path": str(own / "b")},
        {"model": "OlD7xq", "classes": [], "size": 7, "exported": True, "path": str(older)}]


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


def test_free_before_root_exists(machine: Machine) -> None:
    assert not machine.root.exists()
    free = machine.store("free")
    assert 0 < free["free_bytes"] <= free["total_bytes"]
    assert not machine.root.exists()


def test_root_may_be_absolute(machine: Machine, tmp_path: Path) -> None:
    reply = subprocess.run([machine.python, str(machine.programs / "shared" / "store.py"), "--root",
                            str(tmp_path / "élsewhere"), "reserve", "m"], env=machine.environment, check=True)
    assert reply.returncode == 0 and (tmp_path / "élsewhere" / "models" / "m").is_dir()


def test_a_file_in_the_way_is_an_error_and_no_traceback(machine: Machine) -> None:
    machine.root.mkdir()
    (machine.root / "models").write_bytes(b"")
    error = machine.store("reserve", "m", code=1)
    assert error["code"] == "machine.io_error" and error["params"]["path"] == str(machine.root / "models")
