"""A machine reached by SSH: the GPU server or a Nano."""

import hashlib
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko

from ai_nano import resources
from ai_nano.core.cancel import CancelToken
from ai_nano.core.config import MachineConfig
from ai_nano.core.errors import AiNanoError, MachineError, WorkFailed
from ai_nano.core.ports import MachineFacts, MachineReport, MachineState, Questions, Upload
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.channel import SshChannel
from ai_nano.machines.connection import Connection
from ai_nano.machines.hostkeys import HostKeys, fingerprint
from ai_nano.machines.programs import Programs
from ai_nano.machines.transfer.sftp import SftpTransfer

CHANNEL_TIMEOUT_S = 15.0
ROUND_TRIPS = 3
FULL_BELOW_BYTES = 1 << 20
# What the shell says when it has found the programs; a login's own greeting may come before.
FOUND = b"ai_nano: found"
# The exit status where they are not there.
MISSING = 97
# A login that prepares much (conda), a home on a slow network.
SHELL_TIMEOUT_S = 30.0
# For an answer of a connection that is in doubt.
DOUBT_S = 5.0
ATTEMPTS = 3


class SshMachine(ProgramMachine):
    """Constructing never connects."""

    def __init__(self, config: MachineConfig, programs: Programs, host_keys: HostKeys, ask: Questions) -> None:
        self.name = config.name
        self._config = config
        self._programs = programs
        self._connection = Connection(config, host_keys, ask)
        self._lock = threading.RLock()
        self._sftp_client: paramiko.SFTPClient | None = None
        self._sftp_transport: paramiko.Transport | None = None
        self._used: paramiko.Transport | None = None
        self._transfer = SftpTransfer(config.name, config.root, self._sftp)

    def close(self) -> None:
        """Never waits, not even for a person who is being asked something."""
        self._connection.close()

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
            return MachineFacts(self.name, min(self._round_trip_s(transport) for _ in range(ROUND_TRIPS)),
                                int(free["free_bytes"]), int(free["total_bytes"]), free.get("python"),
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

    def upload(self, files: Sequence[Upload], progress: Callable[[int, int], None], cancel: CancelToken) -> int:
        there: dict[str, Any] = {}
        for model in sorted({file.target.parts[1] for file in files}):
            listing: Mapping[str, Any] = self.store("listing", model)["files"]
            there.update({f"models/{model}/{name}": entry for name, entry in listing.items()})
        try:
            return self._transfer.upload(files, there, progress, cancel)
        except WorkFailed as error:
            # SFTP has no word for a full disk (version 3 says just "Failure"); the machine itself is asked.
            if error.code == "transfer.refused" and self._is_full():
                raise WorkFailed("transfer.disk_full", machine=self.name) from error
            raise

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        self._transfer.download(source, target, cancel)

    def _is_full(self) -> bool:
        try:
            return int(self.store("free")["free_bytes"]) < FULL_BELOW_BYTES
        except AiNanoError:
            return False

    def _sftp(self) -> paramiko.SFTPClient:
        transport = self._connection.transport()  # not inside the lock: a person may have to be asked
        with self._lock:
            if self._sftp_client is None or self._sftp_transport is not transport:
                try:
                    self._sftp_client = paramiko.SFTPClient.from_transport(transport)
                except (paramiko.SSHException, EOFError) as error:
                    raise MachineError("machine.no_sftp", machine=self.name) from error
                self._sftp_transport = transport
            assert self._sftp_client is not None, "from_transport gives None only for a channel that was refused"
            return self._sftp_client

    # ---- programs ----------------------------------------------------------------------------------------------------

    def exec_program(self, program: str, *words: str) -> SshChannel:
        """The shell itself looks whether the programs are there, so that it costs no round trip; its word comes with the
        answer to the request. Nothing has been written to the program before."""
        folder = self._programs.folder(self._config.root)
        command = shlex.join([str(folder / program), "--root", self._config.root, *words])
        line = f"[ -d {shlex.quote(str(folder))} ] || exit {MISSING}; {self._python_line(command)}"
        for _ in range(ATTEMPTS):
            channel = self._exec(shlex.join(["sh", "-c", line]))
            if self._found(channel):
                return channel
            self._send_programs()
        raise MachineError("machine.no_answer", machine=self.name, status=MISSING)

    def _python_line(self, command: str) -> str:
        """Shell words that say FOUND and become `PYTHON command`."""
        say = f"echo; echo '{FOUND.decode()}'"
        if self._config.python:
            return f"{say}; exec {shlex.quote(self._config.python)} {command}"
        # Provisioning makes a virtual environment there; without one, the system's Python.
        own = shlex.quote(str(PurePosixPath(self._config.root) / "venv/bin/python"))
        return f'{say}; p={own}; [ -x "$p" ] || p=python3; exec "$p" {command}'

    def _found(self, channel: SshChannel) -> bool:
        """Read up to the shell's word. MachineError for a machine whose shell does not answer as one."""
        deadline, found = time.monotonic() + SHELL_TIMEOUT_S, False
        try:
            while not found:
                line = channel.readline(max(0.001, deadline - time.monotonic()))
                if line is None or time.monotonic() > deadline:
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

    def _exec(self, line: str) -> SshChannel:
        transport = self._used = self._connection.transport()
        try:
            channel = transport.open_session(timeout=CHANNEL_TIMEOUT_S)
            channel.exec_command(line)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise MachineError("machine.lost", machine=self.name) from error
        return SshChannel(channel, self.name)

    def _send_programs(self) -> None:
        """One exec: the text that unpacks, then the programs. Another laptop may do the same at the same time."""
        text = (resources.remote_folder() / "shared" / "unpack.py").read_bytes()
        archive, folder = self._programs.archive(), self._programs.folder(self._config.root)
        command = ["-c", "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))", str(len(text)), str(folder),
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
