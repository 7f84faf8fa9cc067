"""Is a machine there? A TCP connection and the server's greeting, without paramiko and without logging in."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, MachineError
from ai_nano.core.ports import MachineReport, MachineState
from ai_nano.core.room.config import MachineConfig

TIMEOUT_S = 3.0
# RFC 4253, 4.2: other lines may come before the greeting.
_GREETING_BYTES = 8192
# What sshd says before it hangs up (sshd.c since 8.5 and 9.8).
_BUSY = (b"Exceeded MaxStartups", b"Not allowed at this time")


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

    Asks nobody and logs in nowhere, so it says nothing of a machine behind a jump host. Not to be called every second: an
    sshd notes each visitor who does not log in, and since OpenSSH 9.8 it shuts out those who come too often
    (PerSourcePenalties).
    """
    began = time.monotonic()
    try:
        sock = open_socket(config, timeout_s)
    except MachineError as error:
        return error
    with sock:
        greeting = read_greeting(sock, timeout_s - (time.monotonic() - began))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    return None if greeting.may_be_ssh else not_ssh(config, greeting.first_line)


def not_ssh(machine: MachineConfig, reason: str) -> MachineError:
    return MachineError("machine.not_ssh", machine=machine.name, host=machine.host, port=machine.port, login=machine.login,
                        reason=reason)


@dataclass(frozen=True)
class Greeting:
    """What a server said up to its SSH greeting; `ended` when more will not come, `in_time` False when it may be slow."""

    said: bytes
    ended: bool = False
    in_time: bool = True

    @property
    def is_ssh(self) -> bool:
        return any(line.startswith(b"SSH-") for line in self.said.splitlines())

    @property
    def may_be_ssh(self) -> bool:
        return self.is_ssh or not self.in_time

    @property
    def first_line(self) -> str:
        return self.said.splitlines()[0][:80].decode("ascii", "replace") if self.said else "EOF"

    @property
    def is_busy(self) -> bool:
        """sshd drops a part of a crowd (MaxStartups) or who came too often; older ones without a word."""
        return self.ended and self.said.startswith(_BUSY) if self.said else self.ended


class Wire(Protocol):
    """A socket, or a channel of a jump host's connection."""

    def settimeout(self, seconds: float | None, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...


def read_greeting(wire: Wire, timeout_s: float) -> Greeting:
    """Never raises."""
    deadline = time.monotonic() + timeout_s
    said = b""
    try:
        while len(said) < _GREETING_BYTES:
            wire.settimeout(max(0.01, deadline - time.monotonic()))
            block = wire.recv(1024)
            if not block:
                return Greeting(said, ended=True)
            said += block
            if any(line.startswith(b"SSH-") for line in said.splitlines(keepends=True) if line.endswith(b"\n")):
                break
    except TimeoutError:
        return Greeting(said, in_time=False)
    except OSError:  # it hung up roughly
        return Greeting(said, ended=True)
    return Greeting(said)


@dataclass(frozen=True)
class _Look:
    """`behind`: what was looked at is the machine's jump host."""

    error: AiNanoError | None
    at: float
    behind: bool = False


class LookAround:
    """Remembers which machines were there when somebody last looked, and tells it together with their connections' states."""

    def __init__(self, jump: Callable[[MachineConfig], MachineConfig | None] = lambda machine: None) -> None:
        """`jump` gives the jump host by which a machine is reached."""
        self._jump = jump
        self._looks: dict[str, _Look] = {}

    def look(self, machines: Iterable[MachineConfig], cancel: CancelToken, connected: Container[str] = ()) -> None:
        """Ask all at the same time; returns when all have been asked. Cancelled at once when it is cancelled.

        Of a machine behind a jump host the jump host is asked, once for all of them, and not if it is `connected` (names).
        """
        asked: dict[str, tuple[MachineConfig, list[MachineConfig]]] = {}
        for machine in machines:
            first = machine
            while (jump := self._jump(first)) is not None and first.name not in connected:
                first = jump
            if first is not machine and first.name in connected:
                self._looks[machine.name] = _Look(None, time.monotonic(), behind=True)
            else:
                asked.setdefault(first.name, (first, []))[1].append(machine)
        # Daemons: looking up a name has no time-out, and nobody should wait for it at the program's end.
        threads = [threading.Thread(target=self._look_at, args=look, name=f"reach-{look[0].name}", daemon=True)
                   for look in asked.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                cancel.check()
                thread.join(0.05)

    def _look_at(self, first: MachineConfig, machines: list[MachineConfig]) -> None:
        error = reachable(first)
        for machine in machines:
            behind = self._jump(machine) is not None
            about = error
            if behind and error is not None:
                about = MachineError("machine.via_absent", machine=machine.name, via=first.name, host=first.host,
                                     port=first.port)
            self._looks[machine.name] = _Look(about, time.monotonic(), behind)

    def report(self, name: str, own: MachineReport | None, changed_at: float) -> MachineReport:
        """`own` is what the machine's connection says, `changed_at` when it last tried; the later word counts."""
        own = own or MachineReport(name, MachineState.UNKNOWN)
        look = self._looks.get(name)
        if look is None or own.state in (MachineState.CONNECTING, MachineState.CONNECTED) or (
                own.state is not MachineState.UNKNOWN and changed_at > look.at):
            return own
        if look.error is None:
            if look.behind:
                return MachineReport(name, MachineState.UNKNOWN) if _failed_before(own) else own
            # That a port answers mends no wrong password.
            return own if own.state is MachineState.REFUSED else MachineReport(name, MachineState.REACHABLE)
        lost = own.state is MachineState.LOST
        return MachineReport(name, MachineState.LOST if lost else MachineState.ABSENT, look.error)


def _failed_before(own: MachineReport) -> bool:
    """Whether what went wrong was at the jump host, which is there again."""
    error = own.error
    return error is not None and (error.code == "machine.via_lost" or error.params.get("machine") != own.name)
