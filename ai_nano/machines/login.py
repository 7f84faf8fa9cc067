"""Logging in to a machine whose host key is known: keys, passwords, the keyring, a question."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from ai_nano.core.errors import MachineError
from ai_nano.core.ports import Questions
from ai_nano.core.room.config import MachineConfig
from ai_nano.core.secret import Secret
from ai_nano.machines.hostkeys import fingerprint
from ai_nano.machines.keyring_store import KeyringStore, account

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
# What a machine says that is there but does not let us in: a person has to mend these.
REFUSALS = ("machine.auth", "machine.no_password", "machine.key_missing", "machine.key_unreadable")


class HungUp(Exception):
    """The machine hung up before the last answer could be judged; it is worth another connection.

    sshd waits two minutes for a login and allows six attempts, which an agent's keys use up; asyncssh's server takes
    paramiko's second attempt for a mistake.
    """


def machine_error(machine: MachineConfig, code: str, /, **params: object) -> MachineError:
    return MachineError(code, details=(), machine=machine.name, host=machine.host, port=machine.port, login=machine.login,
                        **params)


@dataclass(frozen=True)
class _Password:
    """`kept`: it lies in the keyring. Once it has let us in, `keep` puts it there, `replaces` takes out the one before.

    `again`: the machine hung up on it before.
    """

    text: Secret
    kept: bool = False
    keep: bool = False
    replaces: bool = False
    again: bool = False


class Login:
    """One machine's; remembers for the session what let us in."""

    def __init__(self, machine: MachineConfig, ask: Questions, keyring: KeyringStore | None) -> None:
        self._machine = machine
        self._ask = ask
        self._keyring = keyring
        # Tried before all else: a password that let us in the last time, or that was not judged yet.
        self._first: _Password | None = None

    def log_in(self, transport: paramiko.Transport) -> None:
        """The config's key, the config's password; without either agent and usual keys; the keyring, then a question.

        Raises MachineError when all are refused, HungUp when it should be called again with another connection.
        """
        machine = self._machine
        tried: list[str] = []
        password, self._first = self._first, None
        if password is None:
            if machine.key_file is not None and self._try_key(transport, machine.key_file, tried):
                return
            if machine.key_file is None and machine.password is None and self._try_usual_keys(transport, tried):
                return
            password = _Password(machine.password) if machine.password is not None else self._kept(transport)
        if password is not None:
            if self._passes(transport, password, tried):
                return
            if not password.kept:
                raise self._refused(tried)
        asked = self._asked(replaces=password is not None)
        if asked is None and password is None and machine.key_file is None:
            raise machine_error(machine, "machine.no_password", tried=tried or "–")
        if asked is None or not self._passes(transport, asked, tried):
            raise self._refused(tried)

    def _refused(self, tried: list[str]) -> MachineError:
        return machine_error(self._machine, "machine.auth", tried=tried or ["-"])

    # ---- passwords ---------------------------------------------------------------------------------------------------

    def _passes(self, transport: paramiko.Transport, password: _Password, tried: list[str]) -> bool:
        """Whether it let us in. Raises HungUp, once, when it could not be judged."""
        login = self._machine.login
        # A Secret to the end: paramiko's own frames show no more than ours.
        if not self._try(transport, lambda: transport.auth_password(login, password.text), "password", tried):
            if transport.is_active() or password.again:
                return False
            self._first = replace(password, again=True)
            raise HungUp()
        if self._keyring is not None:
            if password.keep:
                self._keyring.keep(self._account(transport), password.text)
            elif password.replaces:
                self._keyring.forget(self._account(transport))
        if password.text is not self._machine.password:
            self._first = _Password(password.text, kept=password.kept or password.keep)
        return True

    def _account(self, transport: paramiko.Transport) -> str:
        return account(self._machine.name, self._machine.login, fingerprint(transport.get_remote_server_key()))

    def _kept(self, transport: paramiko.Transport) -> _Password | None:
        text = self._keyring.get(self._account(transport)) if self._keyring is not None else None
        return _Password(text, kept=True) if text is not None else None

    def _asked(self, replaces: bool) -> _Password | None:
        """`replaces`: the keyring has one, which was refused."""
        can_keep = self._keyring is not None and self._keyring.usable()
        answer = self._ask.password(self._machine.name, self._machine.login, can_keep)
        return _Password(answer.password, keep=answer.keep and can_keep, replaces=replaces) if answer is not None else None

    # ---- keys --------------------------------------------------------------------------------------------------------

    def _try_usual_keys(self, transport: paramiko.Transport, tried: list[str]) -> bool:
        with contextlib.suppress(paramiko.SSHException), contextlib.closing(paramiko.Agent()) as agent:
            for key in agent.get_keys():
                use = functools.partial(transport.auth_publickey, self._machine.login, key)
                if self._try(transport, use, "agent", tried):
                    return True
        paths = [Path.home() / ".ssh" / name for name in DEFAULT_KEYS]
        return any(path.exists() and self._try_key(transport, path, tried, must_read=False) for path in paths)

    def _try_key(self, transport: paramiko.Transport, path: Path, tried: list[str], must_read: bool = True) -> bool:
        try:
            key = paramiko.PKey.from_path(path)
        except FileNotFoundError as error:
            raise machine_error(self._machine, "machine.key_missing", file=path) from error
        except Exception as error:  # from_path raises what its parsers raise: SSHException, ValueError, UnknownKeyType, ...
            if not must_read:
                return False
            reason = type(error).__name__
            raise machine_error(self._machine, "machine.key_unreadable", file=path, reason=reason) from error
        return self._try(transport, lambda: transport.auth_publickey(self._machine.login, key), path.name, tried)

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
