"""An SSH server that lets everybody in and then does what no server should.

`python tests/integration/hostile_server.py --host-key FILE [--sftp WHAT] [--banners N]` prints one JSON line when ready,
`{"port": n, "host_key": "ssh-ed25519 ..."}`, and ends when its standard input ends. A process of its own, so that a test
can measure what the laptop's side takes of memory.

The command of an exec is the deed (DEEDS below, with a word after it). SFTP, with `--sftp`: `absurd` lists what no
folder holds and reads more than was asked for, `endless` lists without end, `garbage` is no SFTP at all.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

BLOCK = b"x" * 32768
LINE = b'{"v":1,"type":"alive"}\n'
Process = asyncssh.SSHServerProcess[bytes]
ABSURD_NAMES = ("../../outside", "/etc/passwd", "a/../../b", "", "..", "nul\0byte", "line\nbreak", "x" * 100_000, "\x1b[2J")
ABSURD_SIZE = 2 ** 64 - 1


# ---- deeds: each gets the process and the word after its name ---------------------------------------------------------


async def endless(process: Process, word: str) -> None:
    """A line without an end."""
    process.stdout.write(b'{"v":1,"type":"')
    while True:
        process.stdout.write(BLOCK)
        await process.stdout.drain()


async def repeat(process: Process, word: str) -> None:
    """The given bytes (base64) for ever."""
    data = base64.b64decode(word)
    data *= max(1, len(BLOCK) // max(1, len(data)))
    while True:
        process.stdout.write(data)
        await process.stdout.drain()


async def drip(process: Process, word: str) -> None:
    """The given bytes for ever, one at a time."""
    data = base64.b64decode(word)
    while True:
        for byte in data:
            process.stdout.write(bytes((byte,)))
            await asyncio.sleep(0.02)


async def long(process: Process, word: str) -> None:
    """One line of so many bytes, and an end."""
    process.stdout.write(b'{"v":1,"type":"result","x":"')
    for _ in range(int(word) // len(BLOCK)):
        process.stdout.write(BLOCK)
        await process.stdout.drain()
    process.stdout.write(b'"}\n')
    process.exit(0)


async def nest(process: Process, word: str) -> None:
    """A message with so many lists in each other."""
    depth = int(word)
    process.stdout.write(b'{"v":1,"type":"result","end":1,"event":' + b"[" * depth + b"]" * depth + b"}\n")
    await process.stdout.drain()
    process.exit(0)


async def say(process: Process, word: str) -> None:
    """The given bytes, and an orderly end."""
    process.stdout.write(base64.b64decode(word))
    await process.stdout.drain()
    process.exit(0)


async def say_and_stay(process: Process, word: str) -> None:
    """The given bytes, and then nothing: no end of the stream, no exit status."""
    process.stdout.write(base64.b64decode(word))
    await asyncio.sleep(3600)


async def leave(process: Process, word: str) -> None:
    """Nothing but an exit status, of 32 bits."""
    process.channel._send_request(b"exit-status", struct.pack(">I", int(word)))  # type: ignore[attr-defined]
    process.close()


async def close(process: Process, word: str) -> None:
    """The given bytes and the end of the channel, without an exit status."""
    process.stdout.write(base64.b64decode(word))
    await process.stdout.drain()
    process.close()


async def cut(process: Process, word: str) -> None:
    """The given bytes, and the connection is gone."""
    process.stdout.write(base64.b64decode(word))
    await process.stdout.drain()
    await asyncio.sleep(0.1)
    process.channel.get_connection().abort()


async def deaf(process: Process, word: str) -> None:
    """Never reads what it is sent: the window is never widened."""
    process.channel.pause_reading()
    await asyncio.sleep(3600)


async def stderr(process: Process, word: str) -> None:
    """Standard error without an end."""
    while True:
        process.stderr.write(b"e" * 200 + b"\n")
        await process.stderr.drain()


async def window(process: Process, word: str) -> None:
    """So many bytes at once, whatever room the client has told of."""
    connection, channel = process.channel.get_connection(), process.channel
    data = struct.pack(">I", channel._send_chan) + struct.pack(">I", len(BLOCK)) + BLOCK  # type: ignore[attr-defined]
    for number in range(int(word) // len(BLOCK)):
        connection.send_packet(94, data)  # SSH_MSG_CHANNEL_DATA, past asyncssh's own accounting
        if number % 64 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(3600)


DEEDS: dict[str, Callable[[Process, str], Awaitable[None]]] = {
    deed.__name__: deed
    for deed in (endless, repeat, drip, long, nest, say, say_and_stay, leave, close, cut, deaf, stderr, window)}


# ---- SFTP --------------------------------------------------------------------------------------------------------------


class AbsurdSftp(asyncssh.SFTPServer):
    """Names that lead elsewhere, sizes that cannot be, and more bytes than were asked for."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        for name in ABSURD_NAMES:
            yield asyncssh.SFTPName(name.encode(), attrs=self._attributes())

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self._attributes()

    lstat = stat

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        return object()

    def close(self, file_obj: object) -> None: ...

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return self._attributes()

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return b"r" * (size + 100_000)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        return len(data)

    def _attributes(self) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(size=ABSURD_SIZE, permissions=0o100644, uid=0, gid=0, atime=2 ** 32 - 1, mtime=2 ** 32 - 1)


class EndlessSftp(AbsurdSftp):
    """A folder without an end."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        number = 0
        while True:
            yield asyncssh.SFTPName(b"%d" % number + b"n" * 200, attrs=self._attributes())
            number += 1


async def garbage(process: Process) -> None:
    """A packet that claims 4 GiB, and as many bytes as the client takes."""
    process.stdout.write(struct.pack(">I", 0xFFFFFFF0) + BLOCK)
    while True:
        process.stdout.write(BLOCK)
        await process.stdout.drain()


# ---- the server --------------------------------------------------------------------------------------------------------


class Anybody(asyncssh.SSHServer):
    def __init__(self, banners: int) -> None:
        self._banners = banners

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        for _ in range(self._banners):
            self._connection.send_auth_banner("b" * 30_000 + "\n")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return True


async def serve(options: argparse.Namespace) -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def carry_out(process: Process) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            if process.subsystem is not None:
                await garbage(process)
            else:
                deed, _, word = (process.command or "").partition(" ")
                await DEEDS[deed](process, word)

    def start(process: Process) -> None:
        task = asyncio.get_running_loop().create_task(carry_out(process))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    sftp = {"absurd": AbsurdSftp, "endless": EndlessSftp}.get(options.sftp)
    listening = await asyncssh.listen("127.0.0.1", 0, server_factory=lambda: Anybody(options.banners), encoding=None,
                                      server_host_keys=[options.host_key], process_factory=start,
                                      sftp_factory=sftp or False)
    key = asyncssh.read_private_key(options.host_key).export_public_key().decode().strip()
    print(json.dumps({"port": listening.get_port(), "host_key": key}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


@dataclass(frozen=True)
class Hostile:
    """Where it listens. Anybody logs in with any password."""

    port: int
    host_key: str
    host: str = "127.0.0.1"


@contextmanager
def hostile_server(folder: Path, *more: str) -> Iterator[Hostile]:
    """The server as a process; `folder` is for its host key, `more` are further words of its command line."""
    key = folder / "hostile_host_key"
    if not key.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
        key.chmod(0o600)
    process = subprocess.Popen([sys.executable, __file__, "--host-key", str(key), *more], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield Hostile(ready["port"], ready["host_key"])
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description="A server that lies.")
    parser.add_argument("--host-key", required=True)
    parser.add_argument("--sftp", choices=("absurd", "endless", "garbage"))
    parser.add_argument("--banners", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
