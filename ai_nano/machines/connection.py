"""One SSH connection to one machine: opened when first needed, shared, opened again when it has dropped."""

import logging
import random
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

import paramiko

from ai_nano.core.errors import AiNanoError, Cancelled, HostKeyError, MachineError
from ai_nano.core.ports import MachineReport, MachineState, Questions
from ai_nano.core.room.config import MachineConfig
from ai_nano.machines import link, reach
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.keyring_store import KeyringStore
from ai_nano.machines.link import Link
from ai_nano.machines.login import REFUSALS, HungUp, Login, machine_error
from ai_nano.machines.packets import Packets

CONNECT_TIMEOUT_S = 10.0
# A machine that hangs up while a person is asked, or that lets nobody finish.
CALLS = 4
CALL_AGAIN_S = 0.2
AUTH_TIMEOUT_S = 20.0
# A server that has not greeted after this may be one that waits for our greeting, which paramiko then sends.
GREETING_S = 5.0
# How long we come again to a machine that hangs up before it has greeted, and the first pause between.
CROWD_S = 8.0
CROWD_PAUSE_S = 0.3

log = logging.getLogger(__name__)
# Without a handler of its own, paramiko's errors would reach the student's terminal as tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_PROHIBITED = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, RFC 4254, 5.1


class _Attempt:
    """One opening, by one thread; others that need the connection wait for its outcome, and a close gives it up."""

    def __init__(self) -> None:
        self.outcome: Future[paramiko.Transport] = Future()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._link: Link | None = None

    @property
    def given_up(self) -> bool:
        return self._over.is_set()

    def use(self, link: Link) -> None:
        """This link is the attempt's now. It is closed at once when the attempt has been given up."""
        with self._lock:
            self._link = link
            if self.given_up:
                link.close()

    def pause(self, seconds: float) -> None:
        """Shorter when the attempt is given up."""
        self._over.wait(seconds)

    def give_up(self) -> None:
        """Whatever the opening thread waits for on the network ends."""
        with self._lock:
            self._over.set()
            if self._link is not None:
                self._link.hang_up()


class Connection:
    """`_lock` guards the fields and is never held while the network or a person is waited for."""

    def __init__(self, machine: MachineConfig, host_keys: HostKeys, ask: Questions, keyring: KeyringStore | None = None,
                 jump: "Connection | None" = None) -> None:
        """`jump` is the connection to the jump host, which others may share; it is opened when needed and not closed here."""
        self.machine = machine
        self._host_keys = host_keys
        self._ask = ask
        self._login = Login(machine, ask, keyring)
        self._jump = jump
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None
        self._attempt: _Attempt | None = None
        self._last_error: AiNanoError | None = None
        self._was_connected = False
        self.changed_at = 0.0  # monotonic: when the last attempt ended

    def transport(self) -> paramiko.Transport:
        """The open connection. Raises MachineError when the machine is not there or refuses.

        One thread opens it and asks what is to be asked; others wait and then use it, or get the same error.
        """
        with self._lock:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            attempt, mine = self._attempt, self._attempt is None
            if attempt is None:
                attempt = self._attempt = _Attempt()
        if mine:
            self._carry_out(attempt)
        return attempt.outcome.result()

    def close(self) -> None:
        """At once, also while a person is asked: the answer then comes too late. The next use opens another connection."""
        with self._lock:
            transport, attempt = self._transport, self._attempt
            self._transport = self._attempt = self._last_error = None
            self._was_connected = False
        if attempt is not None:
            attempt.give_up()
            attempt.outcome.set_exception(self._error("machine.lost"))
        if transport is not None:
            transport.close()

    def tunnel(self, machine: MachineConfig) -> paramiko.Channel:
        """A way to another machine through this one, the jump host. MachineError about the one of the two that fails."""
        transport = self.transport()
        told: dict[str, Any] = {"via": self.machine.name}
        try:
            return transport.open_channel("direct-tcpip", (machine.host, machine.port), ("127.0.0.1", 0),
                                          timeout=CONNECT_TIMEOUT_S)
        except paramiko.ChannelException as error:
            if error.code == _PROHIBITED:
                raise machine_error(machine, "machine.via_forbidden", **told) from error
            raise machine_error(machine, "machine.via_unreachable", **told) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not transport.is_active():
                raise self._error("machine.lost") from error
            raise machine_error(machine, "machine.via_unreachable", **told) from error

    @property
    def state(self) -> MachineState:
        return self.report.state

    @property
    def report(self) -> MachineReport:
        """Of the connection alone; takes no lock, so it never waits."""
        transport, error = self._transport, self._last_error
        if self._attempt is not None:
            state, error = MachineState.CONNECTING, None
        elif transport is not None:
            state, error = (MachineState.CONNECTED if transport.is_active() else MachineState.LOST), None
        elif error is None:
            state = MachineState.UNKNOWN
        elif (isinstance(error, HostKeyError) or error.code in REFUSALS) and not self._is_about_another(error):
            state = MachineState.REFUSED
        elif isinstance(error, MachineError):
            state = MachineState.LOST if self._was_connected else MachineState.ABSENT
        else:
            state = MachineState.UNKNOWN
        if state is MachineState.LOST and error is None:
            if self._jump is not None and self._jump.state is not MachineState.CONNECTED:
                error = self._error("machine.via_lost", via=self._jump.machine.name)
            else:
                error = self._error("machine.lost")
        return MachineReport(self.machine.name, state, error)

    # ---- opening -----------------------------------------------------------------------------------------------------

    def _error(self, code: str, /, **params: object) -> MachineError:
        return machine_error(self.machine, code, **params)

    def _is_about_another(self, error: AiNanoError) -> bool:
        """About the jump host."""
        return self._jump is not None and error.params.get("machine") != self.machine.name

    def _carry_out(self, attempt: _Attempt) -> None:
        """Ends with the attempt's outcome set, and raises only what is no Exception (Ctrl-C)."""
        transport: paramiko.Transport | None = None
        error: BaseException | None = None
        try:
            transport = self._open(attempt)
        except BaseException as caught:
            error = caught
        with self._lock:
            current = self._attempt is attempt
            if current:
                self._attempt = None
                self._transport = transport
                self._last_error = error if isinstance(error, AiNanoError) else None
                self._was_connected = self._was_connected or transport is not None
                self.changed_at = time.monotonic()
        if not current:  # given up: those who waited know already
            if transport is not None:
                transport.close()
        elif transport is not None:
            attempt.outcome.set_result(transport)
        else:
            assert error is not None
            attempt.outcome.set_exception(error if isinstance(error, Exception) else Cancelled())
        if error is not None and not isinstance(error, Exception):
            raise error

    def _open(self, attempt: _Attempt) -> paramiko.Transport:
        for _ in range(CALLS):
            if attempt.given_up:
                break
            try:
                return self._open_once(attempt)
            except HungUp:
                log.info("%s hung up; once more", self.machine.name)
                attempt.pause(CALL_AGAIN_S)
        raise self._error("machine.lost")

    def _open_once(self, attempt: _Attempt) -> paramiko.Transport:
        wire = self._greeted(attempt)
        transport: paramiko.Transport | None = None
        try:
            transport = paramiko.Transport(_as_socket(wire), packetizer_class=Packets)
            transport.banner_timeout = CONNECT_TIMEOUT_S
            transport.auth_timeout = AUTH_TIMEOUT_S
            self._prefer_pinned_kinds(transport)
            try:
                transport.start_client(timeout=CONNECT_TIMEOUT_S)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise reach.not_ssh(self.machine, str(error) or type(error).__name__) from error
            self._host_keys.check(self.machine, transport.get_remote_server_key(), self._ask)
            if attempt.given_up or not transport.is_active():
                raise HungUp()
            self._login.log_in(transport)
        except BaseException:
            if transport is not None:
                transport.close()
            wire.close()  # a transport whose thread never started does not
            raise
        link.watch(transport, wire, self.machine.name)
        log.info("connected to %s", self.machine.name)
        return transport

    def _greeted(self, attempt: _Attempt) -> Link:
        """A link at whose other end an SSH server has greeted, or may still do so.

        Of a whole class that comes at once, sshd sends a part away before it greets (MaxStartups): these come again, each
        after pauses of their own.
        """
        deadline = time.monotonic() + CROWD_S
        pause = CROWD_PAUSE_S
        while not attempt.given_up:
            try:
                wire = Link(self._connect())
            except MachineError as error:
                # Sent away before the operating system had told us that we are in.
                greeting, failure = reach.Greeting(b"", ended=isinstance(error.__cause__, ConnectionResetError)), error
            else:
                attempt.use(wire)
                greeting = wire.greeting(min(GREETING_S, CONNECT_TIMEOUT_S))
                if greeting.may_be_ssh:
                    return wire
                wire.close()
                failure = reach.not_ssh(self.machine, greeting.first_line)
            pause_now = pause * random.uniform(0.5, 1.5)
            if not greeting.is_busy or time.monotonic() + pause_now > deadline:
                raise failure
            log.info("%s is busy (%s); once more in %.1f s", self.machine.name, greeting.first_line, pause_now)
            attempt.pause(pause_now)
            pause = min(1.5, 1.6 * pause)
        raise self._error("machine.lost")

    def _connect(self) -> socket.socket | paramiko.Channel:
        if self._jump is not None:
            return self._jump.tunnel(self.machine)
        sock = reach.open_socket(self.machine, CONNECT_TIMEOUT_S)
        link.tune(sock)
        return sock

    def _prefer_pinned_kinds(self, transport: paramiko.Transport) -> None:
        pinned = self._host_keys.kinds(self.machine)
        if not pinned:
            return
        wanted = [name for kind in pinned for name in
                  (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))]
        options = transport.get_security_options()
        offered = list(options.key_types)
        first = [name for name in wanted if name in offered]
        options.key_types = [*first, *(name for name in offered if name not in first)]


def _as_socket(wire: Link) -> Any:
    """paramiko asks for recv, send, settimeout and close; its types ask for a socket."""
    return wire
