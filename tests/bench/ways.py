"""The ways in which a folder of images can go to an SSH server; each is what somebody would really type or write."""

import contextlib
import shlex
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko
from link import Link
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Delivery, Parcel, Upload
from ai_nano.core.room.config import ServerConfig
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

OURS = ("sftp", "tar")
TIMEOUT_S = 900


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str) -> str | None:
        return None


def seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def open_machine(server: SshServer, port: int, root: Path, transfer: str, folder: Path) -> SshMachine:
    """Not connected yet; `port` is a link's, or the server's own."""
    config = ServerConfig("DL", server.host, server.user, None, port, server.key_file, host_key=server.host_key,
                          root=str(root), transfer=transfer)
    return SshMachine(config, Programs("gpu_server"), HostKeys(folder / "known_hosts"), Nobody())


def send(machine: SshMachine, images: Path, stem: str, like: tuple[str, ...] = ()) -> Delivery:
    """All of the folder, as step 4 does it: a new model, which may resemble others."""
    files = tuple(Upload(path, PurePosixPath(path.relative_to(images))) for path in sorted(images.rglob("*.jpg")))
    parcel = Parcel(files, owner="0" * 16, stem=stem, like=like)
    return machine.upload(parcel, lambda sent: None, CancelToken())


@dataclass(frozen=True)
class Tools:
    """The programs that a link or a server is reached with, from a laptop that has logged in before."""

    server: SshServer
    port: int
    folder: Path

    @property
    def _options(self) -> list[str]:
        return ["-F", "none", "-i", str(self.server.key_file), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
                "-o", f"UserKnownHostsFile={self.folder / 'known'}", "-o", "LogLevel=ERROR"]

    def _at(self, target: Path) -> str:
        return f"{self.server.user}@{self.server.host}:{target}"

    def scp(self, images: Path, target: Path) -> None:
        _run("scp", "-q", "-r", "-P", str(self.port), *self._options, str(images), self._at(target))

    def rsync(self, images: Path, target: Path) -> None:
        shell = shlex.join(["ssh", "-p", str(self.port), *self._options])
        _run("rsync", "-a", "-e", shell, f"{images}/", self._at(target))

    def put_each(self, images: Path, target: Path) -> None:
        """What most scripts do: one `put` after the other."""
        with self._client() as client, client.open_sftp() as sftp:
            made: set[Path] = set()
            for path in sorted(images.rglob("*.jpg")):
                there = target / path.relative_to(images)
                for folder in [*reversed(there.relative_to(target).parents)]:
                    if target / folder not in made:
                        sftp.mkdir(str(target / folder))
                        made.add(target / folder)
                sftp.put(str(path), str(there))

    def zip_put_unzip(self, images: Path, target: Path) -> None:
        archive, there = self.folder / "images.zip", target.with_suffix(".zip")
        archive.unlink(missing_ok=True)
        subprocess.run(["zip", "-q", "-r", str(archive), "."], cwd=images, check=True, timeout=TIMEOUT_S)
        with self._client() as client, client.open_sftp() as sftp:
            sftp.put(str(archive), str(there))
            line = f"unzip -q {shlex.quote(str(there))} -d {shlex.quote(str(target))} && rm {shlex.quote(str(there))}"
            _, output, _ = client.exec_command(line, timeout=TIMEOUT_S)
            assert output.channel.recv_exit_status() == 0

    @contextmanager
    def _client(self) -> Iterator[paramiko.SSHClient]:
        """With TCP_NODELAY, which paramiko does not set by itself."""
        sock = socket.create_connection((self.server.host, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.WarningPolicy())
        kind, data = self.server.host_key.split()[:2]
        known = paramiko.hostkeys.HostKeyEntry.from_line(f"{self.server.host} {kind} {data}")
        assert known is not None and known.key is not None
        name = self.server.host if self.port == 22 else f"[{self.server.host}]:{self.port}"
        client.get_host_keys().add(name, kind, known.key)
        client.connect(self.server.host, self.port, username=self.server.user, sock=sock, allow_agent=False,
                       look_for_keys=False, key_filename=str(self.server.key_file))
        with client:
            yield client


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=TIMEOUT_S)


class RawLink:
    """A plain TCP stream of as many bytes through a link of its own with the same parameters: what no way can beat."""

    def __init__(self, rate_bits_s: float, round_trip_s: float) -> None:
        self._rate, self._round_trip = rate_bits_s, round_trip_s

    def measure(self, count: int) -> tuple[float, float]:
        """Seconds from connecting until the far end has told that it has all; median seconds of a byte there and back."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._serve, args=(listener, count))
            thread.start()
            with Link("127.0.0.1", listener.getsockname()[1], self._rate, self._round_trip) as link:
                took = seconds(lambda: self._stream(link, count))
                with socket.create_connection((link.host, link.port), timeout=30) as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    asked = [seconds(lambda: (sock.sendall(b"?"), sock.recv(1))) for _ in range(20)]
            thread.join()
        return took, statistics.median(asked[1:])

    @staticmethod
    def _stream(link: Link, count: int) -> None:
        with socket.create_connection((link.host, link.port), timeout=30) as sock:
            sock.sendall(bytes(count))
            assert sock.recv(1) == b"!"

    @staticmethod
    def _serve(listener: socket.socket, count: int) -> None:
        sock, _ = listener.accept()
        with sock:
            while count > 0:
                count -= len(sock.recv(1 << 18))
            sock.sendall(b"!")
        sock, _ = listener.accept()
        with sock, contextlib.suppress(ConnectionResetError):  # that is how a link ends
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := sock.recv(1):
                sock.sendall(data)


def clear(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def total_bytes(folder: Path) -> tuple[int, int]:
    """How many images lie below a folder, and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
    return len(sizes), sum(sizes)
