"""One SSH connection to one machine: opened when first needed, shared, opened again when it has dropped."""

import contextlib
import functools
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import paramiko

from ai_nano.core.config import MachineConfig, Secret
from ai_nano.core.errors import AiNanoError, Cancelled, ConfigError, HostKeyError, MachineError
from ai_nano.core.ports import MachineReport, MachineState, Questions
from ai_nano.machines import reach
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.packets import Packets

CONNECT_TIMEOUT_S = 10.0
AUTH_TIMEOUT_S = 20.0
KEEPALIVE_S = 10
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")

log = logging.getLogger(__name__)
# Without a handler of its own, paramiko's errors would reach the student's terminal as tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


# What a machine says that is there but does not let us in.
_REFUSALS = ("machine.auth", "machine.key_missing", "machine.key_unreadable")


class _HungUp(Exception):
    """The machine hung up before the last answer could be judged; it is worth another connection.

    sshd waits two minutes for a login and allows six attempts, which an agent's keys use up; asyncssh's server takes
    paramiko's second attempt for a mistake.
    """


class _Attempt:
    """One opening, by one thread; others that need the connection wait for its outcome, and a close gives it up."""

    def __init__(self) -> None:
        self.outcome: Future[paramiko.Transport] = Future()
        self.given_up = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def use(self, sock: socket.socket) -> None:
        """This socket is the attempt's now. It is closed at once when the attempt has been given up."""
        with self._lock:
            self._socket = sock
            if self.given_up:
                sock.close()

    def give_up(self) -> None:
        """Whatever the opening thread waits for on the network ends."""
        with self._lock:
            self.given_up = True
            if self._socket is not None:
                # Closing alone would not wake a thread that reads from it.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


class Connection:
    """`_lock` guards the fields and is never held while the network or a person is waited for."""

    def __init__(self, machine: MachineConfig, host_keys: HostKeys, ask: Questions) -> None:
        self.machine = machine
        self._host_keys = host_keys
        self._ask = ask
        # Tried before all else: a password that worked when it was asked for, or that was not judged yet.
        self._password_first: Secret | None = None
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
        elif isinstance(error, HostKeyError) or error.code in _REFUSALS:
            state = MachineState.REFUSED
        elif isinstance(error, MachineError):
            state = MachineState.LOST if self._was_connected else MachineState.ABSENT
        else:
            state = MachineState.UNKNOWN
        if state is MachineState.LOST and error is None:
            error = self._error("machine.lost")
        return MachineReport(self.machine.name, state, error)

    # ---- opening -----------------------------------------------------------------------------------------------------

    def _error(self, code: str, /, **params: object) -> MachineError:
        machine = self.machine
        return MachineError(code, details=(), machine=machine.name, host=machine.host, port=machine.port,
                            login=machine.login, **params)

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
        if self.machine.via:
            raise ConfigError("machine.via", machine=self.machine.name)
        while not attempt.given_up:
            try:
                return self._open_once(attempt)
            except _HungUp:
                log.info("%s hung up; once more", self.machine.name)
        raise self._error("machine.lost")

    def _open_once(self, attempt: _Attempt) -> paramiko.Transport:
        sock = self._connect()
        attempt.use(sock)
        transport = paramiko.Transport(sock, packetizer_class=Packets)
        try:
            transport.banner_timeout = CONNECT_TIMEOUT_S
            transport.auth_timeout = AUTH_TIMEOUT_S
            self._prefer_pinned_kinds(transport)
            try:
                transport.start_client(timeout=CONNECT_TIMEOUT_S)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise self._error("machine.not_ssh", reason=str(error) or type(error).__name__) from error
            self._host_keys.check(self.machine, transport.get_remote_server_key(), self._ask)
            if attempt.given_up or not transport.is_active():
                raise _HungUp()
            self._log_in(transport)
            transport.set_keepalive(KEEPALIVE_S)
        except BaseException:
            transport.close()
            sock.close()  # a transport whose thread never started does not
            raise
        log.info("connected to %s", self.machine.name)
        return transport

    def _connect(self) -> socket.socket:
        sock = reach.open_socket(self.machine, CONNECT_TIMEOUT_S)
        # paramiko does not: many small SFTP packets would each wait for the other side's delayed ACK (facts: 2.7 MB/s
        # without, 123 MB/s with it, on loopback).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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

    # ---- logging in --------------------------------------------------------------------------------------------------

    def _log_in(self, transport: paramiko.Transport) -> None:
        """The config's key, the config's password; without either agent and usual keys, then a question."""
        machine = self.machine
        tried: list[str] = []
        if self._password_first is not None:
            password, self._password_first = self._password_first, None
            if not self._try_password(transport, password, tried):
                raise self._error("machine.auth", tried=tried)
            self._password_first = password
            return
        if machine.key_file is not None and self._try_key(transport, machine.key_file, tried):
            return
        if machine.key_file is None and machine.password is None and self._try_usual_keys(transport, tried):
            return
        given = machine.password or self._ask.password(machine.name, machine.login)
        if given is not None:
            if self._try_password(transport, given, tried):
                self._password_first = None if machine.password else Secret(given)
                return
            if not transport.is_active():
                self._password_first = Secret(given)
                raise _HungUp()
        raise self._error("machine.auth", tried=tried or ["-"])

    def _try_usual_keys(self, transport: paramiko.Transport, tried: list[str]) -> bool:
        for key in paramiko.Agent().get_keys():
            if self._try(transport, functools.partial(transport.auth_publickey, self.machine.login, key), "agent", tried):
                return True
        paths = [Path.home() / ".ssh" / name for name in DEFAULT_KEYS]
        return any(path.exists() and self._try_key(transport, path, tried, must_read=False) for path in paths)

    def _try_key(self, transport: paramiko.Transport, path: Path, tried: list[str], must_read: bool = True) -> bool:
        try:
            key = paramiko.PKey.from_path(path)
        except FileNotFoundError as error:
            raise self._error("machine.key_missing", file=path) from error
        except Exception as error:  # from_path raises what its parsers raise: SSHException, ValueError, UnknownKeyType, ...
            if not must_read:
                return False
            raise self._error("machine.key_unreadable", file=path, reason=type(error).__name__) from error
        return self._try(transport, lambda: transport.auth_publickey(self.machine.login, key), path.name, tried)

    def _try_password(self, transport: paramiko.Transport, password: str, tried: list[str]) -> bool:
        return self._try(transport, lambda: transport.auth_password(self.machine.login, str(password)), "password", tried)

    def _try(self, transport: paramiko.Transport, attempt: Callable[[], object], what: str, tried: list[str]) -> bool:
        """Whether it let us in. Once the machine has hung up, nothing more is tried."""
        if not transport.is_active():
            return False
        tried.append(what)
        try:
            attempt()
            return True
        except (paramiko.SSHException, EOFError, OSError):
            return False
