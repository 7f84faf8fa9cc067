"""Questions of working threads, put to the person before the window."""

import queue
import threading
from collections import deque
from collections.abc import Callable

from PyQt5.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QLineEdit,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.ports import Answer
from ai_nano.core.secret import Secret
from ai_nano.core.texts import t
from ai_nano.gui.bridge import Bridge

WIDTH = 380  # pixels


class PasswordDialog(QDialog):
    """Asks for a login's password, and where it can be kept, whether it may."""

    def __init__(self, machine: str, login: str, can_keep: bool, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(t("window.ask.password.title", machine=machine))
        question = QLabel(t("ask.password", machine=machine, login=login))
        question.setWordWrap(True)
        self.typed = QLineEdit()
        self.typed.setEchoMode(QLineEdit.Password)
        question.setBuddy(self.typed)
        self.keep = QCheckBox(t("window.ask.password.keep"))
        buttons = QDialogButtonBox()
        self.log_in = buttons.addButton(t("window.ask.password.yes"), QDialogButtonBox.AcceptRole)
        self.log_in.setProperty("role", "primary")
        self.log_in.setEnabled(False)
        buttons.addButton(t("window.ask.password.no"), QDialogButtonBox.RejectRole)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        self.setMinimumWidth(WIDTH)
        for widget in (question, self.typed, *((self.keep,) if can_keep else ()), buttons):
            layout.addWidget(widget)
        self.typed.textChanged.connect(lambda text: self.log_in.setEnabled(bool(text)))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)

    def answer(self) -> Answer:
        return Answer(Secret(self.typed.text()), self.keep.isChecked())


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

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        def show(answer: Callable[[object], None]) -> QDialog:
            dialog = PasswordDialog(machine, login, can_keep, self._parent)
            dialog.finished.connect(lambda code: answer(dialog.answer() if code == QDialog.Accepted else None))
            return dialog

        given = self._ask(show)
        return given if isinstance(given, Answer) else None

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
