"""One SSH connection to one machine: opened when first needed, shared, opened again when it has dropped."""

import functools
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko

from ai_nano.core.config import MachineConfig
from ai_nano.core.errors import ConfigError, MachineError
from ai_nano.core.ports import Questions
from ai_nano.machines.hostkeys import HostKeys

CONNECT_TIMEOUT_S = 10.0
AUTH_TIMEOUT_S = 20.0
KEEPALIVE_S = 10
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")

log = logging.getLogger(__name__)
# Without a handler of its own, paramiko's errors would reach the student's terminal as tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connection:
    def __init__(self, machine: MachineConfig, host_keys: HostKeys, ask: Questions) -> None:
        self.machine = machine
        self._host_keys = host_keys
        self._ask = ask
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None

    def transport(self) -> paramiko.Transport:
        """The open connection. Raises MachineError when the machine is not there or refuses."""
        with self._lock:
            if self._transport is None or not self._transport.is_active():
                self._transport = self._open()
            return self._transport

    def close(self) -> None:
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    # ---- opening -----------------------------------------------------------------------------------------------------

    def _error(self, code: str, /, **params: object) -> MachineError:
        machine = self.machine
        return MachineError(code, details=(), machine=machine.name, host=machine.host, port=machine.port,
                            login=machine.login, **params)

    def _open(self) -> paramiko.Transport:
        if self.machine.via:
            raise ConfigError("machine.via", machine=self.machine.name)
        sock = self._connect()
        transport = paramiko.Transport(sock)
        try:
            transport.banner_timeout = CONNECT_TIMEOUT_S
            transport.auth_timeout = AUTH_TIMEOUT_S
            self._prefer_pinned_kinds(transport)
            try:
                transport.start_client(timeout=CONNECT_TIMEOUT_S)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise self._error("machine.not_ssh", reason=str(error) or type(error).__name__) from error
            self._host_keys.check(self.machine, transport.get_remote_server_key(), self._ask)
            self._log_in(transport)
            transport.set_keepalive(KEEPALIVE_S)
        except BaseException:
            transport.close()
            sock.close()  # a transport whose thread never started does not
            raise
        log.info("connected to %s", self.machine.name)
        return transport

    def _connect(self) -> socket.socket:
        machine = self.machine
        try:
            sock = socket.create_connection((machine.host, machine.port), CONNECT_TIMEOUT_S)
        except (socket.gaierror, UnicodeError) as error:  # UnicodeError: an address like 192.168..10
            raise self._error("machine.unknown_host") from error
        except ConnectionRefusedError as error:
            raise self._error("machine.refused") from error
        except OSError as error:
            raise self._error("machine.unreachable", reason=error.strerror or str(error)) from error
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
        if machine.key_file is not None and self._try_key(transport, machine.key_file, tried):
            return
        if machine.password is not None:
            if self._try_password(transport, str(machine.password), tried):
                return
            raise self._error("machine.auth", tried=tried)
        if machine.key_file is None:
            for key in paramiko.Agent().get_keys():
                if self._try(transport, functools.partial(transport.auth_publickey, machine.login, key), "agent", tried):
                    return
            for name in DEFAULT_KEYS:
                path = Path.home() / ".ssh" / name
                if path.exists() and self._try_key(transport, path, tried, must_read=False):
                    return
        password = self._ask.password(machine.name, machine.login)
        if password is not None and self._try_password(transport, password, tried):
            return
        raise self._error("machine.auth", tried=tried or ["-"])

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
        return self._try(transport, lambda: transport.auth_password(self.machine.login, password), "password", tried)

    def _try(self, transport: paramiko.Transport, attempt: Callable[[], object], what: str, tried: list[str]) -> bool:
        tried.append(what)
        try:
            attempt()
            return True
        except paramiko.AuthenticationException:
            return False
        except (paramiko.SSHException, EOFError, OSError) as error:
            # The server hangs up after too many attempts.
            raise self._error("machine.auth", tried=tried) from error
