"""Links that die without a word: the connection is LOST soon, and one that is only quiet stays."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_machines import config_for
from ssh_servers import Account, Network, SshServer, make_key, make_network, openssh_server, start_server
from test_states import BOTH, at_once

from ai_nano.core.ports import MachineState
from ai_nano.machines import link
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys

KEEPALIVE_S, DEAD_S = 0.5, 2.0


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "KEEPALIVE_S", KEEPALIVE_S)
    monkeypatch.setattr(link, "DEAD_S", DEAD_S)


@contextmanager
def opened(server: SshServer, folder: Path, jump: Connection | None = None, name: str = "DL") -> Iterator[Connection]:
    config = replace(config_for(server, "ai_nano"), name=name, host_key=server.host_key)
    connection = Connection(config, HostKeys(folder / "known_hosts"), at_once(), jump=jump)
    connection.transport()
    try:
        yield connection
    finally:
        connection.close()


def lost_after(connection: Connection) -> float:
    began = time.monotonic()
    while connection.state is not MachineState.LOST:
        assert time.monotonic() - began < 3 * DEAD_S, "nobody noticed"
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that do nothing more, while the kernel goes on acknowledging what is sent to them."""
    try:
        for pid in pids:
            _tell(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            _tell(pid, signal.SIGCONT)


def _tell(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the session of a connection of before has just ended
        os.kill(pid, what)


def processes_of(server: SshServer) -> list[int]:
    """The listening one and all below it."""
    found = [server.pid or 0]
    for pid in found:
        with suppress(FileNotFoundError, ProcessLookupError):  # that of a connection of before has just ended
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


@pytest.fixture
def away(tmp_path: Path) -> Iterator[tuple[SshServer, Network]]:
    """An sshd in another network."""
    with make_network() as network:
        key = tmp_path / "key"
        (tmp_path / "authorized_keys").write_text(make_key(key) + "\n")
        account = Account("root", None, Path("/root"), tmp_path / "authorized_keys")
        with openssh_server(tmp_path, "openssh-key", account, key, True, network=network) as server:
            yield server, network


# ---- quiet is not dead -----------------------------------------------------------------------------------------------


def test_a_machine_that_has_nothing_to_say_is_asked_and_stays(ssh_server: SshServer, tmp_path: Path) -> None:
    with opened(ssh_server, tmp_path) as connection:
        transport = connection.transport()
        time.sleep(2 * DEAD_S)
        assert connection.state is MachineState.CONNECTED and connection.transport() is transport


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_behind_a_jump_host_too(ssh_server: SshServer, tmp_path: Path) -> None:
    with opened(ssh_server, tmp_path, name="gate") as gate, opened(ssh_server, tmp_path, jump=gate) as connection:
        time.sleep(2 * DEAD_S)
        assert (gate.state, connection.state) == (MachineState.CONNECTED, MachineState.CONNECTED)


# ---- dead is noticed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_a_server_that_stands_still(ssh_server: SshServer, tmp_path: Path) -> None:
    """Its kernel acknowledges all, so TCP sees nothing."""
    with opened(ssh_server, tmp_path) as connection:
        with stopped(*processes_of(ssh_server)):
            assert lost_after(connection) < DEAD_S + 1.5
        connection.transport()
        assert connection.state is MachineState.CONNECTED


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_a_write_that_hangs_is_let_go(ssh_server: SshServer, tmp_path: Path) -> None:
    """More than all buffers hold: who sends holds paramiko's lock."""
    with opened(ssh_server, tmp_path) as connection:
        channels = [connection.transport().open_session(timeout=10) for _ in range(8)]
        for channel in channels:
            channel.exec_command("cat > /dev/null")
        with stopped(*processes_of(ssh_server)):
            began = time.monotonic()
            with pytest.raises((OSError, EOFError)):
                for channel in channels:
                    channel.settimeout(3 * DEAD_S)
                    channel.sendall(b"x" * 2_000_000)
            assert time.monotonic() - began < DEAD_S + 2 and connection.state is MachineState.LOST


def test_a_jump_host_that_stands_still(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def nobody() -> Account:
        raise AssertionError

    with start_server("embedded", tmp_path_factory.mktemp("gate"), True, nobody) as jump, start_server(
            "openssh-key", tmp_path_factory.mktemp("behind"), True, nobody) as server:
        with opened(jump, tmp_path, name="gate") as gate, opened(server, tmp_path, jump=gate) as connection:
            with stopped(*processes_of(jump)):
                assert max(lost_after(gate), lost_after(connection)) < DEAD_S + 1.5
                error = connection.report.error
                assert error is not None and error.code == "machine.via_lost"
            connection.transport()
            assert (gate.state, connection.state) == (MachineState.CONNECTED, MachineState.CONNECTED)


@pytest.mark.root
def test_a_network_that_goes_silent(away: tuple[SshServer, Network], tmp_path: Path) -> None:
    server, network = away
    with opened(server, tmp_path) as connection:
        network.go_silent()
        assert lost_after(connection) < DEAD_S + 1.5


@pytest.mark.root
def test_a_network_that_goes_silent_is_noticed_by_the_kernel_alone(
        away: tuple[SshServer, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "watch", lambda *words: None)
    server, network = away
    with opened(server, tmp_path) as connection:
        network.go_silent()
        # Whole seconds: keepalives after 1 s, given up when nothing was heard for DEAD_S.
        assert lost_after(connection) < 3 * DEAD_S
