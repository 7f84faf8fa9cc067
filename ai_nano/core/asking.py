"""A machine that is asked the same question again and again, in a thread of its own, for as long as somebody looks."""

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

from ai_nano.core.errors import AiNanoError, HostKeyError, MachineError

# One that is not there is asked less often.
ABSENT_S = 10.0
# A person must do something first: asking again by itself would put the same question again, or lock the login.
REFUSED = ("machine.auth", "machine.no_password", "machine.key_missing", "machine.key_unreadable")


class Asking:
    """`run` in a thread of its own until `stop`. A subclass puts the question in `ask`."""

    def __init__(self) -> None:
        self._over = False
        self._wake = threading.Event()

    def ask(self) -> float | None:
        """After how many seconds to ask again; None: once somebody wants it."""
        raise NotImplementedError

    def leave(self) -> None:
        """In the thread, when it ends."""

    def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                if self._over:
                    return
                self._wake.wait(self.ask())
        finally:
            self.leave()

    def stop(self) -> None:
        """At once; a question that is on its way is not waited for."""
        self._over = True
        self._wake.set()

    def look_again(self) -> None:
        """Ask now, and a machine that refused too."""
        self._wake.set()


Asked = TypeVar("Asked", bound=Asking)


class Watches(Generic[Asked]):
    """Those of a room together. `watches` are to be run, each in a thread of its own."""

    def __init__(self, watches: Sequence[Asked]) -> None:
        self.watches = watches

    def stop(self) -> None:
        for watch in self.watches:
            watch.stop()

    def look_again(self) -> None:
        for watch in self.watches:
            watch.look_again()


def again_after(error: AiNanoError) -> float | None:
    """How soon a machine that did not answer is asked again."""
    final = not isinstance(error, MachineError) or isinstance(error, HostKeyError) or error.code in REFUSED
    return None if final else ABSENT_S
