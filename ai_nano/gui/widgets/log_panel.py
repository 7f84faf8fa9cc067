"""The log: folds away, is bounded, and is written to in batches, so that no flood of lines slows the window."""

import time
from collections import deque
from collections.abc import Sequence

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QTextCharFormat, QTextCursor
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from ai_nano.core.events import Log
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.inbox import Batch, LogLine

KEPT_LINES = 2000
# As many as are said anew without a pause when the language changes.
SAID_AGAIN = 300


class LogPanel(QFrame):
    folded = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._toggle = QPushButton()
        self._toggle.setProperty("role", "plain")
        self._toggle.clicked.connect(lambda: self.set_open(not self.is_open))
        self._last = QLabel()
        self._last.setProperty("role", "note")
        self._last.setTextFormat(Qt.PlainText)
        self._last.setMinimumWidth(10)
        self._lines = QPlainTextEdit()
        self._lines.setReadOnly(True)
        self._lines.setMaximumBlockCount(KEPT_LINES)
        self._lines.setUndoRedoEnabled(False)
        self._lines.setLineWrapMode(QPlainTextEdit.WidgetWidth)
        self._lines.setMinimumHeight(40)
        head = QHBoxLayout()
        head.setContentsMargins(20, 2, 16, 2)
        head.addWidget(self._toggle)
        head.addWidget(self._last, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 2, 0, 2)
        rows.setSpacing(2)
        rows.addLayout(head)
        rows.addWidget(self._lines)
        self._kept: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._name_toggle()

    def sizeHint(self) -> QSize:
        return QSize(400, 150 if self.is_open else 34)

    @property
    def is_open(self) -> bool:
        return not self._lines.isHidden()

    def set_open(self, is_open: bool) -> None:
        self._lines.setVisible(is_open)
        self.setMaximumHeight(16777215 if is_open else 38)
        self._name_toggle()
        self.folded.emit(not is_open)

    def retranslate(self) -> None:
        """Language or theme changed: what was said last is said again, in other words and colours."""
        self._name_toggle()
        self._lines.clear()
        self._append(list(self._kept)[-SAID_AGAIN:])

    def _name_toggle(self) -> None:
        colour = style.tokens().accent
        self._toggle.setIcon(style.icon("down" if self.is_open else "right", colour, 12))
        self._toggle.setText(t("window.log"))
        self._last.setText(_shown(self._kept[-1])[0] if self._kept and not self.is_open else "")

    def add(self, batch: Batch) -> None:
        if batch.lines:
            self._kept.extend(batch.lines)
            self._append(batch.lines, batch.dropped)

    def _append(self, lines: Sequence[LogLine], dropped: int = 0) -> None:
        bar = self._lines.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        cursor = QTextCursor(self._lines.document())
        cursor.movePosition(QTextCursor.End)
        cursor.beginEditBlock()
        if dropped:
            self._write(cursor, t("window.log.dropped", count=dropped), style.tokens().warn)
        for line in lines:
            text, colour = _shown(line)
            self._write(cursor, text, colour)
        cursor.endEditBlock()
        if not self.is_open and lines:
            self._last.setText(_shown(lines[-1])[0])
        if at_end:
            bar.setValue(bar.maximum())

    def _write(self, cursor: QTextCursor, text: str, colour: str) -> None:
        shape = QTextCharFormat()
        shape.setForeground(QColor(colour))
        if not self._lines.document().isEmpty():
            cursor.insertBlock()
        cursor.insertText(text, shape)


def _shown(line: LogLine) -> tuple[str, str]:
    """The line's text and its colour."""
    tokens = style.tokens()
    clock = time.strftime("%H:%M:%S", time.localtime(line.t))
    colour = tokens.text
    if isinstance(line.event, Log):
        colour = {"warning": tokens.warn, "error": tokens.bad, "output": tokens.muted}.get(line.event.level, tokens.text)
    return f"{clock}  {line.event.machine}  {line.event.text.strip()}", colour
