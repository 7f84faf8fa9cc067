"""A machine that was started anew since a run began says so; it is played with another boot id, in a mount namespace."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from machine import DEADLINE_S, Machine, Message, wait_for

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER = "3f0bb1f4-6c0e-4f7e-9d3c-6d9f7b1e2a55"


def after_reboot(machine: Machine, folder: Path, *words: str) -> list[Message]:
    """What runner.py prints where the kernel names another boot."""
    (folder / "boot_id").write_text(OTHER + "\n")
    line = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", line, str(folder / "boot_id"), *machine.command("runner.py", *words)]
    done = subprocess.run(command, env=machine.environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=DEADLINE_S, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.root
def test_a_reboot_is_told(machine: Machine, tmp_path: Path) -> None:
    assert shutil.which("unshare"), "these tests play a reboot with unshare: install util-linux"
    machine.start("ended", do="finish")
    machine.follow_all("ended")
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    for pid in (json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], machine.process_id("a")):
        os.kill(pid, signal.SIGKILL)  # a reboot ends everything
    wait_for(lambda: machine.state("a") == "failed", "the end")
    runs = {run["id"]: (run["state"], run["why"]) for run in after_reboot(machine, tmp_path, "list")[0]["runs"]}
    assert runs == {"ended": ("done", None), "a": ("failed", "rebooted")}
    end = after_reboot(machine, tmp_path, "follow", "a")[-1]
    assert (end["state"], end["exit"], end["why"]) == ("failed", None, "rebooted")
    assert after_reboot(machine, tmp_path, "follow", "ended")[-1]["why"] is None
    # Who says afterwards that it is to be ended changes nothing of that it is gone.
    assert after_reboot(machine, tmp_path, "cancel", "a")[-1]["gone"] is True


@pytest.mark.root
def test_a_process_of_the_same_id_after_a_reboot_is_not_the_program(machine: Machine, tmp_path: Path) -> None:
    """Ids and start times repeat from boot to boot, so they alone would take a stranger for the program."""
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    assert after_reboot(machine, tmp_path, "list")[0]["runs"][0]["why"] == "rebooted"
    assert after_reboot(machine, tmp_path, "cancel", "a")[-1]["gone"] is True
    assert machine.state("a") == "running", "the stranger was left alone"
    machine.cancel("a")


def test_what_lost_its_notes_with_the_power_counts_as_rebooted(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    note = machine.run_path("a") / "pid.json"
    kept = note.read_bytes()
    note.write_bytes(b"")
    assert [(run["state"], run["why"]) for run in machine.call("runner.py", "list")["runs"]] == [("failed", "rebooted")]
    note.write_bytes(kept)
    machine.cancel("a")
