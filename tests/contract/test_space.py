"""Room before a transfer: what the disk has, what the login's quota leaves, and files as well as bytes."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nano_programs  # noqa: F401
import pytest
from machine import Machine, Message
from receiver import Receiver
from test_receive import receive

from shared import space

# What quota(1) of Debian's package quota 4.06 prints with -w.
WITHIN = """\
Disk quotas for user nano (uid 1001):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
{device}   40960       0  102400             120       0    1000
"""
EXCEEDED = """\
Disk quotas for user nano (uid 1001):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
/dev/mapper/other-home      20   1000000 1100000               4       0       0
{device}  102396*  81920  102400   6days     998*    900    1000    none
"""
NONE = "Disk quotas for user nano (uid 1001): none\n"
# lfs quota -q: a grace is always there.
LUSTRE = "   /lustre/home   40960       0  102400       -     120*    100    1000  6d23h59m\n"


@pytest.fixture
def small_disk(machine: Machine) -> Iterator[Machine]:
    """ROOT on a tmpfs of 256 MiB and 300 files."""
    machine.root.mkdir()
    options = "size=256m,nr_inodes=300,mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ai_nano_small", str(machine.root)], check=True)
    yield machine
    subprocess.run(["umount", "--lazy", str(machine.root)], check=True)


def say_quota(machine: Machine, folder: Path, text: str, status: int = 0) -> None:
    """A program quota on the login's PATH that says so."""
    folder.mkdir()
    (folder / "said").write_text(text.replace("{device}", "ai_nano_small"))
    program = folder / "quota"
    program.write_text(f'#!/bin/sh\n[ "$*" = "-w" ] || exit 2\ncat "{folder}/said"\nexit {status}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    machine.environment["PATH"] = f"{folder}:{machine.environment.get('PATH', '/usr/bin:/bin')}"


def announce(machine: Machine, size: int, spare: int = 0, count: int = 1) -> Message:
    files = [[f"train/cat/{number}.jpg", size, 1, None] for number in range(count)]
    return receive(machine, b"", files=files, spare=spare)


def takes(machine: Machine, size: int, spare: int) -> None:
    receiver = Receiver(machine)
    receiver.announce({"labels.txt": b"x" * size}, spare=spare)
    assert receiver.read("missing")["files"] == [[0, 0]]
    receiver.close()


@pytest.mark.root
def test_what_training_writes_counts_too(small_disk: Machine) -> None:
    free = small_disk.store("free")["free_bytes"]
    assert free <= 256 << 20
    takes(small_disk, 1000, spare=200 << 20)
    refused = announce(small_disk, 1000, spare=256 << 20)
    assert refused["code"] == "transfer.no_space"
    assert refused["params"] == {"needed_bytes": 1000 + (256 << 20), "free_bytes": refused["params"]["free_bytes"],
                                 "spare_bytes": 256 << 20, "by": "disk"}


@pytest.mark.root
def test_files_run_out_before_bytes_do(small_disk: Machine) -> None:
    refused = announce(small_disk, 1, count=400)
    assert refused["code"] == "transfer.no_files" and refused["params"]["by"] == "disk"
    assert refused["params"]["needed"] == 401 > refused["params"]["free"]


@pytest.mark.root
def test_the_logins_quota_counts_where_it_leaves_less(small_disk: Machine, tmp_path: Path) -> None:
    say_quota(small_disk, tmp_path / "bin", WITHIN)
    assert small_disk.store("free")["free_bytes"] == (102400 - 40960) * 1024
    takes(small_disk, 1000, spare=59 << 20)
    refused = announce(small_disk, 1000, spare=61 << 20)
    assert (refused["code"], refused["params"]["by"]) == ("transfer.no_space", "quota")
    assert refused["params"]["free_bytes"] == (102400 - 40960) * 1024
    (tmp_path / "bin" / "said").write_text(EXCEEDED.replace("{device}", "ai_nano_small"))
    refused = announce(small_disk, 1, count=5)
    assert (refused["code"], refused["params"]) == ("transfer.no_files", {"needed": 6, "free": 2, "by": "quota"})


@pytest.mark.root
def test_a_quota_program_that_says_nothing_of_use_changes_nothing(small_disk: Machine, tmp_path: Path) -> None:
    free = small_disk.store("free")["free_bytes"]
    for number, text in enumerate((NONE, "", WITHIN.replace("{device}", "/dev/elsewhere"), "ai_nano_small a b c d e f g\n")):
        say_quota(small_disk, tmp_path / str(number), text, status=number)
        assert abs(small_disk.store("free")["free_bytes"] - free) < 1 << 20


def test_what_quota_programs_print() -> None:
    assert space.parse(WITHIN.format(device="/dev/sda1")) == [space.Quota("/dev/sda1", 40960 << 10, 102400 << 10, 120, 1000)]
    other, own = space.parse(EXCEEDED.format(device="nas:/export/home"))
    assert other == space.Quota("/dev/mapper/other-home", 20 << 10, 1100000 << 10, 4, None)
    assert own == space.Quota("nas:/export/home", 102396 << 10, 102400 << 10, 998, 1000)
    assert space.parse(LUSTRE) == [space.Quota("/lustre/home", 40960 << 10, 102400 << 10, 120, 1000)]
    assert space.parse("/dev/a 1 2 3 none 5 6 7 none\n") == [space.Quota("/dev/a", 1 << 10, 3 << 10, 5, 7)]
    assert space.parse("/dev/a 10* 5 0 6days 5 6 7\n") == [space.Quota("/dev/a", 10 << 10, 5 << 10, 5, 7)]
    assert space.parse(NONE) == space.parse("/dev/a 1 2\n") == []


def test_the_file_system_of_a_folder(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                     f"2 1 0:44 / {tmp_path}/my\\040disk rw shared:1 - lustre 10.0.0.1@tcp:/home rw\n"
                     f"3 1 0:45 / {tmp_path}/my rw - nfs4 nas:/my rw\n")
    (tmp_path / "my disk").mkdir()
    (tmp_path / "mybook").mkdir()
    assert space.mount_of(f"{tmp_path}/my disk", str(table)) == ("10.0.0.1@tcp:/home", f"{tmp_path}/my disk", "lustre")
    assert space.mount_of(f"{tmp_path}/mybook", str(table)) == ("/dev/sda1", "/", "ext4")
