"""Machines behind a jump host: what works, and whose fault it is when it does not."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_machines import python_of
from ssh_servers import Account, SshServer, make_key, start_server
from test_states import BOTH, Desk, Person, Worker, at_once, server_config, takes, wait_until

from ai_nano import lab
from ai_nano.core.errors import AiNanoError, HostKeyError, MachineError
from ai_nano.core.ports import MachineReport, MachineState
from ai_nano.core.room.config import Config, NanoConfig, Secret
from ai_nano.machines import connection
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys


def no_user() -> Account:
    raise AssertionError("this kind has no user of its own")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """The server behind, of another kind and key than the jump host."""
    with start_server("openssh-7.6", tmp_path_factory.mktemp("target"), True, no_user) as server:
        yield server


def nano(server: SshServer, via: str | None, name: str = "nano1", port: int | None = None) -> NanoConfig:
    return NanoConfig(name, server.host, server.user, None, port or server.port, server.key_file, via=via,
                      host_key=server.host_key, root=str(server.key_file.parent / "root"), python=python_of(server))


def report(room: lab.Lab, name: str) -> MachineReport:
    return next(one for one in room.machine_reports() if one.name == name)


def error_of(use: Callable[[], object]) -> AiNanoError:
    with pytest.raises(AiNanoError) as caught:
        use()
    assert caught.value.what and caught.value.hint and "{" not in str(caught.value)
    return caught.value


def transport_of(room: lab.Lab, name: str) -> object:
    return room._machines[name].connection.transport()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Callable[..., lab.Lab]]:
    """Makes rooms, whose known_hosts lies in tmp_path; they are closed at the end."""
    made: list[lab.Lab] = []

    def make(jump: SshServer, *nanos: NanoConfig, person: Person | None = None, **changes: object) -> lab.Lab:
        server = replace(server_config(jump, str(jump.key_file.parent / "root")), **changes)  # type: ignore[arg-type]
        made.append(lab.build_lab(Config(server, nanos), person or at_once(), tmp_path))
        return made[-1]

    yield make
    for room in made:
        room.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


# ---- the way through -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_a_machine_of_the_room_is_the_jump_host(
        ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(ssh_server, nano(target, "DL"), nano(target, "nano1", "nano2"))
    assert "free_bytes" in room.nano("nano1").store("free")
    assert [one.state for one in room.machine_reports()] == [
        MachineState.CONNECTED, MachineState.CONNECTED, MachineState.UNKNOWN]
    shared = transport_of(room, "DL")
    assert "free_bytes" in room.nano("nano2").store("free") and "free_bytes" in room.server.store("free")
    assert {one.state for one in room.machine_reports()} == {MachineState.CONNECTED}
    assert transport_of(room, "DL") is shared, "one connection, for its own work and as a way"
    room.look_around()
    assert {one.state for one in room.machine_reports()} == {MachineState.CONNECTED}


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_a_jump_host_that_only_via_names(ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab],
                                         tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is pinned as OpenSSH does it, its login tries the usual keys, and it is shared too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(ssh_server.key_file.read_bytes())
    via = f"{ssh_server.user}@127.0.0.1:{ssh_server.port}"
    person = at_once(trusts=True)
    room = rooms(ssh_server, nano(target, via), nano(target, via, "nano2"), person=person)
    for name in ("nano1", "nano2"):
        assert "free_bytes" in room.nano(name).store("free")
    assert person.questions == ["host key"] and report(room, "DL").state is MachineState.UNKNOWN
    known = (tmp_path / "known_hosts").read_text()
    assert known == f"[127.0.0.1]:{ssh_server.port} {' '.join(ssh_server.host_key.split()[:2])}\n"
    room.close()
    stranger = f"[127.0.0.1]:{ssh_server.port} {' '.join(make_key(tmp_path / 'other').split()[:2])}\n"
    (tmp_path / "known_hosts").write_text(stranger)
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert error.code == "machine.host_key_changed" and error.params["machine"] == f"[127.0.0.1]:{ssh_server.port}"


def test_the_test_button_goes_by_the_rooms_jump_host(target: SshServer, desk: Desk, tmp_path: Path) -> None:
    room = Config(server_config(desk.start()), ())
    facts = lab.test_machine(nano(target, "DL"), "jetson_nano", at_once(), tmp_path, room)
    assert facts.name == "nano1" and facts.round_trip_s > 0


# ---- whose fault it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_the_jump_host_is_there_and_the_machine_is_not(
        ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab], unused_port: int) -> None:
    room = rooms(ssh_server, nano(target, "DL", port=unused_port))
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert (error.code, error.exit_code, error.params["machine"], error.params["via"]) == (
        "machine.via_unreachable", 3, "nano1", "DL")
    assert report(room, "DL").state is MachineState.CONNECTED
    assert report(room, "nano1") == MachineReport("nano1", MachineState.ABSENT, error)


def test_a_jump_host_that_lets_nobody_through(
        sftp_only_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(sftp_only_server, nano(target, "DL"))
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert (error.code, error.params["machine"], error.params["via"]) == ("machine.via_forbidden", "nano1", "DL")


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_a_wrong_password_at_the_jump_host(ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(ssh_server, nano(target, "DL"), password=Secret("wrong"), key_file=None)
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert (error.code, error.params["machine"]) == ("machine.auth", "DL") and "DL" in error.what
    assert report(room, "DL") == MachineReport("DL", MachineState.REFUSED, error)
    assert report(room, "nano1") == MachineReport("nano1", MachineState.ABSENT, error)


def test_a_jump_host_that_is_not_there(desk: Desk, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    server = desk.start()
    desk.stop()
    room = rooms(server, nano(target, "DL"))
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert (error.code, error.params["machine"]) == ("machine.refused", "DL")
    assert report(room, "nano1").state is MachineState.ABSENT
    room.look_around()
    about = report(room, "nano1")
    assert about.state is MachineState.ABSENT and about.error is not None and about.error.code == "machine.via_absent"
    desk.start()
    room.look_around()
    assert report(room, "DL").state is MachineState.REACHABLE
    assert report(room, "nano1") == MachineReport("nano1", MachineState.UNKNOWN)


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_another_host_key_behind_the_jump_host(ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(ssh_server, replace(nano(target, "DL"), host_key=ssh_server.host_key))
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert isinstance(error, HostKeyError) and error.params["machine"] == "nano1"
    assert report(room, "nano1").state is MachineState.REFUSED and report(room, "DL").state is MachineState.CONNECTED


# ---- it dies, it is closed -------------------------------------------------------------------------------------------


def sessions_of(server: SshServer) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_a_jump_host_whose_connection_dies_in_use(
        ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(ssh_server, nano(target, "DL"))
    room.nano("nano1").store("free")
    for pid in sessions_of(ssh_server):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: {one.state for one in room.machine_reports()} == {MachineState.LOST})
    about = report(room, "nano1").error
    assert about is not None and about.code == "machine.via_lost" and "DL" in str(about)
    room.look_around()
    assert [one.state for one in room.machine_reports()] == [MachineState.REACHABLE, MachineState.UNKNOWN]
    assert "free_bytes" in room.nano("nano1").store("free")
    assert {one.state for one in room.machine_reports()} == {MachineState.CONNECTED}


def test_a_jump_host_that_is_switched_off_and_on(desk: Desk, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    room = rooms(desk.start(), nano(target, "DL"))
    room.nano("nano1").store("free")
    desk.stop()
    wait_until(lambda: {one.state for one in room.machine_reports()} == {MachineState.LOST})
    error = error_of(lambda: room.nano("nano1").store("free"))
    assert (error.code, error.params["machine"]) == ("machine.refused", "DL")
    assert report(room, "nano1").state is MachineState.LOST
    desk.start()
    assert "free_bytes" in room.nano("nano1").store("free")


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
@pytest.mark.parametrize("asks", ["DL", "nano1"])
def test_closing_while_either_opens_waits_for_nobody(
        ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab], asks: str) -> None:
    """The person is asked for the host key of the jump host, or of the machine behind it."""
    person = Person(trusts=True)
    behind = nano(target, "DL")
    if asks == "DL":
        room = rooms(ssh_server, behind, person=person, host_key=None)
    else:
        room = rooms(ssh_server, replace(behind, host_key=None), person=person)
    first = Worker(lambda: room.nano("nano1").store("free"))
    assert person.asked.acquire(timeout=20)
    second = Worker(lambda: room.nano("nano1").store("free"))
    assert report(room, "nano1").state is MachineState.CONNECTING
    assert takes(room.close) < 1
    waited = second.end()
    assert isinstance(waited, MachineError) and waited.code == "machine.lost"
    assert {one.state for one in room.machine_reports()} == {MachineState.UNKNOWN}
    person.may_answer.set()
    assert isinstance(first.end(), MachineError) and person.questions == ["host key"]


def test_a_jump_host_that_says_nothing_is_given_up_at_once(target: SshServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keys = HostKeys(tmp_path / "known_hosts")
        port = silent.getsockname()[1]
        gate = Connection(replace(nano(target, None, "gate"), port=port), keys, at_once())
        behind = Connection(nano(target, "gate"), keys, at_once(), jump=gate)
        worker = Worker(behind.transport)
        wait_until(lambda: gate.state is MachineState.CONNECTING)
        assert takes(gate.close) < 1 and takes(behind.close) < 1
        assert isinstance(worker.end(), MachineError)


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_many_behind_one_jump_host_at_once(ssh_server: SshServer, target: SshServer, rooms: Callable[..., lab.Lab]) -> None:
    """One login at the jump host, also when all come at the same moment; more than sshd's MaxSessions (10)."""
    names = [f"nano{number}" for number in range(1, 13)]
    room = rooms(ssh_server, *(nano(target, "DL", name) for name in names))
    opened: list[int] = []
    real = connection.Connection._open
    lock = threading.Lock()

    def counted(self: Connection, attempt: object) -> object:
        with lock:
            opened.append(self.machine.name == "DL")
        return real(self, attempt)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.Connection, "_open", counted)
        workers = [Worker(room._machine(room.nano_config(name), "jetson_nano").connection.transport) for name in names]
        outcomes = [worker.end() for worker in workers]
    assert not [one for one in outcomes if isinstance(one, AiNanoError)]
    assert sum(opened) == 1 and len(opened) == 13
