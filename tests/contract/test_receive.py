"""transfer.py against laptops that lie, die or come twice: nothing leaves its folder, nothing half appears."""

import fcntl
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import Machine, wait_for
from receiver import END, MTIME, OWNER, Receiver, before_each_program, delete_while_it_is_listed, member, models_on_another_disk

FILES = {"train/cat/1.jpg": b"one", "val/cat/é 2.jpg": b"two!", "labels.txt": b"cat"}


def everything(machine: Machine) -> dict[str, bytes]:
    return {str(path.relative_to(machine.home)): path.read_bytes() for path in machine.home.rglob("*")
            if path.is_file() and machine.programs not in path.parents}


def models(machine: Machine) -> dict[str, bytes]:
    folder = machine.root / "models"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def receive(machine: Machine, data: bytes, contents: dict[str, bytes] | None = None, **more: Any) -> dict[str, Any]:
    """What comes of an archive; its last word."""
    receiver = Receiver(machine)
    receiver.announce(FILES if contents is None else contents, **more)
    answer = receiver.read("missing")
    if answer["type"] == "missing":
        receiver.write(data)
        answer = receiver.read("result")
    assert receiver.close() == (1 if answer["type"] == "error" else 0)
    return answer


def whole(files: dict[str, bytes] | None = None) -> bytes:
    return b"".join(member(str(number), data) for number, data in enumerate((FILES if files is None else files).values())) + END


def test_a_parcel_becomes_a_model(machine: Machine) -> None:
    answer = receive(machine, whole())
    assert (answer["model"], answer["differs"], answer["files"]) == ("ada-animals-001", [], 3)
    assert answer["path"] == str(machine.root / "models" / "ada-animals-001")
    assert models(machine) == {f"ada-animals-001/{path}": data for path, data in FILES.items()}


def test_what_replaces_may_be_like_what_it_replaces(machine: Machine) -> None:
    """Test images that were left on a Nano: what has changed is sent, the rest is taken over."""
    images = {"test/cat/1.jpg": b"one", "test/cat/2.jpg": b"two"}
    receive(machine, whole(images), images, model="t", stem=None, like=["t"], replaces=True)
    kept = (machine.root / "models" / "t" / "test" / "cat" / "2.jpg").stat().st_ino
    changed = {"test/cat/2.jpg": b"two", "test/cat/3.jpg": b"three"}
    answer = receive(machine, member("1", b"three") + END, changed, model="t", stem=None, like=["t"], replaces=True)
    assert answer["differs"] == [] and models(machine) == {f"t/{path}": data for path, data in changed.items()}
    assert (machine.root / "models" / "t" / "test" / "cat" / "2.jpg").stat().st_ino == kept


OUTSIDE = ["../x", "/etc/x", "train/../../x", "a//b", "", ".", "..", "train/.part-0123456789abcdef", ".hidden", "a\0b", "a\nb",
           "x" * 201, "/".join("abcdefghi"), "\udcff"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused(machine: Machine, path: str) -> None:
    answer = receive(machine, whole(), {"labels.txt": b"x", path: b"evil"})
    assert answer["code"] == "transfer.bad_path"
    assert everything(machine) == {}


@pytest.mark.parametrize("change", [
    {"owner": "../../x"}, {"owner": 7}, {"like": ["../x"]}, {"like": "m"}, {"model": "../x"}, {"model": None, "stem": None},
    {"stem": "a/b"}, {"files": []}, {"files": [["a", -1, 0, None]]}, {"files": [["a", 1]]}, {"files": [["a", 1, 0, "zz"]]},
    {"files": [["a", True, 0, None]]}, {"files": [["a", 1, 0, None], ["a", 1, 0, None]]}, {"files": [["a", 1 << 60, 0, None]]},
    {"v": 2}, {"files": {"a": 1}}], ids=repr)
def test_a_parcel_of_another_shape_is_refused(machine: Machine, change: dict[str, Any]) -> None:
    answer = receive(machine, b"", **change)
    assert answer["code"] in ("transfer.bad_parcel", "store.bad_name")
    assert everything(machine) == {}


EVIL = {
    "a symbolic link": member("0", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": member("0", b"", type=tarfile.LNKTYPE, linkname="../../../programs"),
    "a folder": member("0", b"", type=tarfile.DIRTYPE),
    "a device": member("0", b"", type=tarfile.CHRTYPE),
    "a name of its own": member("../../../../evil", b"one"),
    "an absolute name": member("/tmp/evil", b"one"),
    "another number": member("2", b"one"),
    "too long": member("0", b"one" * 1000),
    "too short": member("0", b"o"),
    "no hash": member("0", b"one", digest=""),
    "one too many": whole()[:-len(END)] + member("3", b"x") + END,
    "no archive": b"hello, this is no archive" * 1000,
    "nothing": END,
}


@pytest.mark.parametrize("what", EVIL)
def test_an_archive_of_something_else_is_refused(machine: Machine, what: str) -> None:
    answer = receive(machine, EVIL[what] + END)
    assert answer["code"] == "transfer.unexpected"
    assert models(machine) == {} and not any("evil" in path for path in everything(machine))


def test_a_bomb_is_read_no_further_than_was_announced(machine: Machine) -> None:
    """The header says what was announced; the data never end."""
    receiver = Receiver(machine)
    receiver.announce(FILES)
    receiver.read("missing")
    header = tarfile.TarInfo("0." + hashlib.sha256(b"one").hexdigest())
    header.size = 3
    header.pax_headers = {"comment": "x" * 50_000_000}
    receiver.write(header.tobuf(tarfile.PAX_FORMAT))
    assert receiver.read("result")["code"] == "transfer.unexpected"
    receiver.close()
    assert models(machine) == {}


def test_more_than_there_is_room_for_is_said_before_the_first_byte(machine: Machine) -> None:
    answer = receive(machine, b"", files=[["labels.txt", 1 << 39, MTIME, None]])
    assert answer["code"] == "transfer.no_space" and answer["params"]["needed_bytes"] == 1 << 39
    assert 0 < answer["params"]["free_bytes"] < 1 << 39


def test_what_arrived_damaged_is_named_and_does_not_appear(machine: Machine) -> None:
    bad = member("1", b"two?", digest=hashlib.sha256(b"two!").hexdigest())
    answer = receive(machine, member("0", b"one") + bad + member("2", b"cat") + END)
    assert (answer["differs"], answer["path"]) == ([1], None)
    assert models(machine) == {}
    receiver = Receiver(machine)
    receiver.announce(FILES, model="ada-animals-001")
    assert receiver.read("missing")["files"] == [[1, 0]]
    receiver.write(member("1", b"two!") + END)
    assert receiver.read("result")["differs"] == []
    receiver.close()
    assert models(machine) == {f"ada-animals-001/{path}": data for path, data in FILES.items()}


def test_a_laptop_that_dies_leaves_parts_and_no_model(machine: Machine) -> None:
    receiver = Receiver(machine)
    large = os.urandom(1_000_000)
    receiver.announce({"labels.txt": b"cat", "train/cat/1.jpg": large})
    receiver.read("missing")
    receiver.write(member("0", b"cat") + member("1", large)[:500_000])
    assert receiver.close() == 0
    assert models(machine) == {}
    again = Receiver(machine)
    again.announce({"labels.txt": b"cat", "train/cat/1.jpg": large}, model="ada-animals-001")
    (index, offset), = again.read("missing")["files"]
    assert index == 1 and 400_000 < offset < 500_000
    digest = hashlib.sha256(large).hexdigest()
    again.write(member("1", large[offset:], digest=digest) + END)
    assert again.read("result")["differs"] == []
    again.close()
    assert models(machine) == {"ada-animals-001/labels.txt": b"cat", "ada-animals-001/train/cat/1.jpg": large}


def test_a_part_of_another_version_of_the_file_is_not_gone_on_with(machine: Machine) -> None:
    receiver = Receiver(machine)
    receiver.announce({"labels.txt": b"x" * 500_000})
    receiver.read("missing")
    receiver.write(member("0", b"x" * 500_000)[:300_000])
    receiver.close()
    again = Receiver(machine)
    again.announce({"labels.txt": b"y" * 500_000}, model="ada-animals-001",
                   files=[["labels.txt", 500_000, MTIME + 1, None]])
    assert again.read("missing")["files"] == [[0, 0]]
    again.close()


def test_the_ghost_of_a_lost_connection_gives_way(machine: Machine) -> None:
    ghost = Receiver(machine)
    ghost.announce(FILES, model="m")
    ghost.read("missing")
    assert receive(machine, whole(), model="m")["differs"] == []
    wait_for(lambda: ghost.process.poll() is not None, "the end of the ghost")
    ghost.close()
    assert models(machine) == {f"m/{path}": data for path, data in FILES.items()}


def test_another_laptop_with_the_same_name_does_not_get_in_the_way(machine: Machine) -> None:
    other = Receiver(machine)
    other.announce({**FILES, "test/cat/9.jpg": b"more"}, model="m", owner="f" * 16)
    other.read("missing")
    assert receive(machine, whole(), model="m")["differs"] == []
    other.send_all()
    assert other.read("result")["code"] == "store.exists"
    other.close()
    assert models(machine) == {f"m/{path}": data for path, data in FILES.items()}


@pytest.mark.parametrize("like", [["m", "doomed"], ["doomed", "m"]], ids=" ".join)
def test_a_like_model_that_is_deleted_meanwhile_is_passed_over(machine: Machine, like: list[str]) -> None:
    for model in ("m", "doomed"):
        receive(machine, whole(), model=model)
    delete_while_it_is_listed(machine, "doomed")
    receiver = Receiver(machine)
    receiver.announce(FILES, like=like)
    answer = receiver.read("missing")
    assert (answer["files"], answer["linked"]) == ([], 3)
    assert receiver.read("result")["differs"] == []
    receiver.close()


def test_a_model_that_is_deleted_meanwhile_is_sent_again(machine: Machine) -> None:
    receive(machine, whole(), model="doomed")
    delete_while_it_is_listed(machine, "doomed")
    assert receive(machine, whole(), model="doomed")["differs"] == []
    assert {f"doomed/{path}": data for path, data in FILES.items()}.items() <= models(machine).items()


def test_links_that_somebody_put_there_are_not_followed(machine: Machine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    folder = machine.root / ".ai_nano" / "incoming" / f"m.{OWNER}"
    (folder / "train" / "cat").mkdir(parents=True)
    name = hashlib.sha256(f"train/cat/1.jpg\0{3}\0{MTIME}".encode()).hexdigest()[:16]
    (folder / "train" / "cat" / f".part-{name}").symlink_to(outside / "precious")
    (folder / "labels.txt").symlink_to(outside / "precious")
    assert receive(machine, whole(), model="m")["differs"] == []
    assert (outside / "precious").read_bytes() == b"precious"
    assert not any(path.is_symlink() for path in (machine.root / "models").rglob("*"))


def test_what_nobody_touched_for_a_week_goes(machine: Machine) -> None:
    place = machine.root / ".ai_nano" / "incoming"
    for name, age_s in (("old", 8 * 86400), ("new", 6 * 86400)):
        (place / f"{name}.{OWNER}" / "train").mkdir(parents=True)
        lock = place / f"{name}.{OWNER}.lock"
        lock.write_text("")
        then = lock.stat().st_mtime - age_s
        os.utime(lock, (then, then))
    receive(machine, whole(), model="m")
    assert sorted(path.name for path in place.iterdir()) == [f"new.{OWNER}", f"new.{OWNER}.lock"]


def test_an_old_parcel_at_which_somebody_works_stays(machine: Machine) -> None:
    """A Nano has no clock of its own: its time jumps by years when it finds a network."""
    other = Receiver(machine)
    other.announce(FILES, model="other")
    other.read("missing")
    place = machine.root / ".ai_nano" / "incoming" / f"other.{OWNER}"
    other.write(whole()[:len(member("0", b"one")) + 1])
    wait_for((place / "train/cat/1.jpg").exists, "the first file")
    os.utime(f"{place}.lock", (0, 0))
    assert receive(machine, whole(), model="m")["differs"] == []
    other.write(whole()[len(member("0", b"one")) + 1:])
    assert other.read("result")["differs"] == []
    other.close()
    assert {f"other/{path}": data for path, data in FILES.items()}.items() <= models(machine).items()


def test_a_lock_that_was_removed_before_it_was_taken_locks_nothing(machine: Machine) -> None:
    path = machine.root / ".ai_nano" / "incoming" / f"m.{OWNER}.lock"
    before_each_program(machine, f"""
import fcntl, os
flock = fcntl.flock
def late(*words):
    fcntl.flock = flock
    os.unlink({str(path)!r})
    flock(*words)
fcntl.flock = late
""")
    receiver = Receiver(machine)
    receiver.announce(FILES, model="m")
    receiver.read("missing")
    with open(path) as again, pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    receiver.close()


def test_models_on_another_disk_are_refused_before_the_first_byte(machine: Machine) -> None:
    with models_on_another_disk(machine) as folder:
        for more in ({}, {"model": "m", "replaces": True}):
            answer = receive(machine, whole(), **more)
            assert (answer["code"], answer["params"]) == ("transfer.other_disk", {"path": str(machine.root / "models")})
        assert os.listdir(folder) == []


@pytest.mark.parametrize("names", [("a/cat.jpg", "a/Cat.jpg"), ("cat/1.jpg", "Cat/2.jpg")], ids=["files", "folders"])
def test_names_that_the_disk_takes_for_one_are_an_error(machine: Machine, names: tuple[str, str]) -> None:
    """As on vfat: the second file lies where the first one was, or in the first one's folder."""
    before_each_program(machine, """
import os
replace = os.replace
os.replace = lambda source, target: replace(source, target.replace("Cat", "cat"))
""")
    files = {**{f"train/{name}": b"1" for name in names}, "labels.txt": b"a"}
    answer = receive(machine, whole(files), files, model="m")
    assert (answer["code"], answer["params"]) == ("transfer.names", {"path": f"train/{names[1]}"})
    assert models(machine) == {}


def test_a_part_that_was_left_does_not_appear(machine: Machine) -> None:
    """The rest of the file is taken over from another model."""
    cut = Receiver(machine)
    large = {"train/cat/1.jpg": b"x" * 500_000}
    cut.announce(large, model="m")
    cut.read("missing")
    cut.write(member("0", large["train/cat/1.jpg"])[:300_000])
    cut.close()
    receive(machine, whole(large), large, model="n")
    assert receive(machine, END, large, model="m", like=["n"])["differs"] == []
    assert models(machine).keys() == {"m/train/cat/1.jpg", "n/train/cat/1.jpg"}


def test_a_name_that_the_laptop_never_learned_is_free_again(machine: Machine) -> None:
    assert receive(machine, b"", files=[["labels.txt", 1 << 39, MTIME, None]])["code"] == "transfer.no_space"
    deaf = Receiver(machine)
    assert deaf.process.stdout is not None
    deaf.process.stdout.close()
    deaf.announce(FILES)
    deaf.close()
    assert os.listdir(machine.root / "models") == []
    cut = Receiver(machine)
    cut.announce(FILES)
    assert cut.read("missing")["model"] == "ada-animals-001"
    cut.close()
    assert os.listdir(machine.root / "models") == ["ada-animals-001"], "this laptop knows it"


def test_send_gives_a_file_from_an_offset_on(machine: Machine) -> None:
    receive(machine, whole(), model="m")

    def send(*words: str) -> tuple[dict[str, Any], bytes]:
        done = subprocess.run(machine.command("transfer.py", "send", *words), env=machine.environment, capture_output=True,
                              cwd="/", timeout=60, check=False)
        line, _, rest = done.stdout.partition(b"\n")
        return json.loads(line), rest

    head, rest = send("m", "val/cat/é 2.jpg", "--offset", "2")
    assert (head["size"], head["sha256"], rest) == (4, hashlib.sha256(b"two!").hexdigest(), b"o!")
    assert send("m", "none")[0]["code"] == "transfer.missing"
    assert send("n", "labels.txt")[0]["code"] == "store.missing"
    for path in ("../../programs", "/etc/passwd", "train/../../x"):
        assert send("m", path)[0]["code"] == "transfer.bad_path"
    (machine.root / "models" / "m" / "link").symlink_to("/etc/passwd")
    assert send("m", "link")[0]["code"] == "transfer.missing"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(["..", ".", "a", "", "train", "é", "~", "$HOME", "-rf", "x"]), max_size=6).map("/".join)))
def test_whatever_a_path_is_it_stays_inside(machine: Machine, path: str) -> None:
    """Refused, or a file of exactly that name in the model's folder; nothing beside it."""
    before = everything(machine)
    answer = receive(machine, member("0", b"evil") + END, {path: b"evil"})
    new = everything(machine).keys() - before.keys()
    if answer["type"] == "error":
        assert answer["code"] == "transfer.bad_path" and not new
    else:
        assert new == {f"{machine.root.name}/models/{answer['model']}/{path}"}
