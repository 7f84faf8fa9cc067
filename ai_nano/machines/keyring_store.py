"""Passwords in the system's keyring (Secret Service, Keychain, Credential Manager), as far as there is one."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ai_nano.core.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "ai_nano"
# A locked keyring asks on the desktop, and a person may have to look for that password; without a desktop nobody can answer.
PATIENCE_S = 120.0
PATIENCE_WITHOUT_DESKTOP_S = 3.0
# Below this are the keyrings that keep nothing and those that keep passwords in a readable file.
_RECOMMENDED = 1

log = logging.getLogger(__name__)
_T = TypeVar("_T")


def account(machine: str, login: str, fingerprint: str) -> str:
    """What a password is kept under. The host key belongs to it: who merely calls his machine DL does not get DL's password."""
    return f"{machine} {login} {fingerprint}"


class KeyringStore:
    """Whatever goes wrong there counts as "nothing there", and is logged. May wait for a person: for worker threads."""

    def __init__(self, backend: "KeyringBackend | None" = None) -> None:
        """`backend` None: the system's, looked for when first needed (the library costs 0.1 s)."""
        self._given = backend
        self._lock = threading.Lock()
        self._searched = False
        self._found: KeyringBackend | None = None

    def usable(self) -> bool:
        """Whether a password can be kept."""
        return self._backend() is not None

    def get(self, account: str) -> Secret | None:
        return self._use(lambda backend: Secret(backend.get_password(SERVICE, account) or "")) or None

    def keep(self, account: str, password: Secret) -> None:
        self._use(lambda backend: backend.set_password(SERVICE, account, password))

    def forget(self, account: str) -> None:
        self._use(lambda backend: backend.delete_password(SERVICE, account))

    def _use(self, call: "Callable[[KeyringBackend], _T]") -> _T | None:
        backend = self._backend()
        return None if backend is None else self._in_time(lambda: call(backend))

    def _backend(self) -> "KeyringBackend | None":
        with self._lock:
            if not self._searched:
                self._searched = True
                self._found = self._in_time(self._search)
            return self._found

    def _search(self) -> "KeyringBackend | None":
        if self._given is not None:
            return self._given
        import keyring

        backend = keyring.get_keyring()
        return backend if backend.priority >= _RECOMMENDED else None

    def _in_time(self, call: Callable[[], _T]) -> _T | None:
        """In a thread of its own, since a keyring that never answers must not hold up the work. Then it is not asked again."""
        outcome: list[_T] = []

        def run() -> None:
            try:
                outcome.append(call())
            except Exception as error:  # each backend raises its own, and those of the D-Bus below
                log.info("the keyring failed: %s", type(error).__name__)

        thread = threading.Thread(target=run, name="keyring", daemon=True)
        thread.start()
        thread.join(PATIENCE_S if _has_desktop() else PATIENCE_WITHOUT_DESKTOP_S)
        if thread.is_alive():
            log.info("the keyring does not answer")
            self._found = None
        return outcome[0] if outcome else None


def _has_desktop() -> bool:
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
