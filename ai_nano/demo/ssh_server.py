"""A small SSH server on 127.0.0.1: the embedded classroom's stand-in for a GPU server or a Nano.

`python -m ai_nano.demo.ssh_server --home DIR --host-key FILE --user NAME --password-file FILE` prints one JSON line
when ready, `{"v":1,"type":"ready","port":n,"fingerprint":"SHA256:...","host_key":"ssh-ed25519 ..."}`, and ends on
SIGTERM or when its standard input ends.

It does what the laptop needs of OpenSSH's sshd without a terminal, and passes the same tests: login by password or key
for one user, commands through /bin/sh in the home folder, SFTP, connections passed on to 127.0.0.1 (jump host). It
confines nobody: whoever logs in has the rights of the user who started it, hence 127.0.0.1 only. Three things differ:
there is no pseudo-terminal; a signal from the client waits behind input that the command has not read; and the exit
status comes after the last output, where sshd may send it before.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from ai_nano.demo.stage_process import say, told_to_end

# Says to the programs that this is somebody's computer and no board: they then shut nothing down and install nothing
# (remote/jetson_nano/system.py). Every command has it, whatever --env says.
_EMBEDDED = {"AI_NANO_EMBEDDED": "1"}
_CHUNK = 64 * 1024  # bytes
_GRACE_S = 2.0  # for running commands when the server ends
_PATH = "/usr/local/bin:/usr/bin:/bin"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Process = asyncssh.SSHServerProcess[bytes]


class Login(asyncssh.SSHServer):
    """Lets one user in, by password or by a key of the authorized_keys file, which is read anew at each login."""

    def __init__(
        self,
        user: str,
        password: str,
        authorized_keys: Path | None,
        connections: set[asyncssh.SSHServerConnection],
    ) -> None:
        self._user, self._password, self._authorized_keys = user, password, authorized_keys
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        if username == self._user and self._authorized_keys is not None and self._authorized_keys.exists():
            self._connection.set_authorized_keys(str(self._authorized_keys))
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right = hmac.compare_digest(password.encode(), self._password.encode())
        return right and username == self._user

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return dest_host in _LOOPBACK


class Commands:
    """Runs what clients ask for: each command a process group of its own in `home`, with `environment` and no more.

    A command ends for the client when it has exited and nobody holds its output open any longer. When the client goes
    first, the command finds its standard input ended and its output closed, and gets no signal, as with sshd.
    """

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home, self._environment = home, environment
        # Not tasks of the connection: a command may outlive it.
        self._tasks: set[asyncio.Task[None]] = set()
        self._groups: set[int] = set()

    def start(self, process: Process) -> None:
        """Serves one session; for asyncssh's process_factory."""
        if process.subsystem is not None:  # SFTP never comes here
            process.exit(1)
            return
        task = asyncio.get_running_loop().create_task(self._run(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def hang_up(self) -> None:
        """Ends the commands of clients: SIGHUP, a short grace, SIGKILL. What has a session of its own lives on."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            for group in self._groups:
                _signal_group(group, number)
            if not self._tasks:
                return
            await asyncio.wait(self._tasks, timeout=_GRACE_S)

    async def _run(self, process: Process) -> None:
        shell = ["/bin/sh"] if process.command is None else ["/bin/sh", "-c", process.command]
        readers, transports, ends = [], [], []
        for _ in range(2):
            reader, transport, end = await _open_pipe()
            readers.append(reader)
            transports.append(transport)
            ends.append(end)
        try:
            command = await asyncio.create_subprocess_exec(
                *shell,
                stdin=asyncio.subprocess.PIPE,
                stdout=ends[0],
                stderr=ends[1],
                cwd=self._home,
                env=self._environment,
                start_new_session=True,
            )
        except OSError:  # the home folder is gone, or the system has no process left
            for transport in transports:
                transport.close()
            process.exit(1)
            return
        finally:
            for end in ends:
                os.close(end)
        self._groups.add(command.pid)
        helpers = [
            asyncio.ensure_future(_feed(process, command)),
            asyncio.ensure_future(_close_with_channel(process, transports)),
        ]
        try:
            await asyncio.gather(
                command.wait(),
                _pump(readers[0], transports[0], process.stdout),
                _pump(readers[1], transports[1], process.stderr),
            )
        finally:
            self._groups.discard(command.pid)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        _report_exit(process, command)


async def _open_pipe() -> tuple[asyncio.StreamReader, asyncio.ReadTransport, int]:
    """A pipe: its reading end as a stream and its transport, and the descriptor of its writing end.

    A pipe of one's own, unlike one made by asyncio's subprocess, can be closed while the command runs on.
    """
    reading, writing = os.pipe()
    reader = asyncio.StreamReader(limit=_CHUNK)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    return reader, transport, writing


async def _pump(reader: asyncio.StreamReader, transport: asyncio.ReadTransport, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Passes on a command's output as fast as the client takes it, by hand.

    asyncssh's own redirection to asyncio streams breaks under back-pressure.
    """
    with contextlib.suppress(OSError, asyncssh.Error):  # the client is gone
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    transport.close()


async def _feed(process: Process, command: asyncio.subprocess.Process) -> None:
    """Passes on input, its end, and signals."""
    assert command.stdin is not None
    while True:
        try:
            data = await process.stdin.read(_CHUNK)
            if not data:
                break
            command.stdin.write(data)
            await command.stdin.drain()
        except asyncssh.SignalReceived as received:
            number = getattr(signal, f"SIG{received.signal}", None)
            if isinstance(number, signal.Signals):
                _signal_group(command.pid, number)
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
            continue
        except (OSError, asyncssh.Error):  # the command reads no more, or the connection broke
            break
    command.stdin.close()
    # What the client still sends is thrown away, so that it is not held up.
    with contextlib.suppress(OSError, asyncssh.Error):
        while await process.stdin.read(_CHUNK):
            pass


async def _close_with_channel(process: Process, transports: list[asyncio.ReadTransport]) -> None:
    """Closes a command's output once the client has closed the channel: writing then brings it SIGPIPE."""
    await process.wait_closed()
    for transport in transports:
        transport.close()


def _report_exit(process: Process, command: asyncio.subprocess.Process) -> None:
    code = command.returncode
    assert code is not None
    with contextlib.suppress(OSError, asyncssh.Error):  # the client is gone
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def load_host_key(file: Path) -> asyncssh.SSHKey:
    """The private key in `file`, made (ed25519, mode 0600) where there is none.

    Raises OSError, or asyncssh.KeyImportError for a file that holds no key.
    """
    if not file.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key.export_private_key())
    return asyncssh.read_private_key(file)


async def serve(args: argparse.Namespace, password: str, key: asyncssh.SSHKey) -> None:
    """Serves until SIGTERM or the end of standard input. Raises OSError where the port is taken."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    environment = {"HOME": str(args.home), "USER": args.user, "LOGNAME": args.user, "SHELL": "/bin/sh", "PATH": _PATH}
    commands = Commands(args.home, {**environment, **dict(args.env), **_EMBEDDED})
    connections: set[asyncssh.SSHServerConnection] = set()
    server = await asyncssh.create_server(
        lambda: Login(args.user, password, args.authorized_keys, connections),
        "127.0.0.1",
        args.port,
        server_host_keys=[key],
        process_factory=commands.start,
        sftp_factory=args.sftp,
        encoding=None,
        line_editor=False,
        allow_pty=False,
        agent_forwarding=False,
    )

    def end() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(ended.set)

    async with server:
        with told_to_end(end):
            public_key = key.export_public_key().decode().strip()
            ready = {"port": server.get_port(), "fingerprint": key.get_fingerprint(), "host_key": public_key}
            say({"type": "ready", **ready})
            await ended.wait()
        await commands.hang_up()
        for connection in list(connections):
            connection.abort()


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name, value


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ai_nano.demo.ssh_server", description="An SSH server on 127.0.0.1.")
    parser.add_argument("--home", type=_absolute, required=True, metavar="DIR", help="where commands and SFTP start")
    parser.add_argument("--host-key", type=_absolute, required=True, metavar="FILE", help="made if it does not exist")
    parser.add_argument("--user", required=True, metavar="NAME", help="the only user who may log in")
    parser.add_argument("--password-file", type=_absolute, required=True, metavar="FILE", help="holds the password")
    parser.add_argument("--authorized-keys", type=_absolute, metavar="FILE", help="keys that may log in")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 (the default) takes a free one")
    parser.add_argument("--no-sftp", dest="sftp", action="store_false", help="be a server without SFTP")
    parser.add_argument("--env", type=_variable, action="append", default=[], metavar="KEY=VALUE", help="for commands")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server; exit code 0, 1 (port taken) or 2 (a file or folder that it needs cannot be used)."""
    args = get_parser().parse_args(argv)
    asyncssh.set_log_level("ERROR")
    try:
        password = args.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        key = load_host_key(args.host_key)
        # SFTP's relative paths are the process's own.
        os.chdir(args.home)
    except (OSError, UnicodeDecodeError, asyncssh.KeyImportError) as error:
        file = getattr(error, "filename", None) or (args.host_key if isinstance(error, ValueError) else "")
        say({"type": "error", "code": "ssh_server.unusable_file", "params": {"file": str(file)}})
        return 2
    try:
        asyncio.run(serve(args, password, key))
    except OSError:
        say({"type": "error", "code": "ssh_server.port_taken", "params": {"port": args.port}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
