"""Parcels that are broken off, and files that change on their way: for both peers, on the embedded server and on OpenSSH."""

import hashlib
import os
import random
from pathlib import Path

import parcels
import pytest
from link import Link
from parcels import BOTH, OWNER, STEM, break_off, content, give, parcel, send, write

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.ports import Sent
from ai_nano.machines.ssh_machine import SshMachine

machine, link, far, folder = parcels.machine, parcels.link, parcels.far, parcels.folder


@BOTH
def test_a_cancelled_transfer_shows_nothing_and_goes_on(far: SshMachine, root: Path, folder: Path) -> None:
    write(folder / "val" / "x" / "large.jpg", 8_000_000)
    name = break_off(far, folder, lambda sent: sent.done_files >= 2)
    assert content(root / "models" / name) == {}
    delivery = send(far, parcel(folder, model=name))
    assert delivery.sent <= 5 and content(root / "models" / name) == content(folder)


@BOTH
@pytest.mark.parametrize("seed", range(int(os.environ.get("AI_NANO_SEEDS", 2))))
def test_a_cut_connection_costs_what_was_on_its_way(
        far: SshMachine, link: Link, root: Path, folder: Path, seed: int) -> None:
    """Twice at a random point; the transfer goes on by itself."""
    for number in range(40):
        write(folder / "train" / "x" / f"{number:03d}.jpg", 100_000, number)
    chance = random.Random(seed)
    link.cut_after(chance.randrange(100_000, 2_000_000))
    started: list[int] = []

    def watch(sent: Sent) -> None:
        if link.traffic.connections > len(started):
            started.append(sent.done_bytes)
            if len(started) == 2:
                link.cut_after(chance.randrange(100_000, 1_500_000))

    delivery = far.upload(parcel(folder), watch, CancelToken())
    assert content(root / "models" / delivery.model) == content(folder)
    assert len(started) == 3 and started == sorted(started), "two cuts, and each time on from there"
    # 4.4 MB in all, and of each cut at most what was under way: a queue, and a file that was not whole.
    assert link.traffic.up < 4_400_000 + 2 * 700_000
    assert len(list((root / "models").iterdir())) == 1


@BOTH
def test_a_silent_network_is_noticed(far: SshMachine, link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.machines.transfer.talk.SILENCE_S", 2.0)
    monkeypatch.setattr("ai_nano.machines.transfer.sftp_flow.SILENCE_S", 2.0)
    far.patience_s = 0.0
    write(folder / "train" / "x" / "large.jpg", 10_000_000)
    with pytest.raises(MachineError) as caught:
        far.upload(parcel(folder), lambda sent: link.freeze() if sent.done_bytes > 500_000 else None, CancelToken())
    assert caught.value.code == "machine.lost"


@BOTH
def test_a_part_goes_on_where_it_ends(far: SshMachine, root: Path, folder: Path) -> None:
    write(folder / "train" / "x" / "large.jpg", 6_000_000)
    name = break_off(far, folder, lambda sent: sent.done_bytes > 2_000_000)
    seen: list[Sent] = []
    far.upload(parcel(folder, model=name), seen.append, CancelToken())
    assert seen[0].done_bytes > 1_500_000 and content(root / "models" / name) == content(folder)


def test_a_damaged_part_is_noticed(machine: SshMachine, root: Path, folder: Path) -> None:
    """What lies there is not what was sent: the hash says so, and the file is sent anew."""
    large = folder / "train" / "x" / "large.jpg"
    write(large, 200_000)
    reserved = root / "models" / f"{STEM}-001"
    reserved.mkdir(parents=True)
    name = hashlib.sha256(f"train/x/large.jpg\0{200_000}\0{1_700_000_000}".encode()).hexdigest()[:16]
    part = root / ".ai_nano" / "incoming" / f"{STEM}-001.{OWNER}" / "train" / "x" / f".part-{name}"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 150_000)
    give(root)
    assert content_after(machine, root, folder) == content(folder)


def content_after(machine: SshMachine, root: Path, folder: Path) -> dict[str, bytes]:
    return content(root / "models" / send(machine, parcel(folder, model=f"{STEM}-001")).model)


@BOTH
@pytest.mark.parametrize("change", ["gone", "shorter", "longer"])
def test_a_file_that_changes_meanwhile_is_said(far: SshMachine, folder: Path, change: str) -> None:
    write(folder / "train" / "a" / "first.jpg", 1_000_000)
    victim = folder / "val" / "x" / "z.jpg"
    write(victim, 3_000_000)

    def meddle(sent: Sent) -> None:
        if change == "gone":
            victim.unlink(missing_ok=True)
        else:
            victim.write_bytes(b"x" * (10 if change == "shorter" else 4_000_000))

    with pytest.raises(WorkFailed) as caught:
        far.upload(parcel(folder), meddle, CancelToken())
    assert caught.value.code == "transfer.changed"
