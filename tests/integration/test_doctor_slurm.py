"""The doctor's check of Slurm against a real one: what it finds wrong, and that its mend mends it."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_room import GPU_NODE, SlurmRoom

from ai_nano.core.doctor.findings import Finding
from ai_nano.core.doctor.mends import mends

REMOTE = Path(__file__).parents[2] / "remote"
_LOOK = """
import json, sys
from gpu_server import doctor_slurm
from shared.findings import Findings
doctor_slurm.check(json.loads(sys.argv[1]))(Findings())
"""
DEADLINE_S = 60


def found(room: SlurmRoom, scheduler: str = "slurm", **options: str) -> dict[str, Any]:
    asked = json.dumps({"scheduler": scheduler, "slurm": options})
    # What a student's own environment may say of sinfo's form is not the doctor's.
    environment = {**room.environment, "PYTHONPATH": str(REMOTE), "SINFO_FORMAT": "%t", "SINFO_PARTITION": "nowhere"}
    done = subprocess.run([sys.executable, "-c", _LOOK, asked], env=environment, stdout=subprocess.PIPE, timeout=DEADLINE_S,
                          check=True)
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["check"] == "slurm"
    return dict(line)


@pytest.fixture
def drained(slurm_room: SlurmRoom) -> Iterator[SlurmRoom]:
    slurm_room.ask("scontrol", "update", f"nodename={GPU_NODE}", "state=drain", "reason=the fan rattles")
    yield slurm_room
    if "drain" in slurm_room.ask("sinfo", "-h", "-N", "-n", GPU_NODE, "-o", "%t"):
        slurm_room.ask("scontrol", "update", f"nodename={GPU_NODE}", "state=resume")


@pytest.mark.root
def test_a_slurm_that_is_well(slurm_room: SlurmRoom) -> None:
    for options in ({}, {"partition": "room"}, {"partition": "room", "gres": "gpu:1"}, {"gres": "gpu"}, {"gres": "none"},
                    {"partition": "room,room"}, {"gres": "gpu:1,gpu:1"}):
        line = found(slurm_room, **options)
        assert (line["state"], line["figure"]) == ("ok", "room, 2"), (options, line)
    assert found(slurm_room, "auto")["figure"] == "room, 2"
    assert found(slurm_room, "direct")["figure"] == "direct"


@pytest.mark.root
def test_what_it_does_not_have_and_what_was_meant(slurm_room: SlurmRoom) -> None:
    line = found(slurm_room, partition="rooms")
    assert line["code"] == "doctor.slurm.partition" and line["params"]["likely"] == "room"
    line = found(slurm_room, gres="gpus:1")
    assert line["code"] == "doctor.slurm.gres" and line["params"]["likely"] == "gpu:1"
    line = found(slurm_room, partition="room,rooms")
    assert line["code"] == "doctor.slurm.partition" and line["params"]["likely"] == "room,room"


@pytest.mark.root
def test_a_node_that_takes_no_jobs_and_its_mend(drained: SlurmRoom, tmp_path: Path) -> None:
    line = found(drained)
    assert (line["state"], line["code"], line["figure"]) == ("warning", "doctor.slurm.nodes", "1 / 2")
    assert line["params"]["nodes"] == [GPU_NODE] and line["params"]["reason"] == ["the fan rattles"]
    (mend,) = mends(Finding("DL", "slurm", line["state"], line["code"], "", line["params"]), None, None, tmp_path)
    words = shlex.split(mend.command)
    assert words[0] == "sudo"
    drained.ask(*words[1:])
    assert found(drained)["state"] == "ok"


@pytest.mark.root
def test_a_controller_that_is_not_there(slurm_room: SlurmRoom, tmp_path: Path) -> None:
    lines = [line for line in slurm_room.conf.read_text().splitlines() if not line.startswith("SlurmctldPort")]
    elsewhere = tmp_path / "slurm.conf"
    elsewhere.write_text("\n".join([*lines, "SlurmctldPort=1", ""]))
    for name in ("gres.conf", "cgroup.conf"):
        (tmp_path / name).write_text((slurm_room.folder / name).read_text())
    line = found(SlurmRoom(slurm_room.folder, elsewhere))
    assert (line["state"], line["code"]) == ("failure", "doctor.slurm.silent") and line["params"]["error"], line
    assert os.fspath(tmp_path) not in line["params"]["error"]
