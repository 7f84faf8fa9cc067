"""The doctor in a room with planted faults: finds each, names its mend; after following the mends it is green."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_room import Room, faulty_room

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parents[2]
# (machine, code) of what was planted, and words that the command must have.
PLANTED = {
    ("laptop", "doctor.config.open"): "chmod 600",
    ("DL", "doctor.cuda.torch_is_cpu"): "-m pip install --force-reinstall torch==",
    ("DL", "doctor.packages.missing"): "-m pip install 'onnx>=",
    ("DL", "doctor.slurm.partition"): '["partition"] = "gpu"',
    ("DL", "doctor.root.readonly"): "sudo chown nano: -- ",
    ("DL", "doctor.weights.missing"): "curl -fL -o",
    ("DL", "doctor.shell.slow"): "sed -i '1i case $- in *i*) ;; *) return;; esac' ~nano/.bashrc",
    ("DL", "doctor.clock.skew"): "sudo date -u -s @",
    ("nano1", "doctor.swap.none"): "sudo swapon /swapfile",
    ("nano1", "doctor.power.weak"): "sudo nvpmodel -m 0",
    ("nano1", "doctor.camera.permission"): "sudo usermod -aG video nano",
    ("nano1", "doctor.gpio.group"): "sudo usermod -aG gpio nano",
    ("nano1", "container.no_image"): "sudo docker pull dustynv/jetson-inference:r32.7.1",
    ("nano1", "doctor.desktop.running"): "sudo systemctl set-default multi-user.target",
    ("nano2", "machine.host_key_changed"): "ssh-keygen -R nano2 -f",
    ("nano3", "machine.refused"): "sudo systemctl enable --now ssh",
}
# What this computer lacks, or has beside the room: nobody's fault and nothing that hinders.
OF_THIS_COMPUTER = {"doctor.webcam.none", "doctor.laptop.disk", "doctor.temperature.hot"}


@pytest.fixture(scope="module")
def nano_python() -> str:
    own = REPOSITORY / ".venv-nano" / "bin" / "python"
    found = os.environ.get("AI_NANO_NANO_PYTHON") or (str(own) if own.exists() else None)
    assert found, "no CPython 3.6: set AI_NANO_NANO_PYTHON or make .venv-nano"
    return found


@pytest.fixture
def room(tmp_path: Path, nano_python: str) -> Iterator[Room]:
    with faulty_room(tmp_path, nano_python) as made:
        yield made


def test_each_fault_is_found_and_after_its_mend_the_room_is_green(room: Room) -> None:
    checks, result = room.doctor(code=1)
    assert result["ok"] is False
    found = {(one["machine"], one["code"]): one for one in checks if one["state"] != "ok"}
    assert set(found) - {key for key in found if key[1] in OF_THIS_COMPUTER} == set(PLANTED)
    for key, words in PLANTED.items():
        commands = [mend["command"] for mend in found[key]["mends"]]
        assert words in commands[0], (key, commands)
        assert found[key]["text"] and "{" not in found[key]["text"]
    for key in PLANTED:
        room.follow(found[key]["mends"][0])
    again, result = room.doctor(code=0)
    assert [(one["machine"], one["code"], one["text"]) for one in again
            if one["state"] != "ok" and one["code"] not in OF_THIS_COMPUTER] == []
    assert result["ok"] is True
    assert [one["machine"] for one in result["machines"]] == ["laptop", "DL", "nano1", "nano2", "nano3"]
