"""The SFTP peer against real servers: what arrives, what is not sent twice, and what is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import paramiko
import pytest
import sftp_rig
from link import Link
from sftp_rig import OWNER, Rig, connected, far_away
from ssh_servers import OLD_TOO, Account, SshServer, start_server

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.ports import Delivery, Parcel, Upload

root, rig, far = sftp_rig.root, sftp_rig.rig, sftp_rig.far
ODD_NAMES = ("plain.jpg", "two words.jpg", "it's \"quoted\".jpg", "été à l'école.jpg", "猫.jpg", "-rf $(x) `y` ;&|*?.jpg",
             "back\\slash.jpg")


# ---- what arrives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_a_parcel_arrives_whole_under_the_next_free_name(rig: Rig) -> None:
    files = [rig.file(f"train/l'été {number}/{name}", 1000 * number) for number, name in enumerate(ODD_NAMES)]
    files += [rig.file("labels.txt", b""), rig.file("val/large", 3_000_000)]
    names: list[str] = []
    delivery = rig.deliver(files, stem="ada-animals", on_name=names.append)
    assert delivery == Delivery("ada-animals-001", len(files), len(files), 0) and names == ["ada-animals-001"]
    rig.check("ada-animals-001", files)
    total = sum(file.source.stat().st_size for file in files)
    assert (rig.told[-1].done_bytes, rig.told[-1].done_files) == (total, len(files))
    assert [one.done_bytes for one in rig.told] == sorted(one.done_bytes for one in rig.told)
    assert rig.deliver(files, stem="ada-animals").model == "ada-animals-002"
    assert (rig.root / "models/ada-animals-002").stat().st_mode & 0o777 == 0o755


def test_an_sftp_only_account_will_do(sftp_only_server: SshServer, tmp_path: Path) -> None:
    root = sftp_only_server.home / f"ai_nano-test-{os.urandom(6).hex()}"
    try:
        with connected(sftp_only_server) as transport:
            rig = Rig(transport, root, root.name, tmp_path)
            files = rig.images(30)
            assert rig.deliver(files, stem="ada-animals").sent == 30
            rig.check("ada-animals-001", files)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_what_is_there_is_not_sent_again(rig: Rig) -> None:
    files = rig.images(10)
    rig.deliver(files, model="m")
    before = {path: path.stat().st_ino for path in rig.root.rglob("*")}
    assert rig.deliver(files, model="m") == Delivery("m", 10, 0, 0)
    assert {path: path.stat().st_ino for path in rig.root.rglob("*")} == before
    assert rig.told[-1].done_bytes == rig.told[-1].total_bytes == 50_000


def test_two_at_once_get_two_names(rig: Rig, ssh_server: SshServer) -> None:
    files = rig.images(3)
    found: list[Delivery] = []

    def send(owner: str) -> None:
        found.append(rig.peer.deliver(Parcel(tuple(files), owner, stem="ada"), lambda sent: None, CancelToken()))

    threads = [threading.Thread(target=send, args=(f"owner{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.model for one in found) == ["ada-001", "ada-002", "ada-003", "ada-004"]
    assert not list((rig.root / ".ai_nano/incoming").iterdir())


def test_new_images_of_an_old_set_are_all_that_is_sent(rig: Rig) -> None:
    old = rig.images(50)
    first = rig.deliver(old, stem="ada").model
    # Split anew: an image may have gone from train to val.
    moved = [Upload(file.source, PurePosixPath("val") / file.target.relative_to("train")) for file in old[:20]]
    new = [rig.file(f"train/cat/new{number}.jpg", 700) for number in range(10)]
    files = [*moved, *old[20:], *new]
    delivery = rig.deliver(files, stem="ada", like=(first, "gone-001"))
    assert delivery == Delivery("ada-002", 60, 10, 50)
    rig.check("ada-002", files)
    inodes = {path.stat().st_ino for path in (rig.root / "models").rglob("*.jpg")}
    assert len(inodes) == 60
    assert all((rig.root / "models" / first / file.target).stat().st_nlink == 2 for file in old)


def test_another_version_of_a_file_is_not_taken_over(rig: Rig) -> None:
    rig.deliver(rig.images(3), model="old")
    files = rig.images(3)  # other bytes, but size and time are the same for the first alone
    os.utime(files[1].source, (5, 5))
    files[2].source.write_bytes(b"longer" * 2000)
    assert rig.deliver(files, model="new", like=("old",)).linked == 1


def test_through_a_jump_host(rig: Rig, ssh_server: SshServer) -> None:
    channel = rig.transport.open_channel("direct-tcpip", (ssh_server.host, ssh_server.port), ("127.0.0.1", 0))
    with contextlib.closing(paramiko.Transport(channel)) as transport:
        transport.connect(username=ssh_server.user, pkey=paramiko.PKey.from_path(ssh_server.key_file))
        beyond = Rig(transport, rig.root, rig.root.name, rig.sources)
        files = beyond.images(5, 500_000)
        beyond.deliver(files, model="m")
        beyond.check("m", files)


def test_without_openssh_s_extensions(tmp_path: Path) -> None:
    def nobody() -> Account:
        raise AssertionError("this kind needs no user")

    line = "Subsystem sftp internal-sftp -P posix-rename,hardlink,statvfs"
    (tmp_path / "server").mkdir()
    (tmp_path / "sources").mkdir()
    with start_server("openssh-key", tmp_path / "server", False, nobody, line) as server, connected(server) as transport:
        rig = Rig(transport, tmp_path / "root", str(tmp_path / "root"), tmp_path / "sources")
        old = rig.images(5)
        rig.deliver(old, stem="ada")
        files = old + [rig.file("model.onnx", 10)]
        assert rig.deliver(files, stem="ada", like=("ada-001",)) == Delivery("ada-002", 6, 6, 0)
        rig.check("ada-002", files)
        new = [rig.file("labels.txt", b"cat\n"), *old[:3]]
        rig.deliver(new, model="ada-002", replaces=True, compares=True)
        rig.check("ada-002", new)
        with pytest.raises(WorkFailed) as caught:
            rig.deliver([rig.file("other", 1)], model="ada-001")
        assert caught.value.code == "store.exists"


# ---- models that are there already -----------------------------------------------------------------------------------------


def test_another_model_of_that_name_is_not_touched(rig: Rig) -> None:
    mine = [rig.file("labels.txt", b"cat\n")]
    rig.deliver(mine, model="m")
    with pytest.raises(WorkFailed) as caught:
        rig.deliver([rig.file("other.txt", b"dog\n")], model="m")
    assert caught.value.code == "store.exists"
    rig.check("m", mine)


def test_who_moves_first_has_the_name(rig: Rig) -> None:
    mine = [rig.file("labels.txt", b"cat\n"), *rig.images(2, 50_000)]
    other = rig.root / "models/m/labels.txt"
    parcel = Parcel(tuple(mine), OWNER, model="m")
    with pytest.raises(WorkFailed) as caught:
        rig.peer.deliver(parcel, lambda sent: other.exists() or bool(sent.done_bytes and other.write_bytes(b"dog\n")),
                         CancelToken())
    assert caught.value.code == "store.exists" and other.read_bytes() == b"dog\n"


@pytest.mark.parametrize("same", [True, False], ids=["same-network", "other-network"])
def test_a_new_model_takes_the_place_of_the_old_one(rig: Rig, same: bool) -> None:
    old = [rig.file("model.onnx", 200_000), rig.file("labels.txt", b"cat\n")]
    rig.deliver(old, model="m", replaces=True, compares=True)
    folder = rig.root / "models/m"
    (folder / "model.onnx.engine").write_bytes(b"engine")
    (folder / "model.onnx.sha256sum").write_bytes(b"sum")
    (folder / "engine.json").write_bytes(b"{}")
    (folder / "leds.jsonl").write_bytes(b"old")
    assert rig.deliver(old, model="m", replaces=True, compares=True).sent == 0
    # Size and time say that nothing changed; the content counts.
    new = [old[0] if same else rig.file("model.onnx", 200_000), rig.file("labels.txt", b"dog\n")]
    assert rig.deliver(new, model="m", replaces=True, compares=True).sent == (2 if same else 2)
    kept = {"model.onnx.engine", "model.onnx.sha256sum", "engine.json"} if same else set()
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "labels.txt"} | kept
    assert (folder / "labels.txt").read_bytes() == b"dog\n"
    assert (folder / "model.onnx").read_bytes() == new[0].source.read_bytes()
    assert [path.name for path in (rig.root / "models").iterdir()] == ["m"]


def test_a_machine_that_died_between_the_renames_is_healed(rig: Rig) -> None:
    files = [rig.file("model.onnx", 1000)]
    rig.deliver(files, model="m", replaces=True, compares=True)
    models = rig.root / "models"
    (models / "m").rename(models / ".replaced-m")
    assert rig.deliver(files, model="m", replaces=True, compares=True).sent == 0
    rig.check("m", files)
    shutil.copytree(models / "m", models / ".replaced-m")
    if models.stat().st_uid != os.geteuid():
        subprocess.run(["chown", "-R", "--reference", str(models), str(models)], check=True)
    rig.deliver(files, model="m", replaces=True, compares=True)
    assert [path.name for path in models.iterdir()] == ["m"]


# ---- refusals --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(ssh_server: SshServer, root: Path) -> Iterator[Path]:
    """The root lies on a file system of 8 MiB."""
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", str(root)], check=True)
    yield root
    subprocess.run(["umount", str(root)], check=True)


@pytest.mark.root
def test_a_disk_that_is_too_small_or_fills_up_meanwhile(small_disk: Path, rig: Rig) -> None:
    files = rig.images(20, 300_000)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(4 << 20))
    with pytest.raises(WorkFailed) as caught:
        rig.deliver(files, model="m")
    assert caught.value.code == "transfer.no_space" and caught.value.params["needed"] == amount(6_000_000, "bytes")
    filler.unlink()
    parcel = Parcel(tuple(files), OWNER, model="m")
    with pytest.raises(WorkFailed) as caught:
        rig.peer.deliver(parcel, lambda sent: filler.exists() or fill(filler), CancelToken())
    assert caught.value.code == "transfer.no_space"
    filler.unlink()
    assert rig.deliver(files, model="m").model == "m"
    rig.check("m", files)


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(1 << 16))


def test_a_root_that_is_not_ours(ssh_server: SshServer, tmp_path: Path) -> None:
    with connected(ssh_server) as transport:
        rig = Rig(transport, Path("/proc/ai_nano"), "/proc/ai_nano", tmp_path)
        with pytest.raises(WorkFailed) as caught:
            rig.deliver(rig.images(1), model="m")
    assert caught.value.code == "transfer.refused"


# ---- fetching --------------------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_whole_or_not_at_all(rig: Rig, tmp_path: Path) -> None:
    files = [rig.file("model.onnx", 3_333_333), rig.file("empty", b"")]
    rig.deliver(files, model="m")
    for file in files:
        target = tmp_path / "got"
        rig.peer.fetch(PurePosixPath("models/m") / file.target, target, 3_333_333, CancelToken())
        assert target.read_bytes() == file.source.read_bytes()
    target.unlink()
    for source, limit, code in (("models/m/model.onnx", 3_333_332, "transfer.too_large"), ("models/m", 9, "transfer.refused"),
                                ("models/m/none", 9, "transfer.refused")):
        with pytest.raises(WorkFailed) as caught:
            rig.peer.fetch(PurePosixPath(source), target, limit, CancelToken())
        assert caught.value.code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sources"]


@far_away
def test_a_fetch_that_is_cut_leaves_nothing(far: tuple[Rig, Link], tmp_path: Path) -> None:
    rig, link = far
    rig.root.joinpath("models").mkdir(parents=True)
    (rig.root / "models/large").write_bytes(os.urandom(3_000_000))
    link.cut_after(1_000_000)
    with pytest.raises(MachineError) as caught:
        rig.peer.fetch(PurePosixPath("models/large"), tmp_path / "got", 1 << 30, CancelToken())
    assert caught.value.code == "machine.lost"
    assert [path.name for path in tmp_path.iterdir()] == ["sources"]
