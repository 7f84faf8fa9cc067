"""Questions of working threads, put to the person before the window."""

import queue
import threading
from collections import deque
from collections.abc import Callable

from PyQt5.QtWidgets import QDialog, QInputDialog, QLineEdit, QMessageBox, QWidget

from ai_nano.core.texts import t
from ai_nano.gui.bridge import Bridge


class WindowQuestions:
    """The thread that asks waits; the window does not, and shows one question at a time.

    Whoever still waits when the window closes is told no.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._parent: QWidget | None = None
        self._lock = threading.Lock()
        self._waiting: list[queue.SimpleQueue[object]] = []
        self._to_show: deque[Callable[[], QDialog]] = deque()
        self._shown: QDialog | None = None
        self._closed = False

    def attach(self, parent: QWidget) -> None:
        self._parent = parent

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        def show(answer: Callable[[object], None]) -> QDialog:
            box = QMessageBox(QMessageBox.Question, t("window.ask.host_key.title", machine=machine),
                              t("ask.host_key", machine=machine, kind=kind, fingerprint=fingerprint),
                              QMessageBox.NoButton, self._parent)
            yes = box.addButton(t("window.ask.host_key.yes"), QMessageBox.AcceptRole)
            box.addButton(t("window.ask.host_key.no"), QMessageBox.RejectRole)
            box.finished.connect(lambda _code: answer(box.clickedButton() is yes))
            return box

        return self._ask(show) is True

    def password(self, machine: str, login: str) -> str | None:
        def show(answer: Callable[[object], None]) -> QDialog:
            dialog = QInputDialog(self._parent)
            dialog.setWindowTitle(t("window.ask.password.title", machine=machine))
            dialog.setLabelText(t("ask.password", machine=machine, login=login))
            dialog.setTextEchoMode(QLineEdit.Password)
            dialog.finished.connect(lambda code: answer(dialog.textValue() if code == QDialog.Accepted else None))
            return dialog

        typed = self._ask(show)
        return typed if isinstance(typed, str) and typed else None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for waiting in self._waiting:
                waiting.put(None)

    def _ask(self, show: Callable[[Callable[[object], None]], QDialog]) -> object:
        answered: queue.SimpleQueue[object] = queue.SimpleQueue()
        with self._lock:
            if self._closed:
                return None
            self._waiting.append(answered)

        self._bridge.post(lambda: self._queue(lambda: show(answered.put)))
        try:
            return answered.get()
        finally:
            with self._lock:
                self._waiting.remove(answered)

    def _queue(self, make: Callable[[], QDialog]) -> None:
        self._to_show.append(make)
        self._show_next()

    def _show_next(self) -> None:
        if self._shown is None and self._to_show and not self._closed:
            self._shown = self._to_show.popleft()()
            self._shown.finished.connect(self._on_finished)
            self._shown.open()

    def _on_finished(self, _code: int) -> None:
        if self._shown is not None:
            self._shown.deleteLater()
            self._shown = None
        self._show_next()
