"""What runs on the machines of the room, whoever started it, each with a button that ends it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import duration
from ai_nano.core.runs import Run
from ai_nano.core.texts import known, t

COLUMNS = ("machine", "step", "student", "since")
ROW = 44  # pixels, as the next
AIR = 8
# With more runs the list is scrolled.
SHOWN = 6


class RunningList(QWidget):
    """Signals: `look_wanted`; `end_wanted` with a run."""

    look_wanted = pyqtSignal()
    end_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        card = QFrame()
        card.setProperty("role", "card")
        self._note = QLabel()
        self._note.setProperty("role", "note")
        self._again = QPushButton()
        self._again.clicked.connect(self.look_wanted)
        self._left_out = QLabel()
        self._left_out.setProperty("role", "trouble")
        for label in (self._note, self._left_out):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        self._table = QTableWidget(0, len(COLUMNS) + 1)
        self._table.setEditTriggers(QTableWidget.NoEditTriggers)
        self._table.setSelectionMode(QTableWidget.NoSelection)
        self._table.setFocusPolicy(Qt.NoFocus)
        self._table.setShowGrid(False)
        self._table.verticalHeader().hide()
        self._table.horizontalHeader().setSectionResizeMode(QHeaderView.Stretch)
        self._table.horizontalHeader().setSectionResizeMode(len(COLUMNS), QHeaderView.Fixed)
        self._table.horizontalHeader().setDefaultAlignment(Qt.AlignLeft | Qt.AlignVCenter)
        self._table.verticalHeader().setDefaultSectionSize(ROW)
        top = QHBoxLayout()
        top.setSpacing(12)
        words = QVBoxLayout()
        words.addWidget(self._note)
        words.addWidget(self._left_out)
        top.addLayout(words, 1)
        top.addWidget(self._again, 0, Qt.AlignTop)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(card)
        around.addStretch(1)
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addLayout(top)
        column.addWidget(self._table)
        self._asked: Sequence[str] = ()
        self._runs: Sequence[Run] = ()
        self._missed: Mapping[str, AiNanoError] = {}
        self._busy = True
        self._doing: Callable[[], str] = str
        self.retranslate()

    def show_asking(self) -> None:
        self._show_busy(lambda: t("window.running.asking"))

    def show_ending(self, machine: str) -> None:
        self._show_busy(lambda: t("window.running.ending", machine=machine))

    def _show_busy(self, doing: Callable[[], str]) -> None:
        self._busy, self._doing = True, doing
        self._draw()

    def show_answer(self, runs: Sequence[Run], asked: Sequence[str], missed: Mapping[str, AiNanoError]) -> None:
        """Those of the `runs` that run still; `asked` are the machines that answered, `missed` the others."""
        self._runs = [run for run in runs if run["state"] == "running"]
        self._asked, self._missed, self._busy = asked, missed, False
        self._draw()

    def retranslate(self) -> None:
        self._table.setHorizontalHeaderLabels([*(t(f"window.running.{name}") for name in COLUMNS), ""])
        self._again.setText(t("window.machine.check"))
        self._draw()

    def _draw(self) -> None:
        self._again.setEnabled(not self._busy)
        if self._busy:
            self._note.setText(self._doing())
        else:
            nothing = bool(self._asked) and not self._runs
            self._note.setText(t("window.running.none", machines=self._asked) if nothing else "")
        self._note.setVisible(bool(self._note.text()))
        self._left_out.setVisible(bool(self._missed) and not self._busy)
        self._left_out.setText("\n".join(t("jobs.unreachable", machine=name, what=error.what)
                                         for name, error in self._missed.items()))
        self._table.setVisible(bool(self._runs))
        self._table.setRowCount(len(self._runs))
        for row, run in enumerate(self._runs):
            for column, text in enumerate((run["machine"], _doing(run), run.get("student") or "–",
                                           t("jobs.line_anonymous", age=duration(run["age_s"])))):
                self._table.setItem(row, column, QTableWidgetItem(text))
            end = QPushButton(t("window.running.end"))
            end.setProperty("role", "danger")
            end.setEnabled(not self._busy)
            end.clicked.connect(functools.partial(self._on_end, run))
            around = _with_air(end)
            self._table.setCellWidget(row, len(COLUMNS), around)
            around.ensurePolished()
            end.ensurePolished()
            self._table.setColumnWidth(len(COLUMNS), end.sizeHint().width() + 4 * AIR)
        rows = min(max(1, len(self._runs)), SHOWN)
        self._table.setFixedHeight(self._table.horizontalHeader().sizeHint().height() + rows * ROW + 4)

    def _on_end(self, run: Mapping[str, Any], _checked: bool = False) -> None:
        self.end_wanted.emit(run)


def step_words(run: Mapping[str, Any]) -> str:
    """The step that a run is the work of, as the rail calls it; of an unknown program its name."""
    code = f"window.step.{run['step']}"
    return t(code) if known(code) else str(run["step"])


def _doing(run: Mapping[str, Any]) -> str:
    return t("window.running.waits", step=step_words(run)) if run.get("waiting") else step_words(run)


def _with_air(button: QPushButton) -> QWidget:
    around = QWidget()
    row = QHBoxLayout(around)
    row.setContentsMargins(AIR, 3, AIR, 3)
    row.addWidget(button)
    return around
