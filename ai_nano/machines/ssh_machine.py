"""A machine reached by SSH: the GPU server or a Nano."""

import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import paramiko

from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.config import MachineConfig, ServerConfig
from ai_nano.core.errors import MachineError
from ai_nano.core.ports import Delivery, MachineFacts, MachineReport, MachineState, Parcel, Questions, Sent
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


class SshMachine(ProgramMachine):
    """Constructing never connects."""

    def __init__(self, config: MachineConfig, programs: Programs, host_keys: HostKeys, ask: Questions,
                 keyring: KeyringStore | None = None, jump: Connection | None = None) -> None:
        """`jump` is the connection to the jump host, if there is one; it is not closed here."""
        self.name = config.name
        self._config = config
        self._programs = programs
        self._connection = Connection(config, host_keys, ask, keyring, jump)
        self._lock = threading.RLock()
        self._programs_there = False
        transfer = config.transfer if isinstance(config, ServerConfig) else "auto"
        sftp = SftpPeer(config.name, config.root, lambda: open_client(self._connection.transport(), config.name))
        self._sender = Sender(transfer, TarPeer(config.name, self.exec_program), sftp, lambda: self.patience_s)

    def close(self) -> None:
        """Never waits, not even for a person who is being asked something."""
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

    def exec_program(self, program: str, *words: str) -> SshChannel:
        self._send_programs()
        folder = self._programs.folder(self._config.root)
        command = [str(folder / program), "--root", self._config.root, *words]
        if self._config.python:
            line = "exec " + shlex.join([self._config.python, *command])
        else:
            # Provisioning makes a virtual environment there; without one, the system's Python.
            own = shlex.quote(str(PurePosixPath(self._config.root) / "venv/bin/python"))
            line = f"p={own}; [ -x \"$p\" ] || p=python3; exec \"$p\" {shlex.join(command)}"
        return self._exec(shlex.join(["sh", "-c", line]))

    def _exec(self, line: str) -> SshChannel:
        return SshChannel.start(self._connection.transport(), line, self.name)

    def _send_programs(self) -> None:
        self._connection.transport()  # connected before the lock is taken: a person may have to be asked
        with self._lock:
            if self._programs_there:
                return
            folder = self._programs.folder(self._config.root)
            if not self._transfer.has_folder(folder):
                self._transfer.put_folder(self._programs.files, folder)
            self._programs_there = True
