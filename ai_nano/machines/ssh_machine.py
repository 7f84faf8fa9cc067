"""A machine reached by SSH: the GPU server or a Nano."""

import hashlib
import logging
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import paramiko

from ai_nano import resources
from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError
from ai_nano.core.ports import Delivery, MachineFacts, MachineReport, MachineState, Parcel, Questions, Sent
from ai_nano.core.room.config import MachineConfig, ServerConfig
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.channel import SshChannel
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys, fingerprint
from ai_nano.machines.keyring_store import KeyringStore
from ai_nano.machines.programs import Programs
from ai_nano.machines.transfer.sender import Sender
from ai_nano.machines.transfer.sftp import SftpPeer, open_client
from ai_nano.machines.transfer.tar import TarPeer

CHANNEL_TIMEOUT_S = 15.0
ROUND_TRIPS = 3
# What the shell says when nothing is missing; a login's own greeting may come before, without the end of its last line.
FOUND = b"ai_nano: found"
SAY_FOUND = f"echo; echo '{FOUND.decode()}'"
# The exit status where they are not there.
MISSING = 97
READ_AND_RUN = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"
# A login that prepares much (conda), a home on a slow network.
SHELL_TIMEOUT_S = 30.0
# After which it is asked whether there is a shell at all.
NO_SHELL_S = 2.0
DOUBTED_BYTES = 1 << 16
# For an answer of a connection that is in doubt.
DOUBT_S = 5.0
ATTEMPTS = 3
# How soon a closed connection is noticed, where the channel itself says nothing.
LOOK_S = 1.0
# For the connection that is wanted anyhow.
CONNECTED_S = 60.0
CONNECTED_LOOK_S = 0.02

log = logging.getLogger(__name__)


class SshMachine(ProgramMachine):
    """Constructing never connects."""

    def __init__(self, config: MachineConfig, programs: Programs, host_keys: HostKeys, ask: Questions,
                 keyring: KeyringStore | None = None, jump: Connection | None = None) -> None:
        """`jump` is the connection to the jump host, if there is one; it is not closed here."""
        self.name = config.name
        self._config = config
        self._programs = programs
        self._connection = Connection(config, host_keys, ask, keyring, jump)
        self._used: paramiko.Transport | None = None
        self._ahead: threading.Thread | None = None
        self._closed = threading.Event()
        transfer = config.transfer if isinstance(config, ServerConfig) else "auto"
        sftp = SftpPeer(config.name, config.root, lambda: open_client(self._connection.transport(), config.name))
        self._sender = Sender(transfer, TarPeer(config.name, self.exec_program), sftp, lambda: self.patience_s)

    def close(self) -> None:
        """Never waits, not even for a person who is being asked something."""
        self._closed.set()
        self._connection.close()

    @property
    def connection(self) -> Connection:
        """For the machines behind this one, when it is a jump host."""
        return self._connection

    # ---- what is known of it: from any thread, at any time -----------------------------------------------------------

    @property
    def state(self) -> MachineState:
        return self._connection.state

    @property
    def report(self) -> MachineReport:
        return self._connection.report

    @property
    def changed_at(self) -> float:
        """When the last attempt to connect ended, on the monotonic clock."""
        return self._connection.changed_at

    def facts(self) -> MachineFacts:
        """Connects, runs a program there, and measures. Raises what these raise."""
        free = self.store("free")
        transport = self._connection.transport()
        try:
            with answers.reading(self.name):
                return MachineFacts(
                    self.name, min(self._round_trip_s(transport) for _ in range(ROUND_TRIPS)),
                    answers.count(free, "free_bytes"), answers.count(free, "total_bytes"),
                    answers.optional(answers.text, free, "python", longest=40),
                    fingerprint(transport.get_remote_server_key()))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise MachineError("machine.lost", machine=self.name) from error

    def _round_trip_s(self, transport: paramiko.Transport) -> float:
        """Opening a channel is one request and one answer, and has a time-out."""
        began = time.monotonic()
        channel = transport.open_session(timeout=CHANNEL_TIMEOUT_S)
        took = time.monotonic() - began
        channel.close()
        return took

    # ---- files -------------------------------------------------------------------------------------------------------

    def upload(self, parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        return self._sender.upload(parcel, progress, cancel)

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        self._sender.download(source, target, cancel)

    # ---- programs ----------------------------------------------------------------------------------------------------

    def warm_up(self) -> None:
        """remote/shared/ahead.py waits there while this connection lives, or until nobody has wanted it for a while."""
        if self._ahead is None or not self._ahead.is_alive():
            self._ahead = threading.Thread(target=self._wait_ahead, name=f"ahead-{self.name}", daemon=True)
            self._ahead.start()

    def _wait_ahead(self) -> None:
        """Opens no connection, which may ask a person: whoever calls is about to."""
        until = time.monotonic() + CONNECTED_S
        while self.state is not MachineState.CONNECTED:
            if time.monotonic() > until or self._closed.wait(CONNECTED_LOOK_S):
                return
        try:
            channel = self.exec_program("shared/ahead.py")
            try:
                while not self._closed.is_set() and channel.readline(LOOK_S) != b"":
                    pass
            finally:
                channel.close()
        except Exception as error:  # a hint: whoever starts the program will hear what is wrong there
            log.info("nothing waits on %s: %r", self.name, error)

    def exec_program(self, program: str, *words: str) -> SshChannel:
        """The shell itself looks whether the programs are there, so that it costs no round trip; its word comes with the
        answer to the request. Nothing has been written to the program before."""
        folder = self._programs.folder(self._config.root)
        command = shlex.join([str(folder / program), "--root", self._config.root, *words])
        line = f"[ -s {shlex.quote(str(folder / 'shared/runner.py'))} ] || exit {MISSING}; {self._python_line(command)}"
        for _ in range(ATTEMPTS):
            channel = self._exec(shlex.join(["sh", "-c", line]))
            if self._found(channel):
                return channel
            self._send_programs()
        raise MachineError("machine.no_answer", machine=self.name, status=MISSING)

    def exec_in_memory(self, module: str, asked: bytes) -> SshChannel:
        """Run a module of the programs without a file of it there: nothing is written on the machine. `asked` is its input.

        MachineError as those of `exec_program`.
        """
        text = (resources.remote_folder() / "shared" / "in_memory.py").read_bytes()
        archive = self._programs.zipped()
        command = ["-c", READ_AND_RUN, str(len(text)), module, "--root", self._config.root]
        # Python 3.6 takes file names for ASCII under the locale that many logins have.
        line = f"export LC_ALL=C.UTF-8; {self._python_line(shlex.join(command))}"
        channel = self._exec(shlex.join(["sh", "-c", line]))
        if not self._found(channel):
            raise MachineError("machine.no_answer", machine=self.name, status=MISSING)
        try:
            channel.write(text + b"%d\n" % len(archive) + archive + asked)
            channel.close_stdin()
        except MachineError as unsent:
            # What ended before it had read all may have said why: most often that there is no Python.
            status, errors = channel.finish()
            channel.close()
            raise (unsent if status == -1 else self._no_answer(status, errors)) from unsent
        return channel

    def ask_shell(self, line: str, seconds: float) -> list[str]:
        """What plain commands say, line by line, where no program of ours can run."""
        channel = self._exec(shlex.join(["sh", "-c", line]))
        try:
            channel.close_stdin()
            said = channel.read(DOUBTED_BYTES, seconds)
            return [answers.shown(one) for one in (said or b"").decode("utf-8", "replace").splitlines()]
        finally:
            channel.close()

    def round_trip_s(self) -> float:
        """The shortest of a few requests and their answers. Connects first, and raises what that raises."""
        transport = self._connection.transport()
        try:
            return min(self._round_trip_s(transport) for _ in range(ROUND_TRIPS))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise MachineError("machine.lost", machine=self.name) from error

    def fingerprint(self) -> str:
        """Of the connection that is open."""
        return fingerprint(self._connection.transport().get_remote_server_key())

    def _python_line(self, command: str) -> str:
        """Shell words that say where a login's own greeting ends, and become `PYTHON command`."""
        if self._config.python:
            return f"{SAY_FOUND}; exec {shlex.quote(self._config.python)} {command}"
        # Provisioning makes a virtual environment there; without one, the system's Python.
        own = shlex.quote(str(PurePosixPath(self._config.root) / "venv/bin/python"))
        return f'{SAY_FOUND}; p={own}; [ -x "$p" ] || p=python3; exec "$p" {command}'

    def _found(self, channel: SshChannel) -> bool:
        """Read up to the shell's word. MachineError for a machine whose shell does not answer as one."""
        began, doubted, found = time.monotonic(), False, False
        try:
            while not found:
                late = time.monotonic() - began
                line = channel.readline(max(0.001, (SHELL_TIMEOUT_S if doubted else NO_SHELL_S) - late))
                if line is None and not doubted:
                    doubted = True
                    self._doubt_shell()
                    continue
                if line is None or late > SHELL_TIMEOUT_S:
                    raise MachineError("machine.silent", machine=self.name)
                found = line.rstrip() == FOUND
                if not line.endswith(b"\n"):
                    break
            if not found:
                status, errors = channel.finish()
                if status != MISSING:
                    raise self._no_answer(status, errors)
            return found
        finally:
            if not found:
                channel.close()

    def _doubt_shell(self) -> None:
        """An account for SFTP alone runs its SFTP server whatever is asked for, and that waits for input; without any it
        ends. A shell that is slow says its word then too, sooner or later. MachineError `machine.no_answer` for no shell."""
        channel = self._exec(SAY_FOUND)
        try:
            channel.close_stdin()
            said = channel.read(DOUBTED_BYTES, SHELL_TIMEOUT_S)
            if said is not None and FOUND not in said:
                status, errors = channel.finish()
                raise MachineError("machine.no_answer", machine=self.name, status=status, details=errors.splitlines()[-10:])
        finally:
            channel.close()

    def _exec(self, line: str) -> SshChannel:
        self._used = self._connection.transport()
        return SshChannel.start(self._used, line, self.name)

    def _send_programs(self) -> None:
        """One exec: the text that unpacks, then the programs. Another laptop may do the same at the same time."""
        text = (resources.remote_folder() / "shared" / "unpack.py").read_bytes()
        archive, folder = self._programs.archive(), self._programs.folder(self._config.root)
        command = ["-c", READ_AND_RUN, str(len(text)), str(folder),
                   hashlib.sha256(archive).hexdigest()]
        channel = self._exec(shlex.join(["sh", "-c", self._python_line(shlex.join(command))]))
        if not self._found(channel):
            raise MachineError("machine.no_answer", machine=self.name, status=MISSING)
        self._answer(channel, text + archive)

    def doubt(self) -> None:
        """A channel has been silent for too long: where the connection does not answer either, the next use opens another."""
        transport = self._used
        if transport is not None and transport.is_active():
            try:
                transport.open_session(timeout=DOUBT_S).close()
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()
