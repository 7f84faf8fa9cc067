"""A whole class connects at the same moment: sshd sends a part away, who come again."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ssh_machines import config_for
from ssh_servers import Account, SshServer, start_server
from test_states import Worker, at_once, takes, wait_until

from ai_nano.core.errors import MachineError
from ai_nano.core.ports import MachineState
from ai_nano.core.room.config import MachineConfig
from ai_nano.machines import connection
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys

LAPTOPS = 12


def no_user() -> Account:
    raise AssertionError("this kind has no user of its own")


def connection_to(config: MachineConfig, folder: Path) -> Connection:
    return Connection(config, HostKeys(folder / "known_hosts"), at_once())


@pytest.fixture(scope="module")
def small_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Of two who have not logged in yet it sends half of the next ones away, of four all."""
    folder = tmp_path_factory.mktemp("sshd")
    with start_server("openssh-key", folder, True, no_user, "MaxStartups 2:50:4") as server:
        yield server


def test_everybody_gets_in(small_sshd: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ai_nano")
    laptops = [connection_to(config_for(small_sshd, "x"), tmp_path) for _ in range(LAPTOPS)]
    workers = [Worker(one.transport) for one in laptops]
    outcomes = [worker.end() for worker in workers]
    for one in laptops:
        one.close()
    assert not [one for one in outcomes if isinstance(one, MachineError)]
    assert "is busy" in caplog.text, "nobody was sent away: this tests nothing"


class Doorman:
    """Says `words` to each visitor and sends him away."""

    def __init__(self, words: bytes, resets: bool) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.visits: list[float] = []
        self._words, self._resets = words, resets
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self.server.accept()
            except OSError:
                return
            self.visits.append(time.monotonic())
            with visitor:
                visitor.sendall(self._words)
                if self._resets:
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    @property
    def config(self) -> MachineConfig:
        return MachineConfig("DL", "127.0.0.1", "nano", port=self.server.getsockname()[1], host_key="SHA256:x")

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self._thread.join()


@contextmanager
def doorman(words: bytes, resets: bool = False) -> Iterator[Doorman]:
    made = Doorman(words, resets)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("words", "resets"), [
    (b"", False), (b"", True), (b"Exceeded MaxStartups\r\n", False), (b"Not allowed at this time\r\n", False)])
def test_who_is_always_sent_away_is_told_so_in_the_end(
        words: bytes, resets: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CROWD_S", 1.5)
    with doorman(words, resets) as door:
        began = time.monotonic()
        with pytest.raises(MachineError) as caught:
            connection_to(door.config, tmp_path).transport()
        assert time.monotonic() - began < 2.5
        assert caught.value.code in ("machine.not_ssh", *(["machine.unreachable"] if resets else [])) and len(door.visits) >= 3
        assert words.decode().strip() in str(caught.value)
        pauses = [after - before for before, after in zip(door.visits, door.visits[1:], strict=False)]
        assert min(pauses) > 0.1, "no hammering"


def test_what_is_no_ssh_server_is_not_asked_again(tmp_path: Path) -> None:
    with doorman(b"HTTP/1.1 400 Bad Request\r\n\r\n") as door:
        with pytest.raises(MachineError) as caught:
            connection_to(door.config, tmp_path).transport()
        assert caught.value.code == "machine.not_ssh" and "HTTP/1.1 400" in str(caught.value) and len(door.visits) == 1


def test_closing_does_not_wait_for_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CROWD_PAUSE_S", 60.0)
    monkeypatch.setattr(connection, "CROWD_S", 600.0)
    with doorman(b"") as door:
        one = connection_to(door.config, tmp_path)
        worker = Worker(one.transport)
        wait_until(lambda: bool(door.visits))
        time.sleep(0.2)
        assert one.state is MachineState.CONNECTING and takes(one.close) < 0.5
        error = worker.end()
        assert isinstance(error, MachineError) and error.code == "machine.lost" and len(door.visits) == 1
