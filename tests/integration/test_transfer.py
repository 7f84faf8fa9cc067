"""Parcels on real servers: one suite for both peers, on the embedded server and on OpenSSH."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import parcels
import pytest
from parcels import BOTH, OWNER, STEM, break_off, content, give, parcel, send, server_config, write
from ssh_machines import connect
from ssh_servers import OLD_TOO, SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MachineError, WorkFailed
from ai_nano.core.ports import Delivery, Parcel, Sent
from ai_nano.machines.ssh_machine import NO_SHELL_S, SshMachine

machine, link, far, folder = parcels.machine, parcels.link, parcels.far, parcels.folder


# ---- whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_a_parcel_arrives_and_is_not_sent_twice(machine: SshMachine, root: Path, folder: Path) -> None:
    seen: list[Sent] = []
    names: list[str] = []
    delivery = machine.upload(parcel(folder, on_name=names.append), seen.append, CancelToken())
    assert delivery == Delivery(f"{STEM}-001", 6, 6) and names == [f"{STEM}-001"]
    there = root / "models" / f"{STEM}-001"
    assert content(there) == content(folder)
    for path in there.rglob("*.jpg"):
        assert int(path.stat().st_mtime) == 1_700_000_000
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (seen[-1].done_bytes, seen[-1].total_bytes, seen[-1].done_files, seen[-1].total_files) == (total, total, 6, 6)
    assert [one.done_bytes for one in seen] == sorted(one.done_bytes for one in seen) and seen[0].done_bytes == 0
    assert send(machine, parcel(folder, model=delivery.model)) == Delivery(delivery.model, 6, 0)
    assert not list((root / ".ai_nano" / "incoming").iterdir())


def test_each_gets_a_name_of_its_own(machine: SshMachine, root: Path, folder: Path) -> None:
    (root / "models" / f"{STEM}-009").mkdir(parents=True)
    (root / "models" / f"{STEM}-extra-700").mkdir()
    give(root)
    assert [send(machine, parcel(folder)).model for _ in range(2)] == [f"{STEM}-010", f"{STEM}-011"]


def test_a_number_that_the_laptop_has_used_is_not_used_again(machine: SshMachine, root: Path, folder: Path) -> None:
    (root / "models" / f"{STEM}-002").mkdir(parents=True)
    give(root)
    assert [send(machine, parcel(folder, above=above)).model for above in (5, 1)] == [f"{STEM}-006", f"{STEM}-007"]


def test_ten_more_images_are_all_that_is_sent(machine: SshMachine, root: Path, folder: Path) -> None:
    for number in range(30):
        write(folder / "train" / "x" / f"{number:03d}.jpg", 5_000, number)
    first = send(machine, parcel(folder))
    for number in range(30, 40):
        write(folder / "train" / "x" / f"{number:03d}.jpg", 5_000, number)
    # A new split puts an image into another part: it is the same image.
    (folder / "train" / "x" / "007.jpg").rename(folder / "val" / "x" / "007.jpg")
    second = send(machine, parcel(folder, like=(first.model, "never-was-001")))
    assert (second.model, second.sent, second.files) == (f"{STEM}-002", 10, 46)
    old, new = (root / "models" / one.model for one in (first, second))
    assert content(new) == content(folder)
    assert (old / "train" / "x" / "001.jpg").stat().st_ino == (new / "train" / "x" / "001.jpg").stat().st_ino
    assert (old / "train" / "x" / "007.jpg").stat().st_ino == (new / "val" / "x" / "007.jpg").stat().st_ino


def test_a_changed_image_is_sent_again(machine: SshMachine, root: Path, folder: Path) -> None:
    first = send(machine, parcel(folder))
    write(folder / "val" / "x" / "$(touch oops) \"; ls.jpg", 70_000, 9)
    second = send(machine, parcel(folder, like=(first.model,)))
    assert second.sent == 1 and content(root / "models" / second.model) == content(folder)
    assert content(root / "models" / first.model) != content(folder)


@BOTH
def test_what_is_no_longer_there_does_not_arrive(far: SshMachine, root: Path, folder: Path) -> None:
    write(folder / "val" / "x" / "large.jpg", 8_000_000)
    name = break_off(far, folder, lambda sent: sent.done_files >= 2)
    shutil.rmtree(folder / "test" / "été")
    (folder / "train" / "x" / "'q'.jpg").unlink()
    send(far, parcel(folder, model=name))
    assert content(root / "models" / name) == content(folder)
    assert not (root / "models" / name / "test" / "été").exists()


def test_another_model_under_its_name_is_not_touched(machine: SshMachine, root: Path, folder: Path) -> None:
    first = send(machine, parcel(folder))
    write(folder / "train" / "x" / "'q'.jpg", 11, 1)
    with pytest.raises(WorkFailed) as caught:
        send(machine, parcel(folder, model=first.model))
    assert caught.value.code == "store.exists"
    assert (root / "models" / first.model / "train" / "x" / "'q'.jpg").stat().st_size == 10


def test_a_model_with_images_that_are_no_longer_ours_is_another(machine: SshMachine, root: Path, folder: Path) -> None:
    first = send(machine, parcel(folder))
    (folder / "train" / "x" / "'q'.jpg").unlink()
    with pytest.raises(WorkFailed) as caught:
        send(machine, parcel(folder, model=first.model))
    assert caught.value.code == "store.exists"


# ---- models ----------------------------------------------------------------------------------------------------------


def model(folder: Path, seed: int, onnx: int = 0) -> Parcel:
    write(folder / "model.onnx", 400_000, onnx)
    write(folder / "labels.txt", 7, seed)
    write(folder / "bundle.json", 300, seed)
    return parcel(folder, model="ada-lab-animals-001", stem="", replaces=True, compares=True)


def test_a_model_replaces_the_older_one_with_its_engines(machine: SshMachine, root: Path, tmp_path: Path) -> None:
    there = root / "models" / "ada-lab-animals-001"
    send(machine, model(tmp_path / "m", 1))
    engine = there / "model.onnx.1.1.8201.GPU.FP16.engine"
    engine.write_bytes(b"engine")
    (there / "model.onnx.sha256sum").write_text("sum")
    (there / "engine.json").write_text("{}")
    give(root)
    # The labels alone have changed: the engine is that of the same network.
    assert send(machine, model(tmp_path / "m", 2)).sent <= 3
    assert engine.read_bytes() == b"engine" and (there / "engine.json").read_text() == "{}"
    assert (there / "labels.txt").read_bytes() == (tmp_path / "m" / "labels.txt").read_bytes()
    send(machine, model(tmp_path / "m", 2, onnx=5))
    assert sorted(path.name for path in there.iterdir()) == ["bundle.json", "labels.txt", "model.onnx"]
    assert content(there) == content(tmp_path / "m")
    assert [path.name for path in (root / "models").iterdir()] == ["ada-lab-animals-001"]


@pytest.mark.parametrize("damage", ["half", "same size"])
def test_half_a_model_there_is_mended(machine: SshMachine, root: Path, tmp_path: Path, damage: str) -> None:
    what = model(tmp_path / "m", 1)
    send(machine, what)
    victim = root / "models" / "ada-lab-animals-001" / "model.onnx"
    status = victim.stat()
    victim.write_bytes(victim.read_bytes()[:200_000] + (b"\0" * 200_000 if damage == "same size" else b""))
    os.utime(victim, (status.st_atime, status.st_mtime))
    send(machine, what)
    assert content(victim.parent) == content(tmp_path / "m")
    assert send(machine, what).sent == 0


def test_the_older_model_stays_until_the_new_one_is_whole(machine: SshMachine, root: Path, tmp_path: Path) -> None:
    send(machine, model(tmp_path / "m", 1))
    before = content(root / "models")
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        machine.upload(model(tmp_path / "m", 2, onnx=2), lambda sent: cancel.cancel(), cancel)
    assert content(root / "models") == before


@pytest.mark.parametrize("stage", ["put aside", "replaced"])
def test_a_replacement_that_was_broken_off_is_mended(machine: SshMachine, root: Path, tmp_path: Path, stage: str) -> None:
    send(machine, model(tmp_path / "m", 1))
    there = root / "models" / "ada-lab-animals-001"
    aside = root / "models" / ".replaced-ada-lab-animals-001"
    if stage == "put aside":
        there.rename(aside)
        assert [one["model"] for one in machine.store("models")["models"]] == ["ada-lab-animals-001"]
    else:
        shutil.copytree(there, aside)
        give(root)
    send(machine, model(tmp_path / "m", 2))
    assert [path.name for path in (root / "models").iterdir()] == ["ada-lab-animals-001"]
    assert content(there) == content(tmp_path / "m")


# ---- back ------------------------------------------------------------------------------------------------------------


def test_download(machine: SshMachine, folder: Path, tmp_path: Path) -> None:
    name = send(machine, parcel(folder)).model
    machine.download(PurePosixPath("models") / name / "train" / "été" / "a b.jpg", tmp_path / "back", CancelToken())
    assert (tmp_path / "back").read_bytes() == (folder / "train" / "été" / "a b.jpg").read_bytes()
    with pytest.raises(WorkFailed) as caught:
        machine.download(PurePosixPath("models") / name / "none", tmp_path / "none", CancelToken())
    assert caught.value.code in ("transfer.missing", "transfer.refused") and not (tmp_path / "none").exists()
    assert not list(tmp_path.glob(".*.part"))


def test_two_laptops_send_copies_of_one_workspace(machine: SshMachine, ssh_server: SshServer, root: Path, folder: Path,
                                                  tmp_path: Path) -> None:
    """Both know the name that one of them was given, and their images differ by now."""
    for number in range(30):
        write(folder / "train" / "x" / f"{number:03d}.jpg", 50_000, number)
    shutil.copytree(folder, tmp_path / "copy")
    write(tmp_path / "copy" / "train" / "x" / "more.jpg", 50_000, 1)
    (root / "models" / f"{STEM}-001").mkdir(parents=True)
    give(root)
    second = connect(replace(machine._config), tmp_path / "second")
    outcomes: dict[str, object] = {}

    def run(name: str, laptop: SshMachine, what: Parcel) -> None:
        try:
            outcomes[name] = send(laptop, what)
        except (WorkFailed, MachineError) as error:
            outcomes[name] = error.code

    copy = parcel(tmp_path / "copy", model=f"{STEM}-001", owner="f" * 16)
    threads = [threading.Thread(target=run, args=("one", machine, parcel(folder, model=f"{STEM}-001"))),
               threading.Thread(target=run, args=("two", second, copy))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    second.close()
    refused = [name for name, outcome in outcomes.items() if outcome == "store.exists"]
    assert len(refused) == 1, outcomes
    winner = folder if refused == ["two"] else tmp_path / "copy"
    assert content(root / "models" / f"{STEM}-001") == content(winner)


# ---- which peer ------------------------------------------------------------------------------------------------------


def test_an_account_for_sftp_alone_takes_an_upload(sftp_only_server: SshServer, tmp_path: Path, folder: Path) -> None:
    """`auto` notices that no program of ours runs there; what needs one says so."""
    name = f"ai_nano-test-{OWNER}"
    machine = connect(server_config(sftp_only_server, name, "auto"), tmp_path)
    try:
        delivery = send(machine, parcel(folder))
        assert content(sftp_only_server.home / name / "models" / delivery.model) == content(folder)
        began = time.monotonic()
        assert send(machine, parcel(folder, model=delivery.model)).sent == 0
        assert time.monotonic() - began < NO_SHELL_S, "it is known by now"
        with pytest.raises(MachineError) as caught:
            machine.store("models")
        assert caught.value.code == "machine.no_answer"
    finally:
        machine.close()
        shutil.rmtree(sftp_only_server.home / name, ignore_errors=True)


@BOTH
def test_a_login_that_takes_its_time_is_a_shell_all_the_same(
        machine: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.machines.ssh_machine.NO_SHELL_S", 0.2)
    real = machine._exec
    monkeypatch.setattr(machine, "_exec", lambda line: real(f"sleep 0.5; {line}"))
    assert machine.store("models")["models"] == []
