"""Passwords in the keyring: kept once they have worked, for this machine and host key, and never in the way."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError
from ssh_servers import PASSWORD_SERVERS, REPOSITORY, Account, SshServer, embedded_server, make_key
from test_machine import config_for

from ai_nano.core.errors import AiNanoError
from ai_nano.core.ports import Answer
from ai_nano.core.room.config import MachineConfig, Secret
from ai_nano.core.room.known_hosts import HostKey
from ai_nano.machines import keyring_store
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.keyring_store import KeyringStore

ONE = pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)


class InMemory(KeyringBackend):
    """A keyring for the time of a test."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("no such password")


class Broken(InMemory):
    def _fail(self, *words: str) -> None:
        raise KeyringError("the daemon is gone")

    get_password = set_password = delete_password = _fail  # type: ignore[assignment]


class Silent(InMemory):
    """Never answers, until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.ended.wait(30)
        return None


class Person:
    def __init__(self, *answers: tuple[str, bool]) -> None:
        self.answers = list(answers)
        self.asked: list[bool] = []

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return True

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        self.asked.append(can_keep)
        return Answer(Secret(self.answers[0][0]), self.answers.pop(0)[1]) if self.answers else None


@pytest.fixture(autouse=True)
def no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def config(ssh_server: SshServer) -> MachineConfig:
    return replace(config_for(ssh_server, "x"), password=None, key_file=None)


@pytest.fixture
def log_in(tmp_path: Path) -> Callable[..., Person]:
    """One session with one connection; what the person was asked, each with whether the password can be kept."""

    def run(config: MachineConfig, backend: KeyringBackend | None, *answers: tuple[str, bool], refused: bool = False) -> Person:
        person = Person(*answers)
        keyring = KeyringStore(backend) if backend is not None else None
        connection = Connection(config, HostKeys(tmp_path / "known_hosts"), person, keyring)
        try:
            connection.transport()
            assert not refused
        except AiNanoError as error:
            assert refused and error.code in ("machine.auth", "machine.no_password")
        finally:
            connection.close()
        return person

    return run


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
def test_kept_if_the_person_agrees_and_then_not_asked_for(
        config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person]) -> None:
    right = str(ssh_server.password)
    backend = InMemory()
    assert log_in(config, backend, (right, False)).asked == [True] and backend.kept == {}
    assert log_in(config, backend, (right, True)).asked == [True]
    ((service, account), kept), = backend.kept.items()
    fingerprint = HostKey("DL", *ssh_server.host_key.split()[:2]).fingerprint
    assert (service, account, kept) == ("ai_nano", f"DL {ssh_server.user} {fingerprint}", right)
    assert log_in(config, backend).asked == []
    assert log_in(config, None, (right, True)).asked == [False], "without a keyring it is not offered"




@ONE
def test_a_password_that_does_not_work_is_not_kept(
        config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person]) -> None:
    backend = InMemory()
    log_in(config, backend, ("wrong", True), refused=True)
    assert backend.kept == {}


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
@pytest.mark.parametrize("keep", [True, False])
def test_a_kept_one_that_is_refused_is_asked_for_and_replaced(
        config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person], keep: bool) -> None:
    right = str(ssh_server.password)
    backend = InMemory()
    log_in(config, backend, (right, True))
    account, = backend.kept
    backend.kept[account] = "of last year"
    assert log_in(config, backend, refused=True).asked == [True] and backend.kept == {account: "of last year"}
    assert log_in(config, backend, ("wrong", keep), refused=True).asked == [True]
    assert backend.kept == {account: "of last year"}
    assert log_in(config, backend, (right, keep)).asked == [True]
    assert backend.kept == ({account: right} if keep else {})


@ONE
def test_a_password_is_for_this_machine_login_and_host_key(config: MachineConfig, ssh_server: SshServer,
                                                          log_in: Callable[..., Person], tmp_path: Path) -> None:
    """A stranger's room pack may call its machine DL, with another key: it must not get DL's password."""
    backend = InMemory()
    log_in(config, backend, (str(ssh_server.password), True))

    folder = tmp_path / "stranger"
    folder.mkdir()
    # It would take the same password, so that it is asked for only if it was not sent.
    account = Account(ssh_server.user, ssh_server.password, folder, folder / "authorized_keys")
    with embedded_server(folder, account, folder / "key") as stranger:
        same = replace(config, port=stranger.port, host_key=stranger.host_key)
        assert log_in(same, backend, refused=True).asked == [True]
    for other in (replace(config, name="nano1"), replace(config, login="somebody")):
        assert log_in(other, backend, refused=True).asked == [True]
    assert log_in(config, backend).asked == []


@ONE
def test_a_usual_key_that_is_refused_first_does_not_cost_the_kept_one(
        config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person], tmp_path: Path) -> None:
    """asyncssh hangs up on the second attempt of a connection: the password was not judged, and is tried on the next."""
    backend = InMemory()
    log_in(config, backend, (str(ssh_server.password), True))
    (tmp_path / ".ssh").mkdir()
    make_key(tmp_path / ".ssh" / "id_ed25519")
    assert log_in(config, backend).asked == []


@ONE
def test_a_password_of_the_config_asks_no_keyring(
        config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeyringStore, "_backend", lambda self: pytest.fail("asked"))
        assert log_in(replace(config, password=Secret(str(ssh_server.password))), InMemory()).asked == []
        assert log_in(replace(config, password=Secret("wrong")), InMemory(), refused=True).asked == []
        assert log_in(replace(config, key_file=ssh_server.key_file), InMemory()).asked == []


# ---- keyrings that are of no use -------------------------------------------------------------------------------------


@ONE
def test_a_keyring_that_fails_is_as_none_and_logged(config: MachineConfig, ssh_server: SshServer, log_in: Callable[..., Person],
                                                    caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    right = str(ssh_server.password)
    assert log_in(config, Broken(), (right, True)).asked == [True]
    assert "the keyring failed: KeyringError" in caplog.text and right not in caplog.text


@ONE
def test_a_keyring_that_never_answers_holds_nothing_up(config: MachineConfig, ssh_server: SshServer,
                                                       log_in: Callable[..., Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_store, "PATIENCE_WITHOUT_DESKTOP_S", 0.3)
    monkeypatch.setattr(keyring_store, "_has_desktop", lambda: False)
    backend = Silent()
    began = time.monotonic()
    assert log_in(config, backend, (str(ssh_server.password), True)).asked == [False]
    assert time.monotonic() - began < 5 and backend.kept == {}
    backend.ended.set()


def run_here(program: str, environment: dict[str, str], *before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", program], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["", "keyring.backends.null.Keyring", "no.such.Backend"])
def test_without_a_keyring_there_is_none_at_once(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    program = """
import time
from ai_nano.core.secret import Secret
from ai_nano.machines.keyring_store import KeyringStore
store = KeyringStore()
began = time.monotonic()
print(store.usable(), store.get("a"), time.monotonic() - began < 2)
store.keep("a", Secret("b"))
store.forget("a")
"""
    environment = {"HOME": str(tmp_path), **({"PYTHON_KEYRING_BACKEND": backend} if backend else {})}
    assert run_here(program, environment) == "False None True\n"


def test_the_library_is_imported_when_it_is_needed() -> None:
    program = "import ai_nano.lab, ai_nano.machines.connection, sys; print('keyring' in sys.modules)"
    assert run_here(program, {}) == "False\n"


# ---- the real one ----------------------------------------------------------------------------------------------------

REAL = """
from ai_nano.core.secret import Secret
from ai_nano.machines.keyring_store import KeyringStore, account
here, there = account("DL", "nano", "SHA256:a"), account("DL", "nano", "SHA256:b")
store = KeyringStore()
print(store.usable(), store.get(here))
store.keep(here, Secret("pässword 1"))
store.keep(here, Secret("pässword 2"))
print(KeyringStore().get(here) == "pässword 2", store.get(there))
store.forget(here)
print(KeyringStore().get(here))
"""


@pytest.fixture
def secret_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Words before a command which run it in a D-Bus session of its own with an unlocked keyring, and end all with it."""
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    unlock = 'printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null && "$@"'
    yield ["dbus-run-session", "--", "sh", "-c", unlock, "sh"]


@pytest.mark.keyring
def test_the_secret_service(secret_service: list[str]) -> None:
    assert run_here(REAL, {}, *secret_service).splitlines() == ["True None", "True None", "None"]


@pytest.mark.keyring
def test_a_session_whose_keyring_nobody_can_unlock_is_none(secret_service: list[str]) -> None:
    """As over SSH on a desktop computer: there is a daemon, and nobody to ask."""
    locked = [*secret_service[:-2], '"$@"', "sh"]
    program = """
import time
from ai_nano.machines.keyring_store import KeyringStore
began = time.monotonic()
print(KeyringStore().get("a"), time.monotonic() - began < 10)
"""
    assert run_here(program, {}, *locked) == "None True\n"
