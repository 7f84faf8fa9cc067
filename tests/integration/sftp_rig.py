"""The SFTP peer on one connection to a real server, and files to send."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import paramiko
import pytest
from link import Link
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Delivery, Parcel, Sent, Upload
from ai_nano.machines.transfer.sftp import SftpPeer, open_client

OWNER = "3fa9c0de"
far_away = pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)


class Rig:
    """A peer on one connection, the root as this computer sees it, and files to send."""

    def __init__(self, transport: paramiko.Transport, root: Path, remote_root: str, sources: Path) -> None:
        self.transport, self.root, self.sources = transport, root, sources
        self.peer = SftpPeer("gpu", remote_root, lambda: open_client(transport, "gpu"))
        self.told: list[Sent] = []

    def deliver(self, files: list[Upload], cancel: CancelToken | None = None, **more: object) -> Delivery:
        self.told = []
        parcel = Parcel(tuple(files), OWNER, **more)  # type: ignore[arg-type]
        return self.peer.deliver(parcel, self.told.append, cancel or CancelToken())

    def file(self, target: str, content: bytes | int, mtime: int = 1_700_000_000) -> Upload:
        """A file to send; `content` as a number: so many random bytes."""
        source = self.sources / target.replace("/", "#")
        source.write_bytes(os.urandom(content) if isinstance(content, int) else content)
        os.utime(source, (mtime, mtime))
        return Upload(source, PurePosixPath(target))

    def images(self, count: int, size: int = 5000, part: str = "train/cat") -> list[Upload]:
        return [self.file(f"{part}/{number:04d}.jpg", size, 1_700_000_000 + number) for number in range(count)]

    def incoming(self, model: str) -> Path:
        return self.root / ".ai_nano/incoming" / f"{model}.{OWNER}"

    def parts(self, model: str) -> list[Path]:
        return sorted(self.incoming(model).rglob(".part-*"))

    def check(self, model: str, files: list[Upload]) -> None:
        """The model's folder is the parcel, and nothing is left elsewhere."""
        folder = self.root / "models" / model
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
            str(file.target) for file in files}
        for file in files:
            there = folder / file.target
            assert there.read_bytes() == file.source.read_bytes()
            assert int(there.stat().st_mtime) == int(file.source.stat().st_mtime)
        assert not self.incoming(model).exists()


@contextlib.contextmanager
def connected(server: SshServer, port: int | None = None) -> Iterator[paramiko.Transport]:
    sock = socket.create_connection((server.host, port or server.port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    try:
        transport.connect(username=server.user, pkey=paramiko.PKey.from_path(server.key_file))
        yield transport
    finally:
        transport.close()
        sock.close()


@pytest.fixture
def root(ssh_server: SshServer) -> Iterator[Path]:
    """The root on the server, as this computer sees it; not there yet."""
    folder = ssh_server.home / f"ai_nano-test-{os.urandom(6).hex()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rig(ssh_server: SshServer, root: Path, tmp_path: Path) -> Iterator[Rig]:
    sources = tmp_path / "sources"
    sources.mkdir()
    with connected(ssh_server) as transport:
        yield Rig(transport, root, root.name, sources)


@pytest.fixture
def far(ssh_server: SshServer, root: Path, tmp_path: Path) -> Iterator[tuple[Rig, Link]]:
    """Over 20 Mbit/s and 10 ms, which the test can cut."""
    sources = tmp_path / "sources"
    sources.mkdir()
    with Link(ssh_server.host, ssh_server.port, rate_bits_s=20e6, round_trip_s=0.01) as link:
        with connected(ssh_server, link.port) as transport:
            yield Rig(transport, root, root.name, sources), link
