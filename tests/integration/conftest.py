"""Fixtures with running SSH servers; what they are is told in ssh_servers.py."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import paramiko
import pytest
from slurm_room import SlurmRoom, running_slurm
from ssh_machines import config_for, connect
from ssh_servers import SERVERS, SFTP_ONLY, Account, SshServer, make_throwaway_user, start_server

from ai_nano.machines.ssh_machine import SshMachine


@pytest.fixture(scope="session")
def throwaway_user() -> Iterator[Account]:
    """A user of this computer with a password, made for the session and removed after it. Needs root."""
    with make_throwaway_user() as account:
        yield account


@pytest.fixture(scope="session")
def slurm_room() -> Iterator[SlurmRoom]:
    """A real Slurm, for the session; starts when it is first wanted. Needs root."""
    with running_slurm() as room:
        yield room


def _start(request: pytest.FixtureRequest, folders: pytest.TempPathFactory, sftp: bool) -> AbstractContextManager[SshServer]:
    return start_server(request.param, folders.mktemp(request.param), sftp, lambda: request.getfixturevalue("throwaway_user"))


@pytest.fixture(scope="module", params=SERVERS)
def ssh_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A running SSH server with SFTP, one after the other of SERVERS."""
    with _start(request, tmp_path_factory, sftp=True) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def ssh_server_without_sftp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Like `ssh_server`, but SFTP is refused."""
    with _start(request, tmp_path_factory, sftp=False) as server:
        yield server


@pytest.fixture(scope="module", params=SFTP_ONLY)
def sftp_only_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A running SSH server whose account can do nothing but SFTP: no command, no forwarding."""
    with _start(request, tmp_path_factory, sftp=True) as server:
        yield server


@pytest.fixture
def ssh_client(ssh_server: SshServer) -> Iterator[paramiko.SSHClient]:
    """A client logged in to `ssh_server` by key."""
    client = ssh_server.connect()
    yield client
    client.close()


@pytest.fixture
def remote_folder(ssh_server: SshServer, ssh_client: paramiko.SSHClient) -> Iterator[str]:
    """An empty folder in the home on the server, as a relative path; removed after the test."""
    name = f"ai_nano-test-{secrets.token_hex(6)}"
    folder = ssh_server.home / name
    _, output, _ = ssh_client.exec_command(f"mkdir {name}")
    assert output.channel.recv_exit_status() == 0
    yield name
    shutil.rmtree(folder)


@pytest.fixture
def machine(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> Iterator[SshMachine]:
    """Connected by the login's password where it has one, else by key; ROOT is an empty folder there."""
    made = connect(config_for(ssh_server, f"{remote_folder}/ai nano"), tmp_path)
    yield made
    made.close()


@pytest.fixture
def root(ssh_server: SshServer, remote_folder: str) -> Path:
    return ssh_server.home / remote_folder / "ai nano"
