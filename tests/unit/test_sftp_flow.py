"""The SFTP peer against a server that answers as each test wants it, over a real SSH channel."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from paramiko import sftp as protocol

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, MachineError, WorkFailed
from ai_nano.core.ports import Parcel, Upload
from ai_nano.machines.transfer import sftp_flow
from ai_nano.machines.transfer.sftp import SftpPeer, open_client

# What the server says to (kind, number, body); None: nothing at all.
Script = Callable[[int, bytes, bytes], bytes | None]
FOLDER = struct.pack(">IQIIII", 1 | 4 | 8, 4096, 0o40755, 9, 9, 0)[:-4]


def packet(kind: int, number: bytes, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 5, kind) + number + body


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def status(number: bytes, code: int) -> bytes:
    return packet(protocol.CMD_STATUS, number, struct.pack(">I", code) + string(b"words") + string(b""))


def attributes(size: int, mode: int = 0o100644) -> bytes:
    return struct.pack(">IQIII", 1 | 4 | 8, size, mode, 9, 9)


def polite(kind: int, number: bytes, body: bytes) -> bytes:
    """A machine with empty folders, on which every file can be opened, has 100,000 bytes and cannot be read."""
    if kind in (protocol.CMD_OPEN, protocol.CMD_OPENDIR):
        return packet(protocol.CMD_HANDLE, number, string(b"h"))
    if kind in (protocol.CMD_LSTAT, protocol.CMD_STAT, protocol.CMD_FSTAT):
        return packet(protocol.CMD_ATTRS, number, attributes(100_000))
    if kind in (protocol.CMD_READDIR, protocol.CMD_READ):
        return status(number, protocol.SFTP_EOF)
    return status(number, protocol.SFTP_OP_UNSUPPORTED if kind == protocol.CMD_EXTENDED else protocol.SFTP_OK)


class Server(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class Handler(paramiko.SubsystemHandler):
    def __init__(self, channel: paramiko.Channel, name: str, server: paramiko.ServerInterface, script: Script,
                 version: bytes) -> None:
        super().__init__(channel, name, server)
        self._script, self._version = script, version

    def start_subsystem(self, name: str, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._receive(channel)
            channel.sendall(self._version)
            while True:
                data = self._receive(channel)
                answer = self._script(data[0], data[1:5], data[5:])
                if answer is not None:
                    channel.sendall(answer)

    def _receive(self, channel: paramiko.Channel) -> bytes:
        return self._exactly(channel, struct.unpack(">I", self._exactly(channel, 4))[0])

    def _exactly(self, channel: paramiko.Channel, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = channel.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


VERSION = struct.pack(">IBI", 5, protocol.CMD_VERSION, 3)


@contextlib.contextmanager
def scripted(script: Script, version: bytes = VERSION) -> Iterator[SftpPeer]:
    near, far = socket.socketpair()
    with contextlib.closing(paramiko.Transport(far)) as server, contextlib.closing(paramiko.Transport(near)) as client:
        server.add_server_key(paramiko.ECDSAKey(vals=_key()))
        server.set_subsystem_handler("sftp", Handler, script, version)
        server.start_server(threading.Event(), Server())
        client.start_client(timeout=10)
        client.auth_none("x")
        yield SftpPeer("gpu", "root", lambda: open_client(client, "gpu"))
    far.close()
    near.close()


def _key() -> tuple:
    key = generate_private_key(SECP256R1())
    return key, key.public_key()


def instead(kind: int, answer: Callable[[bytes], bytes | None]) -> Script:
    """Polite, but for one kind of request."""
    return lambda asked, number, body: answer(number) if asked == kind else polite(asked, number, body)


def send(peer: SftpPeer, folder: Path, cancel: CancelToken | None = None, size: int = 100_000) -> AiNanoError:
    source = folder / "source"
    source.write_bytes(bytes(size))
    parcel = Parcel((Upload(source, PurePosixPath("train/cat/1.jpg")),), "owner", model="m")
    with pytest.raises(AiNanoError) as caught:
        peer.deliver(parcel, lambda sent: None, cancel or CancelToken())
    return caught.value


def names(number: bytes, *listed: bytes) -> bytes:
    entries = b"".join(string(name) + string(b"") + attributes(0, 0o40755) for name in listed)
    return packet(protocol.CMD_NAME, number, struct.pack(">I", len(listed)) + entries)


NONSENSE: dict[str, Script] = {
    "a length of 4 GiB": instead(protocol.CMD_MKDIR, lambda number: b"\xff" * 1000),
    "a packet without a number": instead(protocol.CMD_MKDIR, lambda number: struct.pack(">IB", 1, protocol.CMD_STATUS)),
    "an answer to nothing": instead(protocol.CMD_MKDIR, lambda number: status(b"\xff\xff\xff\xff", 0)),
    "an answer given twice": instead(protocol.CMD_MKDIR, lambda number: 2 * status(number, 0)),
    "a status that is cut short": instead(protocol.CMD_MKDIR, lambda number: packet(protocol.CMD_STATUS, number, b"\0")),
    "yes instead of a handle": instead(protocol.CMD_OPENDIR, lambda number: status(number, 0)),
    "another kind of answer": instead(protocol.CMD_OPENDIR, lambda number: packet(77, number, b"")),
    "a handle of 100 kB": instead(protocol.CMD_OPENDIR, lambda number: packet(102, number, string(b"h" * 100_000))),
    "no handle at all": instead(protocol.CMD_OPENDIR, lambda number: packet(102, number, string(b""))),
    "a string longer than its packet": instead(protocol.CMD_OPENDIR, lambda number: packet(102, number, b"\x7f\0\0\0h")),
    "a listing of nothing, for ever": instead(protocol.CMD_READDIR, lambda number: names(number)),
    "a listing of dots, for ever": instead(protocol.CMD_READDIR, lambda number: names(number, *1000 * [b"."])),
    "a billion names": instead(protocol.CMD_READDIR, lambda number: packet(104, number, struct.pack(">I", 10 ** 9))),
    "a name with a slash": instead(protocol.CMD_READDIR, lambda number: names(number, b"../../x")),
    "a name without letters": instead(protocol.CMD_READDIR, lambda number: names(number, b"")),
    "a name with NUL": instead(protocol.CMD_READDIR, lambda number: names(number, b"a\0b")),
    "attributes cut short": instead(protocol.CMD_FSTAT, lambda number: packet(105, number, b"\0\0\0\x0f\0")),
    "a billion attributes": instead(protocol.CMD_FSTAT, lambda number: packet(105, number, b"\x80\0\0\0\x7f\0\0\0")),
    "no attributes": instead(protocol.CMD_FSTAT, lambda number: packet(105, number, b"\0\0\0\0")),
    "more data than asked for": instead(protocol.CMD_READ, lambda number: packet(103, number, string(bytes(40_000)))),
    "no data, for ever": instead(protocol.CMD_READ, lambda number: packet(103, number, string(b""))),
    "space that is cut short": instead(protocol.CMD_EXTENDED, lambda number: packet(201, number, bytes(20))),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_said_to_be_nonsense(tmp_path: Path, what: str) -> None:
    with scripted(NONSENSE[what]) as peer:
        error = send(peer, tmp_path)
    assert isinstance(error, MachineError) and error.code == "machine.nonsense"


def test_folders_within_folders_for_ever(tmp_path: Path) -> None:
    listed: set[bytes] = set()

    def script(kind: int, number: bytes, body: bytes) -> bytes:
        if kind == protocol.CMD_OPENDIR:
            listed.clear()
        if kind == protocol.CMD_READDIR and not listed:
            listed.add(body)
            return names(number, b"again")
        return polite(kind, number, body)

    with scripted(script) as peer:
        assert send(peer, tmp_path).code == "machine.nonsense"


@pytest.mark.parametrize("version", [b"\xff" * 100, struct.pack(">IB", 1, protocol.CMD_VERSION), VERSION.replace(b"\2", b"\7")],
                         ids=["endless", "cut short", "something else"])
def test_a_greeting_that_is_none(tmp_path: Path, version: bytes) -> None:
    with scripted(polite, version) as peer:
        assert send(peer, tmp_path).code == "machine.nonsense"


@pytest.mark.parametrize("kind", [protocol.CMD_MKDIR, protocol.CMD_READDIR, protocol.CMD_WRITE, protocol.CMD_READ])
@pytest.mark.parametrize("drip", [False, True], ids=["silence", "drip"])
def test_silence_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, drip: bool) -> None:
    monkeypatch.setattr(sftp_flow, "SILENCE_S", 0.3)
    began = []

    def answer(number: bytes) -> bytes | None:
        """A long packet that is never whole."""
        began.append(number)
        return (b"\0\1\0\0" if len(began) == 1 else b"") + b"x" if drip else None

    with scripted(instead(kind, answer)) as peer:
        start = time.monotonic()
        assert send(peer, tmp_path, size=3_000_000).code == "machine.lost"
        assert time.monotonic() - start < 3


def test_cancel_while_the_machine_is_silent(tmp_path: Path) -> None:
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    with scripted(instead(protocol.CMD_MKDIR, lambda number: None)) as peer:
        start = time.monotonic()
        assert isinstance(send(peer, tmp_path, cancel), Cancelled)
        assert time.monotonic() - start < 1


def test_a_file_that_never_arrives_the_same_is_given_up(tmp_path: Path) -> None:
    opened = []

    def script(kind: int, number: bytes, body: bytes) -> bytes:
        if kind == protocol.CMD_OPEN:
            opened.append(body)
        if kind == protocol.CMD_READ:
            return packet(protocol.CMD_DATA, number, string(b"x"))
        return polite(kind, number, body)

    with scripted(script) as peer:
        error = send(peer, tmp_path, size=20)
    assert isinstance(error, WorkFailed) and error.code == "transfer.differs" and len(opened) == 2


def test_a_server_that_gives_little_at_a_time(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400

    def script(kind: int, number: bytes, body: bytes) -> bytes:
        if kind == protocol.CMD_FSTAT:
            return packet(protocol.CMD_ATTRS, number, attributes(len(content)))
        if kind == protocol.CMD_READ:
            offset, count = struct.unpack(">QI", body[5:17])
            return packet(protocol.CMD_DATA, number, string(content[offset:offset + min(count, 3000)]))
        return polite(kind, number, body)

    with scripted(script) as peer:
        peer.fetch(PurePosixPath("x"), tmp_path / "got", len(content), CancelToken())
    assert (tmp_path / "got").read_bytes() == content


def test_answers_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    content = bytes(range(256)) * 600
    held: list[bytes] = []

    def script(kind: int, number: bytes, body: bytes) -> bytes | None:
        if kind == protocol.CMD_FSTAT:
            return packet(protocol.CMD_ATTRS, number, attributes(len(content)))
        if kind == protocol.CMD_READ:
            offset, count = struct.unpack(">QI", body[5:17])
            held.insert(0, packet(protocol.CMD_DATA, number, string(content[offset:offset + count])))
            return b"".join(held) if offset + count >= len(content) else None
        return polite(kind, number, body)

    with scripted(script) as peer:
        peer.fetch(PurePosixPath("x"), tmp_path / "got", len(content), CancelToken())
    assert (tmp_path / "got").read_bytes() == content


def test_a_file_that_ends_early_is_not_fetched(tmp_path: Path) -> None:
    with scripted(polite) as peer, pytest.raises(WorkFailed) as caught:
        peer.fetch(PurePosixPath("x"), tmp_path / "got", 1 << 20, CancelToken())
    assert caught.value.code == "transfer.cut" and not list(tmp_path.iterdir())
