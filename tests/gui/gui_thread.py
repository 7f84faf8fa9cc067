"""Runs a test's script beside the GUI thread, while the GUI thread does what it does for a person: handle events."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeVar

from PyQt5.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, QTimer
from PyQt5.QtWidgets import QApplication, QMenu, QWidget

T = TypeVar("T")

_DEAF_S = 60.0
_INSIST_MS = 40
_NESTED_AFTER = 6  # times, each of which the GUI thread was free to return


class _Calls(QObject):
    """Calls functions in the thread that made this object, in whatever event loop runs there."""

    _kind = QEvent.Type(QEvent.registerEventType())

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def post(self, function: Callable[[], None]) -> None:
        self._waiting.put(function)
        QCoreApplication.postEvent(self, QEvent(self._kind))

    def event(self, event: QEvent) -> bool:
        if event.type() != self._kind:
            return super().event(event)
        self._waiting.get()()
        return True


@dataclass(frozen=True)
class Outcome:
    """How a script ended, apart from its value."""

    closed_menus: bool = False  # menus that were still open in event loops of their own
    closed_dialog: str = ""  # likewise the title of a dialog


class GuiThread:
    """The thread that made it, which has to be the one of QApplication."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self._calls = _Calls()

    def is_current(self) -> bool:
        return threading.get_ident() == self._ident

    def ask(self, question: Callable[[], T]) -> T:
        """The answer of a function that is called in the GUI thread. Raises what it raises."""
        if self.is_current():
            return question()
        answer: Future[T] = Future()

        def call() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # also a time-out of pytest, which arrives here as an exception
                answer.set_exception(error)

        self._calls.post(call)
        try:
            return answer.result(_DEAF_S)
        except FutureTimeout:
            if answer.done():
                raise
            raise AssertionError(f"the window handled no event for {_DEAF_S:.0f} s") from None

    def beside(self, script: Callable[[], T]) -> tuple[Future[T], Outcome]:
        """Runs the script in a thread of its own, and an event loop here until it ends.

        This call cannot return while the program is in an event loop of its own inside ours (exec() of a dialog, the
        menu of a button). Such dialogs and menus are closed when the script has ended; the outcome tells.
        """
        loop, result, guard = QEventLoop(), Future[T](), _Guard()

        def run() -> None:
            try:
                result.set_result(script())
            except BaseException as error:
                result.set_exception(error)
            self._calls.post(end)

        def end() -> None:
            loop.quit()
            guard.start()

        thread = threading.Thread(target=run, name="a test's script")
        thread.start()
        try:
            loop.exec_()
        finally:
            guard.stop()
        thread.join()
        return result, Outcome(guard.closed_menus, guard.closed_dialog)


class _Guard:
    """Closes, one after the other, what keeps the GUI thread from returning to the test."""

    def __init__(self) -> None:
        self.closed_menus = False
        self.closed_dialog = ""
        self._ticks = 0
        self._timer = QTimer()
        self._timer.setInterval(_INSIST_MS)
        self._timer.timeout.connect(self._insist)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def _insist(self) -> None:
        self._ticks += 1
        if self._ticks < _NESTED_AFTER:
            return
        popup: QWidget | None = QApplication.activePopupWidget()
        dialog = QApplication.activeModalWidget()
        if isinstance(popup, QMenu):
            self.closed_menus = True
            popup.close()
        elif popup is not None:
            popup.close()
        elif dialog is not None:
            self.closed_dialog = dialog.windowTitle() or type(dialog).__name__
            dialog.close()
