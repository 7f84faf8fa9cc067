"""What a status bar says of a machine, and a form's test button, with real servers; nothing waits for a person."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_machines import config_for, python_of
from ssh_servers import Account, SshServer, embedded_server, make_key

from ai_nano import lab
from ai_nano.core.errors import AiNanoError, HostKeyError, MachineError
from ai_nano.core.ports import Answer, MachineState
from ai_nano.core.room.config import Config, NanoConfig, Secret, ServerConfig
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys

BOTH = ["embedded", "openssh-key"]


class Person:
    """Answers when it is told to; until then the question stays open."""

    def __init__(self, password: str | None = None, trusts: bool = False) -> None:
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.questions: list[str] = []
        self._password, self._trusts = password, trusts

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        self._wait("host key")
        return self._trusts

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        self._wait("password")
        return Answer(Secret(self._password)) if self._password else None

    def _wait(self, question: str) -> None:
        self.questions.append(question)
        self.asked.release()
        assert self.may_answer.wait(30), "nobody let the person answer"


def at_once(password: str | None = None, trusts: bool = False) -> Person:
    person = Person(password, trusts)
    person.may_answer.set()
    return person


class Worker:
    """A thread that uses a connection; `outcome` is what it got or the error."""

    def __init__(self, use: Callable[[], object]) -> None:
        self._use = use
        self.outcome: object = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self._use()
        except AiNanoError as error:
            self.outcome = error

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> object:
        self._thread.join(20)
        assert not self.busy
        return self.outcome


class Desk:
    """An embedded server that can be stopped and started again at the same port, with the same host key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "home").mkdir()
        self._account = Account("nano", secrets.token_urlsafe(18), folder / "home", folder / "authorized_keys")
        self._account.authorized_keys.write_text(make_key(folder / "key") + "\n")
        self._stack = ExitStack()
        self.server: SshServer | None = None

    def start(self) -> SshServer:
        port = ["--port", str(self.server.port)] if self.server else []
        self.server = self._stack.enter_context(embedded_server(self._folder, self._account, self._folder / "key", *port))
        return self.server

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


def server_config(server: SshServer, root: str = "ai_nano") -> ServerConfig:
    machine = config_for(server, root)
    return ServerConfig(machine.name, machine.host, machine.login, machine.password, machine.port, machine.key_file,
                        host_key=machine.host_key, root=root, python=python_of(server))


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def takes(use: Callable[[], object]) -> float:
    began = time.monotonic()
    use()
    return time.monotonic() - began


# ---- states ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_stopped_and_started_again(desk: Desk, tmp_path: Path) -> None:
    server = desk.start()
    room = lab.build_lab(Config(server_config(server), ()), at_once(), tmp_path)

    def state() -> MachineState:
        return room.machine_reports()[0].state

    assert state() is MachineState.UNKNOWN
    room.look_around()
    assert state() is MachineState.REACHABLE
    room.server.store("models")
    assert state() is MachineState.CONNECTED
    room.look_around()
    assert state() is MachineState.CONNECTED
    desk.stop()
    wait_until(lambda: state() is MachineState.LOST)
    with pytest.raises(MachineError) as caught:
        room.server.store("models")
    report = room.machine_reports()[0]
    assert report.state is MachineState.LOST and report.error is caught.value and caught.value.code == "machine.refused"
    room.look_around()
    assert state() is MachineState.LOST
    desk.start()
    room.look_around()
    assert state() is MachineState.REACHABLE
    room.server.store("models")
    assert state() is MachineState.CONNECTED
    room.close()
    assert room.machine_reports()[0].state is not MachineState.CONNECTED


def test_a_machine_that_was_never_there_is_absent(desk: Desk, tmp_path: Path) -> None:
    server = desk.start()
    desk.stop()
    room = lab.build_lab(Config(server_config(server), ()), at_once(), tmp_path)
    with pytest.raises(MachineError):
        room.server.store("models")
    report = room.machine_reports()[0]
    assert report.state is MachineState.ABSENT and report.error is not None and report.error.code == "machine.refused"
    desk.start()
    room.look_around()
    assert room.machine_reports()[0].state is MachineState.REACHABLE
    room.close()


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_refused_and_then_let_in(ssh_server: SshServer, tmp_path: Path) -> None:
    unknown = replace(config_for(ssh_server, "ai_nano"), host_key=None)
    connection = Connection(unknown, HostKeys(tmp_path / "known_hosts"), at_once(trusts=False))
    with pytest.raises(HostKeyError) as caught:
        connection.transport()
    assert connection.state is MachineState.REFUSED and connection.report.error is caught.value
    make_key(tmp_path / "stranger")
    wrong = replace(unknown, password=None, key_file=tmp_path / "stranger", host_key=ssh_server.host_key)
    other = Connection(wrong, HostKeys(tmp_path / "known_hosts"), at_once())
    with pytest.raises(MachineError):
        other.transport()
    assert other.state is MachineState.REFUSED
    friend = Connection(unknown, HostKeys(tmp_path / "known_hosts"), at_once(trusts=True))
    friend.transport()
    assert friend.state is MachineState.CONNECTED and friend.report.error is None
    friend.close()
    assert friend.state is MachineState.UNKNOWN


# ---- while a person is asked -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_while_a_question_is_open_states_are_told_and_another_thread_waits(ssh_server: SshServer, tmp_path: Path) -> None:
    config = replace(server_config(ssh_server), host_key=None)
    person = Person(trusts=True)
    room = lab.build_lab(Config(config, (NanoConfig("nano1", "127.0.0.1", "x", port=1),)), person, tmp_path)
    workers = [Worker(lambda: room.server.store("models"))]
    assert person.asked.acquire(timeout=20)
    workers.append(Worker(lambda: room.server.store("free")))
    assert takes(room.machine_reports) < 0.5
    assert [one.state for one in room.machine_reports()] == [MachineState.CONNECTING, MachineState.UNKNOWN]
    assert takes(room.look_around) < 5, "it asks only the others"
    time.sleep(0.3)
    assert all(worker.busy for worker in workers)
    person.may_answer.set()
    assert all(isinstance(worker.end(), dict) for worker in workers), [worker.outcome for worker in workers]
    assert person.questions == ["host key"], "asked once, for both"
    room.close()


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
@pytest.mark.parametrize("question", ["host key", "password"])
def test_closing_does_not_wait_for_a_person(ssh_server: SshServer, tmp_path: Path, question: str) -> None:
    make_key(tmp_path / "stranger")
    config = replace(server_config(ssh_server), host_key=None) if question == "host key" else replace(
        server_config(ssh_server), password=None, key_file=tmp_path / "stranger")
    person = Person(password="wrong", trusts=True)
    room = lab.build_lab(Config(config, ()), person, tmp_path)
    first = Worker(lambda: room.server.store("models"))
    assert person.asked.acquire(timeout=20)
    second = Worker(lambda: room.server.store("free"))
    time.sleep(0.2)
    assert takes(room.close) < 1
    waited = second.end()
    assert isinstance(waited, MachineError) and waited.code == "machine.lost"
    assert room.machine_reports()[0].state is MachineState.UNKNOWN
    person.may_answer.set()
    given_up = first.end()
    assert isinstance(given_up, MachineError) and given_up.code == "machine.lost"
    assert person.questions == [question], "nothing more is asked after closing"


def test_after_a_close_the_next_use_connects_anew_beside_the_open_question(desk: Desk, tmp_path: Path) -> None:
    """The late answer must not replace the newer connection."""
    server = desk.start()
    person = Person(trusts=True)
    connection = Connection(replace(config_for(server, "ai_nano"), host_key=None), HostKeys(tmp_path / "known_hosts"), person)
    first = Worker(connection.transport)
    assert person.asked.acquire(timeout=20)
    connection.close()
    second = Worker(connection.transport)
    assert person.asked.acquire(timeout=20)
    person.may_answer.set()
    assert isinstance(first.end(), MachineError)
    assert second.end() is connection.transport() and connection.state is MachineState.CONNECTED
    connection.close()


@pytest.mark.parametrize("question", ["host key", "password"])
def test_a_server_that_hangs_up_while_a_person_thinks(desk: Desk, tmp_path: Path, question: str) -> None:
    """As sshd does after two minutes: the answer counts, and is not asked for again."""
    server = desk.start()
    make_key(tmp_path / "stranger")
    config = config_for(server, "ai_nano")
    config = replace(config, host_key=None) if question == "host key" else replace(
        config, password=None, key_file=tmp_path / "stranger")
    person = Person(password=server.password, trusts=True)
    connection = Connection(config, HostKeys(tmp_path / "known_hosts"), person)
    worker = Worker(connection.transport)
    assert person.asked.acquire(timeout=20)
    desk.stop()
    desk.start()
    time.sleep(0.3)
    person.may_answer.set()
    assert worker.end() is connection.transport()
    assert person.questions == [question] and connection.state is MachineState.CONNECTED
    connection.close()


def test_a_typed_password_serves_for_the_next_connection_too(desk: Desk, tmp_path: Path) -> None:
    server = desk.start()
    make_key(tmp_path / "stranger")
    config = replace(config_for(server, "ai_nano"), password=None, key_file=tmp_path / "stranger")
    person = at_once(password=server.password)
    connection = Connection(config, HostKeys(tmp_path / "known_hosts"), person)
    connection.transport()
    desk.stop()
    wait_until(lambda: connection.state is MachineState.LOST)
    desk.start()
    connection.transport()
    assert person.questions == ["password"]
    connection.close()


def test_threads_that_wait_get_the_same_refusal_and_nobody_is_asked_twice(desk: Desk, tmp_path: Path) -> None:
    server = desk.start()
    make_key(tmp_path / "stranger")
    config = replace(config_for(server, "ai_nano"), password=None, key_file=tmp_path / "stranger")
    person = Person(password="wrong")
    connection = Connection(config, HostKeys(tmp_path / "known_hosts"), person)
    workers = [Worker(connection.transport)]
    assert person.asked.acquire(timeout=20)
    workers += [Worker(connection.transport) for _ in range(3)]
    time.sleep(0.3)
    person.may_answer.set()
    assert {getattr(worker.end(), "code", None) for worker in workers} == {"machine.auth"}
    assert person.questions == ["password"] and connection.state is MachineState.REFUSED


# ---- the test button -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", BOTH, indirect=True)
def test_the_test_button(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> None:
    config = replace(server_config(ssh_server, f"{remote_folder}/x"), host_key=None)
    with pytest.raises(HostKeyError):
        lab.test_machine(config, "gpu_server", at_once(trusts=False), tmp_path / "config")
    assert not (tmp_path / "config").exists()
    facts = lab.test_machine(config, "gpu_server", person := at_once(trusts=True), tmp_path / "config")
    assert facts.name == "DL" and 0 < facts.round_trip_s < 5 and 0 < facts.free_bytes <= facts.total_bytes
    assert facts.python is not None and facts.python.startswith("3.")
    assert person.questions == ["host key"]
    known = (tmp_path / "config" / "known_hosts").read_text()
    assert known.startswith("DL ") and ssh_server.host_key.split()[1] in known
    pinned = replace(config, host_key=facts.fingerprint)
    assert lab.test_machine(pinned, "gpu_server", at_once(), tmp_path / "other").fingerprint == facts.fingerprint
    assert not (tmp_path / "other").exists()


def test_the_test_button_uses_the_forms_values_and_says_what_is_wrong(desk: Desk, tmp_path: Path) -> None:
    config = server_config(desk.start())

    def code(**changes: object) -> str:
        with pytest.raises(AiNanoError) as caught:
            lab.test_machine(replace(config, **changes), "gpu_server", at_once(), tmp_path)  # type: ignore[arg-type]
        return caught.value.code

    assert code(password=Secret("wrong")) == "machine.auth"
    assert code(host="no-such-host.invalid") == "machine.unknown_host"
    assert code(key_file=tmp_path / "none") == "machine.key_missing"
    assert code(python="/nowhere/python") == "machine.no_python"
    assert code(host_key="SHA256:other") == "machine.host_key_changed"
    assert code(host_key=" ") == "config.host_key"
    desk.stop()
    assert code() == "machine.refused"
