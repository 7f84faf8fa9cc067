"""Reaching a machine, knowing it, and logging in: every refusal has its words and exit code 3."""

import base64
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from ssh_machines import config_for
from ssh_servers import OLD_TOO, PASSWORD_SERVERS, SshServer, make_key

from ai_nano.core.errors import AiNanoError, ConfigError, HostKeyError, MachineError
from ai_nano.core.ports import Answer
from ai_nano.core.room.config import MachineConfig, Secret
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys, fingerprint


class Person:
    """Answers as it was told, and remembers what it was asked."""

    def __init__(self, trusts: bool = False, password: str | None = None) -> None:
        self.trusts = trusts
        self.known_password = password
        self.asked: list[tuple[str, ...]] = []

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        self.asked.append((machine, kind, fingerprint))
        return self.trusts

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        self.asked.append((machine, login))
        return Answer(Secret(self.known_password)) if self.known_password else None


@pytest.fixture
def config(ssh_server: SshServer) -> MachineConfig:
    return config_for(ssh_server, "ai_nano")


def attempt(config: MachineConfig, folder: Path, person: Person | None = None) -> None:
    """Connect, and be no longer connected afterwards."""
    connection = Connection(config, HostKeys(folder / "known_hosts"), person or Person())
    try:
        assert connection.transport().is_authenticated()
        assert connection.transport() is connection.transport()
    finally:
        connection.close()


def refusal(config: MachineConfig, folder: Path, person: Person | None = None) -> AiNanoError:
    with pytest.raises(AiNanoError) as caught:
        attempt(config, folder, person)
    assert caught.value.what and caught.value.hint
    return caught.value


# ---- host keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_a_pinned_key_or_fingerprint_is_enough(config: MachineConfig, ssh_server: SshServer, tmp_path: Path) -> None:
    attempt(config, tmp_path)
    kind, data = ssh_server.host_key.split()[:2]
    key = paramiko.PKey.from_type_string(kind, base64.b64decode(data))
    attempt(replace(config, host_key=fingerprint(key)), tmp_path)


def test_an_unknown_key_is_refused_unless_somebody_vouches_for_it_once(config: MachineConfig, tmp_path: Path) -> None:
    unknown = replace(config, host_key=None)
    error = refusal(unknown, tmp_path, stranger := Person(trusts=False))
    assert (error.code, error.exit_code) == ("machine.host_key_unknown", 3) and isinstance(error, HostKeyError)
    assert str(error.params["fingerprint"]).startswith("SHA256:") and stranger.asked[0][2] == error.params["fingerprint"]
    assert not (tmp_path / "known_hosts").exists()
    attempt(unknown, tmp_path, friend := Person(trusts=True))
    assert len(friend.asked) == 1 and (tmp_path / "known_hosts").stat().st_mode & 0o777 == 0o600
    attempt(unknown, tmp_path, nobody := Person())
    assert nobody.asked == []
    # Pinned under the machine's name: the same address with another name is another machine.
    assert refusal(replace(unknown, name="nano7"), tmp_path).code == "machine.host_key_unknown"


@pytest.mark.parametrize("where", ["config", "known_hosts"])
def test_a_changed_key_stops_the_work_whatever_is_answered(config: MachineConfig, tmp_path: Path, where: str) -> None:
    other = " ".join(make_key(tmp_path / "other").split()[:2])
    if where == "config":
        changed = replace(config, host_key=other)
    else:
        changed = replace(config, host_key=None)
        (tmp_path / "known_hosts").write_text(f"{config.name} {other}\n")
    error = refusal(changed, tmp_path, person := Person(trusts=True, password=str(config.password)))
    assert (error.code, error.exit_code, person.asked) == ("machine.host_key_changed", 3, [])


def test_a_host_key_that_is_none(config: MachineConfig, tmp_path: Path) -> None:
    error = refusal(replace(config, host_key="AAAA"), tmp_path)
    assert error.code == "config.host_key" and isinstance(error, ConfigError)


# ---- logging in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
def test_a_key_file_logs_in(config: MachineConfig, ssh_server: SshServer, tmp_path: Path) -> None:
    attempt(replace(config, password=None, key_file=ssh_server.key_file), tmp_path)


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
def test_a_password_logs_in(config: MachineConfig, ssh_server: SshServer, tmp_path: Path) -> None:
    assert ssh_server.password is not None
    attempt(replace(config, password=Secret(ssh_server.password), key_file=None), tmp_path)


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
def test_without_a_password_it_is_asked_for(
        config: MachineConfig, ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no keys of whoever runs the tests
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    asking = replace(config, password=None, key_file=None)
    attempt(asking, tmp_path, person := Person(password=ssh_server.password))
    assert person.asked == [("DL", ssh_server.user)]
    nobody = refusal(asking, tmp_path, Person(password=None))
    assert (nobody.code, nobody.exit_code) == ("machine.no_password", 3) and "terminal" in nobody.hint


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
def test_a_wrong_password_is_refused_and_never_shown(
        config: MachineConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = refusal(replace(config, password=Secret("wrong-and-secret")), tmp_path)
    assert (error.code, error.exit_code) == ("machine.auth", 3) and isinstance(error, MachineError)
    assert "wrong-and-secret" not in caplog.text + str(error) + repr(error.__cause__) + repr(error.params)


def test_a_wrong_key_is_refused(config: MachineConfig, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    assert refusal(replace(config, password=None, key_file=tmp_path / "stranger"), tmp_path).code == "machine.auth"


def test_a_wrong_user_is_refused(config: MachineConfig, ssh_server: SshServer, tmp_path: Path) -> None:
    wrong = replace(config, login="nobody-at-all", password=None, key_file=ssh_server.key_file)
    assert refusal(wrong, tmp_path).code == "machine.auth"


def test_key_files_that_cannot_be_used(config: MachineConfig, tmp_path: Path) -> None:
    assert refusal(replace(config, key_file=tmp_path / "none"), tmp_path).code == "machine.key_missing"
    (tmp_path / "text").write_text("hello")
    assert refusal(replace(config, key_file=tmp_path / "text"), tmp_path).code == "machine.key_unreadable"


# ---- reaching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_nobody_listens(tmp_path: Path, closed_port: int) -> None:
    error = refusal(MachineConfig("DL", "127.0.0.1", "nano", port=closed_port), tmp_path)
    assert (error.code, error.exit_code) == ("machine.refused", 3)


def test_no_such_host(tmp_path: Path) -> None:
    assert refusal(MachineConfig("DL", "no-such-host.invalid", "nano"), tmp_path).code == "machine.unknown_host"


def test_something_else_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.machines.connection.CONNECT_TIMEOUT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer() -> None:
            client, _ = server.accept()
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        error = refusal(MachineConfig("DL", "127.0.0.1", "nano", port=server.getsockname()[1]), tmp_path)
        thread.join()
    assert (error.code, error.exit_code) == ("machine.not_ssh", 3)
