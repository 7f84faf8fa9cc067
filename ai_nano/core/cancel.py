"""A cancel token: asked for in one thread, noticed in another, without a queue between them."""

import threading

from ai_nano.core.errors import Cancelled


class CancelToken:
    """Cancelling ends the work; detaching ends only the watching of work that goes on by itself on another machine."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._detached = False

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def detach(self) -> None:
        self._detached = True

    @property
    def detached(self) -> bool:
        return self._detached

    def check(self) -> None:
        """Raise Cancelled if somebody asked for it."""
        if self._event.is_set():
            raise Cancelled()

    def wait(self, seconds: float) -> bool:
        """Sleep at most `seconds`; True as soon as it is cancelled."""
        return self._event.wait(seconds)


class OnlookersToken(CancelToken):
    """For following what somebody else has started: never cancelled, and detached as soon as `own` is either. Who cancels his
    own work stops looking on, and ends nothing."""

    def __init__(self, own: CancelToken) -> None:
        super().__init__()
        self._own = own

    @property
    def detached(self) -> bool:
        return self._own.cancelled or self._own.detached
