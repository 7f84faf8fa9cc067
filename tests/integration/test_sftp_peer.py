"""The SFTP peer against real servers: what arrives, what is not sent twice, and what faults leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import paramiko
import pytest
from hostile_server import hostile_server
from link import Link
from ssh_servers import Account, SshServer, start_server

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MachineError, WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.ports import Delivery, Parcel, Sent, Upload
from ai_nano.machines.transfer import sftp_calls, sftp_flow
from ai_nano.machines.transfer.parcel import Item
from ai_nano.machines.transfer.sftp import SftpPeer, open_client

OWNER = "3fa9c0de"
ODD_NAMES = ("plain.jpg", "two words.jpg", "it's \"quoted\".jpg", "été à l'école.jpg", "猫.jpg", "-rf $(x) `y` ;&|*?.jpg",
             "back\\slash.jpg")
WEEK_S = 7 * 24 * 3600


class Rig:
    """A peer on one connection, the root as this computer sees it, and files to send."""

    def __init__(self, transport: paramiko.Transport, root: Path, remote_root: str, sources: Path) -> None:
        self.transport, self.root, self.sources = transport, root, sources
        self.peer = SftpPeer("gpu", remote_root, lambda: open_client(transport, "gpu"))
        self.told: list[Sent] = []

    def deliver(self, files: list[Upload], cancel: CancelToken | None = None, **more: object) -> Delivery:
        self.told = []
        parcel = Parcel(tuple(files), OWNER, **more)  # type: ignore[arg-type]
        return self.peer.deliver(parcel, self.told.append, cancel or CancelToken())

    def file(self, target: str, content: bytes | int, mtime: int = 1_700_000_000) -> Upload:
        """A file to send; `content` as a number: so many random bytes."""
        source = self.sources / target.replace("/", "#")
        source.write_bytes(os.urandom(content) if isinstance(content, int) else content)
        os.utime(source, (mtime, mtime))
        return Upload(source, PurePosixPath(target))

    def images(self, count: int, size: int = 5000, part: str = "train/cat") -> list[Upload]:
        return [self.file(f"{part}/{number:04d}.jpg", size, 1_700_000_000 + number) for number in range(count)]

    def incoming(self, model: str) -> Path:
        return self.root / ".ai_nano/incoming" / f"{model}.{OWNER}"

    def parts(self, model: str) -> list[Path]:
        return sorted(self.incoming(model).rglob(".part-*"))

    def check(self, model: str, files: list[Upload]) -> None:
        """The model's folder is the parcel, and nothing is left elsewhere."""
        folder = self.root / "models" / model
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
            str(file.target) for file in files}
        for file in files:
            there = folder / file.target
            assert there.read_bytes() == file.source.read_bytes()
            assert int(there.stat().st_mtime) == int(file.source.stat().st_mtime)
        assert not self.incoming(model).exists()


@contextlib.contextmanager
def connected(server: SshServer, port: int | None = None) -> Iterator[paramiko.Transport]:
    sock = socket.create_connection((server.host, port or server.port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    try:
        transport.connect(username=server.user, pkey=paramiko.PKey.from_path(server.key_file))
        yield transport
    finally:
        transport.close()
        sock.close()


@pytest.fixture
def root(ssh_server: SshServer) -> Iterator[Path]:
    """The root on the server, as this computer sees it; not there yet."""
    folder = ssh_server.home / f"ai_nano-test-{os.urandom(6).hex()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rig(ssh_server: SshServer, root: Path, tmp_path: Path) -> Iterator[Rig]:
    sources = tmp_path / "sources"
    sources.mkdir()
    with connected(ssh_server) as transport:
        yield Rig(transport, root, root.name, sources)


@pytest.fixture
def far(ssh_server: SshServer, root: Path, tmp_path: Path) -> Iterator[tuple[Rig, Link]]:
    """Over 20 Mbit/s and 10 ms, which the test can cut."""
    sources = tmp_path / "sources"
    sources.mkdir()
    with Link(ssh_server.host, ssh_server.port, rate_bits_s=20e6, round_trip_s=0.01) as link:
        with connected(ssh_server, link.port) as transport:
            yield Rig(transport, root, root.name, sources), link


# ---- what arrives --------------------------------------------------------------------------------------------------------


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


# ---- going on --------------------------------------------------------------------------------------------------------------


far_away = pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)


def lose(rig: Rig, files: list[Upload], link: Link, after: int) -> None:
    """Send, and lose the connection after so many bytes."""
    link.cut_after(after)
    with pytest.raises(MachineError) as caught:
        rig.deliver(files, model="m")
    assert caught.value.code == "machine.lost"
    wait_until(lambda: bool(rig.parts("m")))


@far_away
def test_after_a_cut_only_the_rest_is_sent(far: tuple[Rig, Link], ssh_server: SshServer) -> None:
    rig, link = far
    files = [rig.file(f"train/cat/{number}.jpg", 350_000) for number in range(4)]
    lose(rig, files, link, 900_000)
    began = sum(path.stat().st_size for path in rig.incoming("m").rglob("*") if path.is_file())
    assert 0 < began < 1_400_000 and not any((rig.root / "models/m").iterdir())
    before = link.traffic.up
    with connected(ssh_server, link.port) as transport:
        again = Rig(transport, rig.root, rig.root.name, rig.sources)
        assert again.deliver(files, model="m").model == "m"
        again.check("m", files)
        assert again.told[0].done_bytes >= began - 32768 * 4
    assert link.traffic.up - before < 1_400_000 - began + 200_000


@far_away
def test_a_file_that_changed_since_begins_anew(far: tuple[Rig, Link], ssh_server: SshServer) -> None:
    rig, link = far
    files = [rig.file("train/cat/1.jpg", 2_000_000)]
    lose(rig, files, link, 900_000)
    files = [rig.file("train/cat/1.jpg", 1_000_000, 1_700_000_001)]
    with connected(ssh_server) as transport:
        again = Rig(transport, rig.root, rig.root.name, rig.sources)
        again.deliver(files, model="m")
        again.check("m", files)


@far_away
def test_cancelled_at_once_and_gone_on_with(far: tuple[Rig, Link]) -> None:
    rig, link = far
    files = rig.images(20, 100_000)
    cancel = CancelToken()
    began: list[float] = []

    def tell(sent: Sent) -> None:
        if sent.done_bytes > 400_000 and not began:
            began.append(time.monotonic())
            cancel.cancel()

    with pytest.raises(Cancelled):
        rig.peer.deliver(Parcel(tuple(files), OWNER, model="m"), tell, cancel)
    assert time.monotonic() - began[0] < 0.5
    delivery = rig.deliver(files, model="m")  # over the same connection
    assert 0 < delivery.sent < 20
    rig.check("m", files)


@far_away
def test_a_machine_that_falls_silent_is_lost(far: tuple[Rig, Link], monkeypatch: pytest.MonkeyPatch) -> None:
    rig, link = far
    monkeypatch.setattr(sftp_flow, "SILENCE_S", 0.5)
    files = rig.images(20, 200_000)
    threading.Timer(0.4, link.freeze).start()
    began = time.monotonic()
    with pytest.raises(MachineError) as caught:
        rig.deliver(files, model="m")
    assert caught.value.code == "machine.lost" and time.monotonic() - began < 3
    assert not rig.transport.is_active()


@far_away
def test_cancel_is_heard_while_the_network_stands_still(far: tuple[Rig, Link]) -> None:
    rig, link = far
    cancel = CancelToken()
    files = rig.images(30, 200_000)
    ended: list[float] = []
    thread = threading.Timer(0.4, link.freeze)
    thread.start()
    second = threading.Timer(1.0, lambda: (ended.append(time.monotonic()), cancel.cancel()))
    second.start()
    with pytest.raises(Cancelled):
        rig.deliver(files, cancel, model="m")
    assert time.monotonic() - ended[0] < 1
    link.thaw()


def wait_until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- damage ----------------------------------------------------------------------------------------------------------------


def part_of(rig: Rig, file: Upload) -> Path:
    status = file.source.stat()
    item = Item(0, file.source, file.target, status.st_size, int(status.st_mtime))
    return rig.incoming("m") / file.target.parent / item.part_name


@pytest.mark.parametrize("length", [40_000, 100_000], ids=["begun", "whole"])
def test_a_damaged_part_is_noticed_and_sent_once_more(rig: Rig, length: int) -> None:
    files = [rig.file("train/cat/1.jpg", 100_000), rig.file("labels.txt", b"cat\n")]
    part = part_of(rig, files[0])
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * length)
    if rig.root.stat().st_uid != rig.root.parent.stat().st_uid:
        subprocess.run(["chown", "-R", "--reference", str(rig.root.parent), str(rig.root)], check=True)
    assert rig.deliver(files, model="m").sent == 2
    rig.check("m", files)


def test_strangers_and_the_old_are_cleared_away(rig: Rig) -> None:
    rig.deliver([rig.file("labels.txt", b"cat\n")], model="first")
    incoming = rig.root / ".ai_nano/incoming"
    mine, old, busy, young = (incoming / name for name in (f"m.{OWNER}", "old.x", "busy.x", "young.x"))
    for folder in (mine, old, busy, young):
        (folder / "train/dog").mkdir(parents=True)
        (folder / "train/dog/1.jpg").write_bytes(b"1")
        os.utime(folder / "train/dog/1.jpg", (9, 9))
    (mine / "train/dog/.part-0123456789abcdef").write_bytes(b"1")
    (mine / "train/cat").write_bytes(b"a file where a folder is to be")
    (mine / "outside").symlink_to(rig.sources)
    ago = time.time() - WEEK_S - 100
    for folder in (old, busy):
        for path in (folder / "train/dog", folder / "train", folder):
            os.utime(path, (ago, ago))
    (busy / "train/dog/.part-0123456789abcdef").write_bytes(b"1")
    if rig.root.stat().st_uid != os.geteuid():
        subprocess.run(["chown", "-R", "--reference", str(rig.root.parent), str(rig.root)], check=True)
    files = rig.images(3)
    rig.deliver(files, model="m")
    rig.check("m", files)
    assert (not old.exists(), busy.exists(), young.exists()) == (True, True, True)
    assert all(file.source.exists() for file in files)


@far_away
@pytest.mark.parametrize("what", ["shrinks", "grows", "is rewritten", "is gone"])
def test_a_source_that_changes_meanwhile(far: tuple[Rig, Link], what: str) -> None:
    rig, link = far
    files = [rig.file("a/first", 300_000), rig.file("b/second", 3_000_000), rig.file("c/third", 1000)]
    source = files[0 if what == "is gone" else 1].source

    def tell(sent: Sent) -> None:
        if what == "is gone":
            source.unlink(missing_ok=True)
        elif 300_000 < sent.done_bytes < 900_000:
            if what == "shrinks":
                os.truncate(source, 1000)
            else:
                source.write_bytes(bytes(3_000_001 if what == "grows" else 3_000_000))

    with pytest.raises(WorkFailed) as caught:
        rig.peer.deliver(Parcel(tuple(files), OWNER, model="m"), tell, CancelToken())
    assert caught.value.code == "transfer.changed" and caught.value.params["file"] == source
    if what == "is gone":
        files[0] = rig.file("a/first", 300_000)
    assert rig.deliver(files, model="m").model == "m"
    rig.check("m", files)


def test_a_source_that_is_gone(rig: Rig) -> None:
    files = rig.images(2)
    files[1].source.unlink()
    with pytest.raises(WorkFailed) as caught:
        rig.deliver(files, model="m")
    assert caught.value.code == "transfer.changed" and not rig.root.exists()


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "a/../b", ".hidden", "line\nbreak", "x" * 201,
                                    "/".join("abcdefghi")])
def test_names_that_are_none(rig: Rig, target: str) -> None:
    source = rig.file("plain", b"1").source
    with pytest.raises(WorkFailed) as caught:
        rig.deliver([Upload(source, PurePosixPath(target))], model="m")
    assert caught.value.code == "transfer.bad_path" and not rig.root.exists()


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
    (folder / "leds.jsonl").write_bytes(b"old")
    assert rig.deliver(old, model="m", replaces=True, compares=True).sent == 0
    # Size and time say that nothing changed; the content counts.
    new = [old[0] if same else rig.file("model.onnx", 200_000), rig.file("labels.txt", b"dog\n")]
    assert rig.deliver(new, model="m", replaces=True, compares=True).sent == (2 if same else 2)
    kept = {"model.onnx.engine", "model.onnx.sha256sum"} if same else set()
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


# ---- servers that lie --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["absurd", "endless"])
def test_a_server_that_lies_is_seen_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str) -> None:
    monkeypatch.setattr(sftp_calls, "_MOST_NAMES", 10_000)
    sources = tmp_path / "sources"
    sources.mkdir()
    with hostile_server(tmp_path, "--sftp", deed) as server:
        sock = socket.create_connection((server.host, server.port))
        with contextlib.closing(paramiko.Transport(sock)) as transport:
            transport.connect(username="x", password="x")
            rig = Rig(transport, tmp_path, str(tmp_path / "root"), sources)
            for work in (lambda: rig.deliver(rig.images(2), model="m"), lambda: rig.deliver(rig.images(2), stem="ada"),
                         lambda: rig.peer.fetch(PurePosixPath("x"), tmp_path / "got", 1 << 70, CancelToken())):
                (tmp_path / "root").mkdir()  # that server really makes folders
                with pytest.raises(MachineError) as caught:
                    work()
                assert caught.value.code == "machine.nonsense"
                shutil.rmtree(tmp_path / "root")
        assert sorted(path.name for path in tmp_path.iterdir() if "host_key" not in path.name) == ["sources"]
