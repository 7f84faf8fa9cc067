"""A password is in no log, error, traceback or process list, whatever goes wrong."""

import io
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import paramiko
import pytest
from rich.console import Console
from rich.traceback import Traceback
from ssh_machines import config_for, connect
from ssh_servers import PASSWORD_SERVERS, SshServer

from ai_nano.core.errors import AiNanoError
from ai_nano.core.ports import Answer
from ai_nano.core.room.config import MachineConfig, Secret
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys

# Longer than what rich shows of a string, so that it cuts it.
WRONG = "wrong-and-secret-" + 10 * "0123456789"
pytestmark = pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)


class Person:
    """Is asked, and types this."""

    def __init__(self, password: Secret) -> None:
        self.answer = Answer(password)

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> Answer:
        return self.answer


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is ever said, paramiko's packets too."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "paramiko")
    return caplog


@pytest.fixture
def config(ssh_server: SshServer) -> MachineConfig:
    return replace(config_for(ssh_server, "ai_nano"), key_file=None, password=None)


def frames(error: BaseException | None) -> Iterator[TracebackType]:
    """Of the error and all that caused it, those of our code and paramiko's."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if "/tests/" not in name and ("/ai_nano/" in name or "/paramiko/" in name):
                yield trace
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("asked", [True, False])
def test_a_refused_password(config: MachineConfig, log: pytest.LogCaptureFixture, tmp_path: Path, asked: bool,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    connection = Connection(config if asked else replace(config, password=Secret(WRONG)), HostKeys(tmp_path / "known_hosts"),
                            Person(Secret(WRONG)))
    with pytest.raises(AiNanoError) as caught:
        connection.transport()
    error = caught.value
    shown = io.StringIO()
    own = list(frames(error))
    assert error.code == "machine.auth" and len(own) > 3
    Console(file=shown, width=200).print(Traceback.from_exception(type(error), error, own[0], show_locals=True))
    told = [log.text, str(error), repr(error), repr(error.params), str(error.to_json()), shown.getvalue(),
            *(repr(value) for trace in own for value in trace.tb_frame.f_locals.values())]
    assert "'***'" in shown.getvalue() and "userauth is OK" in log.text, "nothing is shown: this tests nothing"
    assert not [text for text in told if WRONG[:17] in text]
    # Nor is it there as a plain string, which another tool may show.
    assert not [one for trace in own for one in trace.tb_frame.f_locals.values() if type(one) is str and one == WRONG]


def test_in_paramikos_hands_it_stays_hidden(config: MachineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks there has it in its local variables."""
    given: list[object] = []

    def broken(self: paramiko.Transport, username: str, password: str) -> None:
        given.append(password)
        raise paramiko.SSHException("broken")

    monkeypatch.setattr(paramiko.Transport, "auth_password", broken)
    with pytest.raises(AiNanoError) as caught:
        Connection(replace(config, password=Secret(WRONG)), HostKeys(tmp_path / "known_hosts"), Person(Secret(""))).transport()
    assert [type(one) for one in given] == [Secret] and given == [WRONG]
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert WRONG not in told


def test_while_it_works(ssh_server: SshServer, log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """And in no process's command line or environment, here or there."""
    password = str(ssh_server.password)
    machine = connect(config_for(ssh_server, str(tmp_path / "x") if ssh_server.kind == "embedded" else "x"), tmp_path)
    try:
        machine.store("free")
        assert "userauth is OK" in log.text and password not in log.text
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                for name in ("cmdline", "environ"):
                    try:
                        if password.encode() in (entry / name).read_bytes():
                            found.append(f"{entry}/{name}")
                    except OSError:  # gone meanwhile, or another user's
                        pass
        assert found == []
    finally:
        machine.close()
