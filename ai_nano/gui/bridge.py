"""The one hop from other threads to the Qt thread."""

from collections.abc import Callable

from PyQt5.QtCore import QObject, Qt, pyqtSignal


class Bridge(QObject):
    """Made in the Qt thread; `post` may be called from any. Calls are carried out there, in the order of their posting.

    For what happens now and then. Frames go through a Mailbox and the log through the Inbox, whose pokes alone come here:
    queued frame signals were measured at 4 s late under load (architecture page).
    """

    _posted = pyqtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self._posted.connect(self._carry_out, Qt.QueuedConnection)  # type: ignore[call-arg]

    def post(self, call: Callable[[], object]) -> None:
        if not self._closed:
            self._posted.emit(call)

    def close(self) -> None:
        """What is still on its way is dropped: the window that it was for has gone."""
        self._closed = True

    def _carry_out(self, call: Callable[[], object]) -> None:
        if not self._closed:
            call()
