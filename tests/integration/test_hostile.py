"""A machine that lies, over real sockets: each lie ends within seconds, as an error of ours, and takes little memory."""

import base64
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hostile_server import Hostile, hostile_server

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, ContactLost, MachineError, WorkFailed
from ai_nano.core.events import Event
from ai_nano.core.ports import Picture
from ai_nano.core.room.config import MachineConfig, Secret
from ai_nano.machines import base, channel, job
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.channel import SshChannel
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.job import Job

MOST_MB = 100.0
HELLO = b'{"v":1,"type":"result","free_bytes":1,"total_bytes":2}\n'
PICTURES = b'{"v":1,"type":"pictures","id":"x"}\n'


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str) -> str | None:
        return None


def connection(where: Hostile, folder: Path, key: str | None = None) -> Connection:
    config = MachineConfig("DL", where.host, "nano", Secret("any"), where.port, host_key=key or where.host_key)
    return Connection(config, HostKeys(folder / "known_hosts"), Nobody())


class Liar(ProgramMachine):
    """Whatever program is asked for, the server does the one deed."""

    name = "DL"
    patience_s = 1.0

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.deed = ""

    def does(self, deed: str, data: bytes | int = b"") -> "Liar":
        self.deed = f"{deed} {data if isinstance(data, int) else base64.b64encode(data).decode()}"
        return self

    def exec_program(self, program: str, *words: str) -> SshChannel:
        return SshChannel.start(self.connection.transport(), self.deed, self.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile_server(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture
def liar(server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    """With the waits of a patient laptop cut short."""
    monkeypatch.setattr(base, "ANSWER_TIMEOUT_S", 3.0)
    monkeypatch.setattr(base, "ALIVE_TIMEOUT_S", 4.0)
    monkeypatch.setattr(job, "SILENCE_S", 2.0)
    for name, value in (("FINISH_S", 1.0), ("WRITE_S", 1.5), ("CHANNEL_TIMEOUT_S", 3.0), ("SLOWEST_BYTES_A_S", 1e6)):
        monkeypatch.setattr(channel, name, value)
    opened = connection(server, tmp_path)
    yield Liar(opened)
    opened.close()


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """At most so long, and at most MOST_MB more of memory at the peak."""
    peak, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    took, more = time.monotonic() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    assert took < seconds, f"{took:.1f} s"
    assert more < MOST_MB, f"{more:.0f} MB"


def refused(work: Callable[[], object], seconds: float = 8.0) -> str:
    """The code of the expected error."""
    with bounded(seconds), pytest.raises(AiNanoError) as caught:
        work()
    assert caught.value.what and caught.value.hint
    return caught.value.code


def say(*messages: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps({"v": 1, **message}).encode() + b"\n" for message in messages)


# ---- short operations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deed", "data", "code"), [
    ("endless", b"", "machine.nonsense"),
    ("repeat", b"Welcome to the machine\n", "machine.nonsense"),
    ("repeat", b"\n", "machine.nonsense"),
    ("drip", b"x", "machine.silent"),
    ("drip", b"Hi\n", "machine.silent"),
    ("drip", b'{"v":1,"type":"alive"}\n', "machine.silent"),
    ("repeat", b'{"v":1,"type":"alive"}\n', "machine.silent"),
    ("long", 100_000_000, "machine.nonsense"),
    ("window", 100_000_000, "machine.nonsense"),
    ("stderr", b"", "machine.silent"),
    ("deaf", b"", "machine.silent"),
    ("say", b"{nonsense\n", "machine.nonsense"),
    ("say", b"{}\n", "machine.nonsense"),
    ("nest", 100_000, "machine.nonsense"),
    ("say", b'{"v":1,"type":"result","x":' + b"9" * 5000 + b"}\n", "machine.nonsense"),
    ("say", b'{"v":2,"type":"result"}\n', "wire.version"),
    ("say", b"", "machine.no_answer"),
    ("say_and_stay", b'{"v":1,', "machine.silent"),
    ("leave", 4294967295, "machine.no_answer"),
    ("leave", 127, "machine.no_python"),
    ("close", b'{"v":1,', "machine.lost"),
    ("cut", b'{"v":1,', "machine.lost"),
])
def test_a_short_operation(liar: Liar, deed: str, data: bytes | int, code: str) -> None:
    liar.connection.transport()
    assert refused(lambda: liar.does(deed, data).store("free")) == code


@pytest.mark.parametrize("deed", ["say", "say_and_stay", "close", "cut"])
def test_a_whole_answer_counts_however_it_ends(liar: Liar, deed: str) -> None:
    with bounded(5.0):
        assert liar.does(deed, HELLO).store("free")["free_bytes"] == 1


def test_what_nobody_reads_is_not_kept(liar: Liar) -> None:
    """paramiko's own buffers take whatever comes, far beyond the window that it has told of."""
    with bounded(20.0):
        opened = liar.does("window", 300_000_000).exec_program("x")
        time.sleep(4.0)
        with pytest.raises(MachineError) as caught:
            opened.readline(1.0)
        opened.close()
    assert caught.value.code == "machine.nonsense"


def test_a_machine_that_does_not_read(liar: Liar) -> None:
    """paramiko's channel would wait for its window without end."""
    opened = liar.does("deaf").exec_program("x")
    assert refused(lambda: opened.write(b"x" * 8_000_000)) == "machine.lost"
    opened.close()


# ---- jobs ------------------------------------------------------------------------------------------------------------


def follow(liar: Liar, cancel: CancelToken | None = None) -> Mapping[str, Any]:
    events: list[Event] = []

    def listen(event: Event) -> None:
        del events[:-10]
        events.append(event)

    return wire.follow(Job(liar, "run"), "train", "DL", listen, cancel or CancelToken())


@pytest.mark.parametrize(("deed", "data", "code"), [
    ("endless", b"", "machine.nonsense"),
    ("repeat", b"Welcome\n", "machine.nonsense"),
    ("say", b"{nonsense}\n", "machine.nonsense"),
    ("nest", 100_000, "machine.nonsense"),
    ("say", say({"type": "end", "state": "wonderful", "exit": {}}), "machine.nonsense"),
    ("say", say({"type": "end", "state": "failed", "exit": {"code": 4294967295}}), "job.failed"),
    ("say", say({"type": "error", "code": "run.missing", "params": {"id": "run", "details": 5}}), "run.missing"),
    ("drip", b"x", "job.lost"),
    ("cut", b"", "job.lost"),
    ("window", 50_000_000, "machine.nonsense"),
])
def test_a_followed_job(liar: Liar, deed: str, data: bytes | int, code: str) -> None:
    liar.connection.transport()
    assert refused(lambda: follow(liar.does(deed, data)), 15.0) == code


@pytest.mark.parametrize("message", [
    {"type": "event", "end": 1, "event": {"v": 1, "type": "log", "level": "info", "code": "train.scratch"}},
    {"type": "event", "end": 1, "event": {"v": 1, "type": "metric", "epoch": "?"}},
    {"type": "log", "end": 1, "text": "line\n" * 1000}, {"type": "alive"},
])
def test_a_flood_can_be_cancelled(liar: Liar, message: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "END_S", 1.0)
    monkeypatch.setattr(Job, "cancel", lambda self: True)
    cancel, ended = CancelToken(), []

    def work() -> None:
        try:
            follow(liar, cancel)
        except (Cancelled, MachineError, ContactLost, WorkFailed) as error:
            ended.append(error)

    liar.does("repeat", say(message))
    with bounded(8.0):
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(1.0)
        cancel.cancel()
        thread.join(6.0)
        assert not thread.is_alive()
    assert isinstance(ended[0], Cancelled)


@pytest.mark.parametrize("data", [
    PICTURES + b"\xff" * 8 + b"x" * 100_000, PICTURES + b"\0\0\0\x02\0\0\0\0{}" * 50_000,
    PICTURES + b"\0\0\0\x30\0\0\0\x00" + b'{"v":1,"type":"picture","frame":"x","t":1}'.ljust(0x30), b"hello\n" * 100_000,
    b'{"v":1,"type":"error","code":["x"]}\n',
])
def test_watching_gives_no_picture_and_ends_when_told(liar: Liar, data: bytes) -> None:
    seen: list[Picture] = []
    cancel = CancelToken()
    thread = threading.Thread(target=lambda: Job(liar.does("say", data), "run").watch(seen.append, cancel))
    with bounded(8.0):
        thread.start()
        time.sleep(1.5)
        cancel.cancel()
        thread.join(5.0)
        assert not thread.is_alive()
    assert seen == []


# ---- before the login ------------------------------------------------------------------------------------------------


@contextmanager
def raw_server(block: bytes, first: bytes = b"", pause_s: float = 0.0) -> Iterator[Hostile]:
    """A port that answers with `first` and then `block`, again and again."""
    listening, over = socket.create_server(("127.0.0.1", 0)), threading.Event()
    listening.settimeout(0.1)

    def serve() -> None:
        while not over.is_set():
            try:
                there, _ = listening.accept()
            except TimeoutError:
                continue
            with there:
                there.settimeout(0.2)
                try:
                    there.sendall(first)
                    while not over.is_set():
                        if over.wait(pause_s):
                            break
                        there.sendall(block)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Hostile(listening.getsockname()[1], "")
    finally:
        over.set()
        thread.join()
        listening.close()


KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32).decode()


@pytest.mark.parametrize(("block", "first", "pause_s"), [
    (b"banner " * 1000, b"", 0.0),
    (b"A line before the version\r\n" * 100, b"", 0.0),
    (b"x", b"", 0.05),
    (b"x" * 30_000, b"SSH-2.0-liar\r\n" + b"\xff\xff\xff\xf4", 0.0),
    (b"x" * 30_000, b"SSH-2.0-liar\r\n" + b"\x10\x00\x00\x04" + b"\x04", 0.0),
], ids=["endless-banner", "many-lines", "drip", "packet-of-4-GiB", "packet-of-256-MiB"])
def test_what_comes_before_the_login(block: bytes, first: bytes, pause_s: float, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_nano.machines.packets.GREETING_S", 2.0)
    with raw_server(block, first, pause_s) as where:
        opened = connection(where, tmp_path, KEY)
        try:
            assert refused(opened.transport) == "machine.not_ssh"
        finally:
            opened.close()


def test_a_flood_of_words_at_the_login(tmp_path: Path) -> None:
    with hostile_server(tmp_path, "--banners", "2000") as server, bounded(20.0):
        opened = connection(server, tmp_path)
        try:
            assert opened.transport().is_authenticated()
        finally:
            opened.close()
