"""A sentence at the lower edge of a page, with a way back: it goes by itself."""

from collections.abc import Callable

from PyQt5.QtCore import QEvent, QObject, Qt, QTimer
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from ai_nano.core.texts import t
from ai_nano.gui import style

STAYS_MS = 8000
ABOVE_EDGE = 64


class Toast(QFrame):
    """Lies over `page`. It stays while the pointer is on it."""

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._words = QLabel()
        self._words.setTextFormat(Qt.PlainText)
        self._undo = QPushButton()
        style.set_role(self._undo, "toast")
        self._undo.setFocusPolicy(Qt.TabFocus)
        self._undo.clicked.connect(self._on_undo)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 10, 8)
        row.setSpacing(12)
        row.addWidget(self._words)
        row.addWidget(self._undo)
        self._say: Callable[[], str] = str
        self._way_back: Callable[[], object] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(STAYS_MS)
        self._timer.timeout.connect(self.hide)
        page.installEventFilter(self)
        self.hide()

    def say(self, words: Callable[[], str], way_back: Callable[[], object] | None = None) -> None:
        """`words`: a function, since the language may change meanwhile. `way_back`: what "Undo" does; None: no such button."""
        self._say, self._way_back = words, way_back
        self.retranslate()
        self._undo.setVisible(way_back is not None)
        self.show()
        self.raise_()
        self._timer.start()

    def retranslate(self) -> None:
        self._words.setText(self._say())
        self._undo.setText(t("window.undo"))
        self._undo.setToolTip(t("window.undo.keys"))
        self._place()

    def _on_undo(self) -> None:
        self.hide()
        if self._way_back is not None:
            self._way_back()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.parent() and event.type() == QEvent.Resize:
            self._place()
        return False

    def enterEvent(self, event: QEvent) -> None:
        self._timer.stop()

    def leaveEvent(self, event: QEvent) -> None:
        if self.isVisible():
            self._timer.start()

    def _place(self) -> None:
        page = self.parentWidget()
        self.adjustSize()
        self.move(max(0, (page.width() - self.width()) // 2), max(0, page.height() - self.height() - ABOVE_EDGE))
