"""The SFTP peer where a connection, a file or the server goes wrong: what a fault leaves behind, and how it goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import paramiko
import pytest
import sftp_rig
from hostile_server import hostile_server
from link import Link
from sftp_rig import OWNER, Rig, connected, far_away
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MachineError, WorkFailed
from ai_nano.core.ports import Parcel, Sent, Upload
from ai_nano.machines.transfer import sftp_calls, sftp_flow
from ai_nano.machines.transfer.parcel import Item

root, rig, far = sftp_rig.root, sftp_rig.rig, sftp_rig.far
WEEK_S = 7 * 24 * 3600


# ---- going on --------------------------------------------------------------------------------------------------------------


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
