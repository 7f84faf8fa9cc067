"""The queue of a Nano while its student waits, and how long is left when others do."""

import time
from collections.abc import Callable

from PyQt5.QtCore import Qt, QTimer, pyqtSignal
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ai_nano.core.room.training_queue import Queued
from ai_nano.core.room.turns import Turn
from ai_nano.core.texts import t
from ai_nano.gui import style

# Of a longer queue the first ones are named, the others counted.
MOST_ROWS = 3
TICK_MS = 1000


class TurnStrip(QFrame):
    """Hidden while nobody waits. Signals: `end_wanted` with the id of the student's own run that is in the way; `shown` when
    it appears (True) or goes."""

    end_wanted = pyqtSignal(str)
    shown = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.set_role(self, "card")
        self._head, self._rows = QLabel(), QLabel()
        style.set_role(self._rows, "note")
        for label in (self._head, self._rows):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        self.end_own = QPushButton()
        self.end_own.clicked.connect(self._on_end)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._head)
        words.addWidget(self._rows)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(12)
        row.addLayout(words, 1)
        row.addWidget(self.end_own, 0, Qt.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Maximum)
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._draw)
        self._turn: Turn | None = None
        self._queued: Queued | None = None
        self._over: Callable[[], str] | None = None
        self._ends_at = 0.0
        self.hide()

    @property
    def waiting(self) -> bool:
        return self._queued is not None or (self._turn is not None and self._turn.state == "waiting")

    def show_queue(self, queued: Queued) -> None:
        """Of a training: where it waits for a GPU; hidden once it has one."""
        self._queued = queued if queued.waits else None
        self._draw()

    def show_turn(self, turn: Turn) -> None:
        before = self._turn.own if self._turn is not None else None
        if before is None or turn.own is None or before.run != turn.own.run:
            self.end_own.setEnabled(True)
        self._turn, self._over = turn, None
        if turn.state == "ending":
            self._ends_at = time.monotonic() + turn.left_s
            self._tick.start()
        else:
            self._tick.stop()
        self._draw()

    def show_over(self, words: Callable[[], str]) -> None:
        """The turn is over, for the others; said until the next start."""
        self._tick.stop()
        self._turn, self._over = None, words
        self._draw()

    def end(self) -> None:
        """The step has ended."""
        if self._over is None:
            self.clear()

    def clear(self) -> None:
        self._tick.stop()
        self._turn = self._over = self._queued = None
        self._draw()

    def retranslate(self) -> None:
        self._draw()

    def _draw(self) -> None:
        turn = self._turn
        shown = self._over is not None or self._queued is not None or (turn is not None and turn.state != "yours")
        if shown == self.isHidden():
            self.setVisible(shown)
            self.shown.emit(shown)
        style.set_role(self._head, "figure" if self.waiting else "worry")
        if self._over is not None:
            self._head.setText(self._over())
        elif self._queued is not None:
            self._head.setText(self._queued.headline)
        elif turn is not None:
            self._head.setText(turn.place if self.waiting else turn.ending(max(0.0, self._ends_at - time.monotonic())))
        if self._queued is not None:
            self._rows.setText("\n".join(_first(self._queued.rows)))
        else:
            self._rows.setText(_queue(turn) if turn is not None and self.waiting else "")
        self._rows.setVisible(bool(self._rows.text()))
        self.end_own.setText(t("window.turn.end_own"))
        self.end_own.setVisible(self.waiting and turn is not None and turn.own is not None)

    def _on_end(self) -> None:
        own = self._turn.own if self._turn is not None else None
        if own is not None:
            self.end_own.setEnabled(False)
            self.end_wanted.emit(own.run)


def _first(rows: list[str]) -> list[str]:
    left = len(rows) - MOST_ROWS
    return rows if left <= 0 else [*rows[:MOST_ROWS - 1], f"{rows[MOST_ROWS - 1]}  ·  {t('window.turn.more', count=left)}"]


def _queue(turn: Turn) -> str:
    """A line for each who is before the student: who has the turn, and those who wait, numbered."""
    rows = [place.words(has_turn=position == 0) for position, place in enumerate(turn.ahead[:MOST_ROWS])]
    lines = [f"{position}.  {row}" if position else t("window.turn.now", row=row) for position, row in enumerate(rows)]
    if len(turn.ahead) > MOST_ROWS:
        lines[-1] += f"  ·  {t('window.turn.more', count=len(turn.ahead) - MOST_ROWS)}"
    return "\n".join([*lines, *([t("window.turn.own", who=turn.own.who)] if turn.own is not None else [])])
