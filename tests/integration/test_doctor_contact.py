"""The doctor and machines that are hard to talk to: each stage that fails is a finding, and the rest is still told."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_machines import Nobody, config_for
from ssh_servers import SshServer, make_key

from ai_nano.core.doctor.findings import OK, Finding
from ai_nano.core.errors import MachineError
from ai_nano.core.room.config import MachineConfig, ServerConfig
from ai_nano.core.secret import Secret
from ai_nano.machines import examination
from ai_nano.machines.channel import SshChannel
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

ONE = pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)


@pytest.fixture
def server_config(ssh_server: SshServer, tmp_path: Path) -> ServerConfig:
    return as_server(config_for(ssh_server, str(tmp_path / "root")))


def as_server(config: MachineConfig) -> ServerConfig:
    return ServerConfig(**{field.name: getattr(config, field.name) for field in dataclasses.fields(MachineConfig)})


def examined(config: ServerConfig, folder: Path) -> dict[str, Finding]:
    machine = SshMachine(config, Programs("gpu_server"), HostKeys(folder / "known_hosts"), Nobody())
    found: list[Finding] = []
    try:
        examination.examine(machine, config, found.append)
    finally:
        machine.close()
    assert len({one.check for one in found}) == len(found)
    return {one.check: one for one in found}


@pytest.mark.parametrize("ssh_server", ["embedded", "openssh-7.6"], indirect=True)
def test_of_every_kind_of_server(server_config: ServerConfig, tmp_path: Path) -> None:
    """And nothing is written on it."""
    found = examined(server_config, tmp_path)
    assert {"reach", "host_key", "authentication", "round_trip", "clock", "python", "disk", "inodes", "root", "torch", "cuda",
            "gpu_memory", "packages", "weights", "slurm", "max_startups", "shell"} == set(found)
    assert all(found[name].state == OK for name in ("reach", "host_key", "authentication", "clock", "python", "root", "torch"))
    assert not (tmp_path / "root").exists()


@ONE
def test_a_login_that_is_refused(server_config: ServerConfig, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    found = examined(dataclasses.replace(server_config, key_file=tmp_path / "other"), tmp_path)
    assert [(one.check, one.code) for one in found.values()] == [
        ("reach", None), ("host_key", None), ("authentication", "machine.auth")]
    found = examined(dataclasses.replace(server_config, key_file=None, password=Secret("another")), tmp_path)
    assert found["authentication"].code == "doctor.auth.password", "after that one no key is tried"


@ONE
@pytest.mark.parametrize(("changes", "check", "code"), [
    ({"host_key": None}, "host_key", "machine.host_key_unknown"),
    ({"host_key": "SHA256:another"}, "host_key", "doctor.host_key.config"),
    ({"host": "nowhere.invalid"}, "reach", "machine.unknown_host"),
])
def test_stages(changes: dict[str, Any], check: str, code: str, server_config: ServerConfig, tmp_path: Path) -> None:
    found = examined(dataclasses.replace(server_config, **changes), tmp_path)
    assert list(found)[-1] == check and found[check].code == code
    assert all(one.state == OK for name, one in found.items() if name != check)


@ONE
def test_without_a_python_clock_and_disk_are_told_all_the_same(server_config: ServerConfig, tmp_path: Path) -> None:
    found = examined(dataclasses.replace(server_config, python="/nowhere/python3"), tmp_path)
    assert found["python"].code == "doctor.python.config"
    assert found["clock"].state == OK and "GB" in found["disk"].figure
    for none in ("/bin/cat", "/bin/echo", "/bin/true"):
        found = examined(dataclasses.replace(server_config, python=none), tmp_path)
        assert found["python"].code == "doctor.python.config_nonsense" and "program" not in found


def test_an_account_for_sftp_alone(sftp_only_server: SshServer, tmp_path: Path) -> None:
    found = examined(as_server(config_for(sftp_only_server, str(tmp_path / "root"))), tmp_path)
    assert found["authentication"].state == OK and found["program"].code == "machine.no_answer"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "full"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "none", str(place)], check=True)
    try:
        (place / "root").mkdir()
        (place / "root" / "photographs").write_bytes(os.urandom(4 << 20)[:4 * 1000 * 1000])
        yield place / "root"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@ONE
@pytest.mark.root
def test_a_disk_that_is_full_is_still_examined(server_config: ServerConfig, full: Path, tmp_path: Path) -> None:
    """Nothing more fits there, not even our programs."""
    found = examined(dataclasses.replace(server_config, root=str(full)), tmp_path)
    assert found["disk"].code == "doctor.disk.full" and found["inodes"].code == "doctor.inodes.full"
    assert found["torch"].state == OK and found["disk"].params["free"] in found["disk"].text


LIES = [
    [{"type": "finding", "check": "x", "state": "terrible", "code": None, "figure": "", "params": {}}],
    [{"type": "finding", "check": "x", "state": "failure", "code": "doctor.qt.libraries", "figure": "", "params": {}}],
    [{"type": "finding", "check": "x" * 5000, "state": "ok", "code": None, "figure": "", "params": {}}],
    [{"type": "clock", "now": "yesterday"}], [{"type": "clock", "now": 1e300}], [{"type": 7}], [],
    [{"type": "clock", "now": 1.0}],
]


@ONE
@pytest.mark.parametrize("said", LIES, ids=range(len(LIES)))
def test_a_machine_that_lies_is_a_finding(said: list[dict[str, Any]], server_config: ServerConfig, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(json.dumps({"v": 1, **line}) + "\n" for line in said)

    def lie(machine: SshMachine, module: str, asked: bytes) -> SshChannel:
        transport = machine.connection.transport()
        return SshChannel.start(transport, f"printf '%s' '{lines}'", machine.name)

    monkeypatch.setattr(SshMachine, "exec_in_memory", lie)
    found = examined(server_config, tmp_path)
    assert found["program"].code in ("machine.nonsense", "machine.no_answer") and "x" not in found


@ONE
def test_one_that_never_ends_is_unknown(server_config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "ANSWER_S", 0.3)
    monkeypatch.setattr(SshMachine, "exec_in_memory", lambda machine, module, asked: SshChannel.start(
        machine.connection.transport(), "sleep 3", machine.name))
    found = examined(server_config, tmp_path)
    assert (found["program"].state, found["program"].code) == ("unknown", "doctor.unanswered")
    assert isinstance(MachineError(found["program"].code, **found["program"].params).what, str)
