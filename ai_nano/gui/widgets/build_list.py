"""What the Nanos' builders of TensorRT engines are doing: time, memory, and the newest line of each."""

from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from ai_nano.core.events import Building
from ai_nano.core.room.turns import Turn
from ai_nano.gui import style

# In pixels; a builder's line may be longer than the window is wide.
LONGEST_LINE = 640


class BuildList(QFrame):
    """Hidden while nobody builds."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.set_role(self, "card")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(16, 12, 16, 12)
        self._column.setSpacing(4)
        self._rows: dict[str, tuple[QLabel, QLabel]] = {}
        self._said: dict[str, Callable[[], str]] = {}
        self.hide()

    def show_building(self, event: Building) -> None:
        words, line = self._row(event.machine)
        self._say(event.machine, lambda: event.text)
        line.setText(line.fontMetrics().elidedText(event.line, Qt.ElideRight, LONGEST_LINE))
        line.setToolTip(style.plain(event.line))
        line.setVisible(bool(event.line))
        self.show()

    def show_turn(self, event: Turn) -> None:
        """Before it builds: whom it waits for."""
        _, line = self._row(event.machine)
        self._say(event.machine, lambda: event.words)
        line.hide()
        self.show()

    def show_end(self, machine: str, words: Callable[[], str]) -> None:
        """How it ended on one Nano while others may go on."""
        if machine in self._rows:
            self._say(machine, lambda: f"{machine}: {words()}")
            self._rows[machine][1].hide()

    def retranslate(self) -> None:
        for machine, said in self._said.items():
            self._rows[machine][0].setText(said())

    def clear(self) -> None:
        for words, line in self._rows.values():
            words.deleteLater()
            line.deleteLater()
        self._rows, self._said = {}, {}
        self.hide()

    def _say(self, machine: str, words: Callable[[], str]) -> None:
        self._said[machine] = words
        self._rows[machine][0].setText(words())

    def _row(self, machine: str) -> tuple[QLabel, QLabel]:
        if machine not in self._rows:
            words, line = QLabel(), QLabel()
            words.setWordWrap(True)
            style.set_role(line, "note")
            for label in (words, line):
                label.setTextFormat(Qt.PlainText)
                self._column.addWidget(label)
            self._rows[machine] = words, line
        return self._rows[machine]
