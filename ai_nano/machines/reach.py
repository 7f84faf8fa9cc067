"""Is a machine there? A TCP connection and the server's greeting, without paramiko and without logging in."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ai_nano.core.cancel import CancelToken
from ai_nano.core.config import MachineConfig
from ai_nano.core.errors import AiNanoError, ConfigError, MachineError
from ai_nano.core.ports import MachineReport, MachineState

TIMEOUT_S = 3.0
# RFC 4253, 4.2: other lines may come before the greeting.
_GREETING_BYTES = 8192


def open_socket(machine: MachineConfig, timeout_s: float) -> socket.socket:
    """A TCP connection to the machine. MachineError when it cannot be reached."""
    params: dict[str, Any] = {"machine": machine.name, "host": machine.host, "port": machine.port, "login": machine.login}
    try:
        return socket.create_connection((machine.host, machine.port), timeout_s)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: an address like 192.168..10
        raise MachineError("machine.unknown_host", **params) from error
    except ConnectionRefusedError as error:
        raise MachineError("machine.refused", **params) from error
    except OSError as error:
        raise MachineError("machine.unreachable", **params, reason=error.strerror or str(error)) from error


def reachable(config: MachineConfig, timeout_s: float = TIMEOUT_S) -> AiNanoError | None:
    """None when an SSH server answers at the machine's address, or something that says nothing within the time.

    Asks nobody and logs in nowhere. Not to be called every second: an sshd notes each visitor who does not log in, and
    since OpenSSH 9.8 it shuts out those who come too often (PerSourcePenalties).
    """
    if config.via:
        return ConfigError("machine.via", machine=config.name)
    deadline = time.monotonic() + timeout_s
    try:
        sock = open_socket(config, timeout_s)
    except MachineError as error:
        return error
    with sock:
        said = _greeting(sock, deadline)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    if said is None or any(line.startswith(b"SSH-") for line in said.splitlines()):
        return None
    first = said.splitlines()[0][:80].decode("ascii", "replace") if said else "EOF"
    return MachineError("machine.not_ssh", machine=config.name, host=config.host, port=config.port, login=config.login,
                        reason=first)


def _greeting(sock: socket.socket, deadline: float) -> bytes | None:
    """What the server says up to its SSH greeting; None when that did not come in time, all there was when it hung up."""
    said = b""
    try:
        while len(said) < _GREETING_BYTES:
            sock.settimeout(max(0.01, deadline - time.monotonic()))
            block = sock.recv(1024)
            if not block:
                break
            said += block
            if any(line.startswith(b"SSH-") for line in said.splitlines(keepends=True) if line.endswith(b"\n")):
                break
    except TimeoutError:
        return None
    except OSError:
        pass  # it hung up roughly
    return said


@dataclass(frozen=True)
class _Look:
    error: AiNanoError | None
    at: float


class LookAround:
    """Remembers which machines were there when somebody last looked, and tells it together with their connections' states."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def look(self, machines: Iterable[MachineConfig], cancel: CancelToken) -> None:
        """Ask all at the same time; returns when all have been asked. Cancelled at once when it is cancelled."""
        # Daemons: looking up a name has no time-out, and nobody should wait for it at the program's end.
        threads = [threading.Thread(target=self._look_at, args=(machine,), name=f"reach-{machine.name}", daemon=True)
                   for machine in machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                cancel.check()
                thread.join(0.05)

    def _look_at(self, machine: MachineConfig) -> None:
        error = reachable(machine)
        self._looks[machine.name] = _Look(error, time.monotonic())

    def report(self, name: str, own: MachineReport | None, changed_at: float) -> MachineReport:
        """`own` is what the machine's connection says, `changed_at` when it last tried; the later word counts."""
        own = own or MachineReport(name, MachineState.UNKNOWN)
        look = self._looks.get(name)
        if look is None or own.state in (MachineState.CONNECTING, MachineState.CONNECTED) or (
                own.state is not MachineState.UNKNOWN and changed_at > look.at):
            return own
        if look.error is None:
            # That a port answers mends no wrong password.
            return own if own.state is MachineState.REFUSED else MachineReport(name, MachineState.REACHABLE)
        if not isinstance(look.error, MachineError):
            return MachineReport(name, MachineState.UNKNOWN, look.error)
        lost = own.state is MachineState.LOST
        return MachineReport(name, MachineState.LOST if lost else MachineState.ABSENT, look.error)
