"""Clean up: what of whom lies on the machines of the room, what of it is to go, and the receipt afterwards."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PyQt5.QtCore import Qt, QTimer
from PyQt5.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import amount
from ai_nano.core.room import cleaning
from ai_nano.core.room.cleaning import Plan, Receipt, Row, Scope
from ai_nano.core.room.inventory import Thing
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.confirm import confirm
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.error_box import ErrorBox
from ai_nano.gui.widgets.text_table import TextTable
from ai_nano.steps import clean

T = TypeVar("T")

SIZE = (960, 560)  # pixels, as the next
EDGE = 60
COLUMNS = ("machine", "student", "projects", "amount", "note")
OWN, ROOM = "own", "room"
TICK_MS = 200
# Of the question; the table behind it has them all.
MOST_LINES = 20
MOST_ROWS = 500


class CleanDialog(QDialog):
    """One for the window, shown again each time: an answer may come when it has been closed."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self._round = 0
        self._found: Sequence[clean.Answer] = ()
        self._gone: dict[str, tuple[int, int]] = {}
        self._cancel = CancelToken()
        self._removing = False
        self._receipt: Receipt | None = None
        self._whose_label, self._note, self._kept = QLabel(), QLabel(), QLabel()
        for label in (self._note, self._kept):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        style.set_role(self._note, "note")
        style.set_role(self._kept, "note")
        self._whose = QComboBox()
        self._whose.setMinimumWidth(320)
        self._whose_label.setBuddy(self._whose)
        self._keep_models, self._end = QCheckBox(), QCheckBox()
        self._table = TextTable(len(COLUMNS), tuple(COLUMNS.index(name) for name in ("machine", "student", "amount")))
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._table)
        self._pages.addWidget(self._text)
        self._problem = ErrorBox()
        self._again, self._remove, self._copy, self._close = QPushButton(), QPushButton(), QPushButton(), QPushButton()
        self._stop = QPushButton()
        style.set_role(self._remove, "danger")
        self._ticks = QTimer(self)
        self._ticks.setInterval(TICK_MS)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        above, options, below = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        above.addWidget(self._whose_label)
        above.addWidget(self._whose)
        above.addStretch(1)
        above.addWidget(self._again)
        options.addWidget(self._keep_models)
        options.addSpacing(24)
        options.addWidget(self._end)
        options.addStretch(1)
        below.addWidget(self._note, 1)
        for button in (self._copy, self._remove, self._stop, self._close):
            below.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addLayout(above)
        column.addLayout(options)
        column.addWidget(self._pages, 1)
        column.addWidget(self._kept)
        column.addWidget(self._problem)
        column.addLayout(below)

    def _connect(self) -> None:
        self._problem.dismissed.connect(lambda: self._problem.show_error(None))
        self._whose.currentIndexChanged.connect(lambda _index: self._draw())
        self._keep_models.toggled.connect(lambda _on: self._draw())
        self._end.toggled.connect(lambda _on: self._draw())
        self._again.clicked.connect(lambda: self._look())
        self._remove.clicked.connect(lambda: self._on_remove())
        self._stop.clicked.connect(lambda: self._on_stop())
        self._copy.clicked.connect(lambda: self._on_copy())
        self._close.clicked.connect(self.accept)
        self._ticks.timeout.connect(self._tell_progress)

    def ask(self) -> None:
        """Show it and look at all machines."""
        self.setWindowTitle(t("window.clean.title"))
        for widget, code in ((self._whose_label, "whose"), (self._keep_models, "keep_models"), (self._end, "end"),
                             (self._again, "again"), (self._remove, "remove"), (self._copy, "copy")):
            widget.setText(t(f"window.clean.{code}"))
        self._close.setText(t("window.bench.close"))
        self._stop.setText(t("window.prepare.stop"))
        self._table.setHorizontalHeaderLabels([t(f"window.clean.column.{one}") for one in COLUMNS])
        self._problem.retranslate()
        around = self.parentWidget().window()
        self.resize(min(SIZE[0], around.width() - EDGE), min(SIZE[1], around.height() - EDGE))
        self.open()
        if not self._removing:
            self._look()

    # ---- what there is -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        lab = self._session.lab
        if lab is None:
            return
        self._found, self._receipt = (), None
        self._problem.show_error(None)

        def done(found: Sequence[clean.Answer]) -> None:
            self._found = found
            self._fill_students()
            self._draw()

        self._carry_out(t("window.clean.looking"), lambda: clean.ask(clean.machines(lab)), done)

    def _carry_out(self, words: str, work: Callable[[], T], done: Callable[[T], object]) -> None:
        """In a thread; what comes after another was begun is no longer told."""
        self._round += 1
        mine = self._round

        def ended(tell: Callable[[], object]) -> None:
            if mine == self._round:
                self._ticks.stop()
                self._removing = False
                self._draw()
                tell()

        self._draw(words)
        self._session.look(work, lambda result: ended(lambda: done(result)),
                           lambda error: ended(lambda: self._problem.show_error(error)))

    def _fill_students(self) -> None:
        """The choice stays what it was, where it is still there."""
        before = self._whose.currentData()
        students = sorted({thing.student for _machine, things in self._found if isinstance(things, list)
                           for thing in things if thing.student})
        self._whose.blockSignals(True)
        self._whose.clear()
        self._whose.addItem(t("window.clean.own"), (OWN, ""))
        for student in students:
            self._whose.addItem(t("window.clean.student", student=student), ("student", student))
        self._whose.addItem(t("window.clean.room"), (ROOM, ""))
        self._whose.setCurrentIndex(max(0, self._whose.findData(before)))
        self._whose.blockSignals(False)

    @property
    def _scope(self) -> Scope | None:
        lab = self._session.lab
        if lab is None:
            return None
        kind, student = self._whose.currentData() or (OWN, "")
        return clean.scope_of(lab, student or None, kind == ROOM, keep_models=self._keep_models.isChecked())

    @property
    def _plans(self) -> list[Plan]:
        scope = self._scope
        return clean.plans(self._found, scope) if scope is not None else []

    # ---- removing ----------------------------------------------------------------------------------------------------

    def _on_remove(self) -> None:
        lab, scope, plans, end = self._session.lab, self._scope, self._plans, self._end.isChecked()
        if lab is None or scope is None:
            return
        self._cancel, self._gone = CancelToken(), {}

        def work() -> tuple[Receipt, Path | AiNanoError]:
            receipt = clean.clean(lab, plans, scope, end, self._note_progress, self._cancel)
            try:
                return receipt, clean.keep(receipt, lab.data_folder)[1]
            except AiNanoError as error:
                return receipt, error

        def done(made: tuple[Receipt, Path | AiNanoError]) -> None:
            self._receipt, kept = made
            self._text.setPlainText(self._receipt.text)
            self._kept.setText(t("clean.kept", file=kept) if isinstance(kept, Path) else "")
            self._draw()
            self._problem.show_error(kept if isinstance(kept, AiNanoError) else None)

        def remove() -> None:
            self._removing = True
            self._ticks.start()
            self._carry_out(t("window.clean.removing"), work, done)

        lines = cleaning.lines(plans, end, students=False)[:MOST_LINES]
        question = "\n".join([t("clean.title", whose=scope.whose), "", *lines, "",
                              t("clean.sure?", amount=cleaning.how_much(self._going(plans)))])
        confirm(self, self.windowTitle(), question, t("window.clean.yes"), remove)

    def _on_stop(self) -> None:
        """What is gone is gone; the receipt says of which machines."""
        self._cancel.cancel()
        self._ticks.stop()
        self._stop.setEnabled(False)
        self._note.setText(t("window.clean.stopping"))

    def _going(self, plans: Sequence[Plan]) -> list[Thing]:
        return [thing for plan in plans for thing in plan.things if self._end.isChecked() or not thing.used_by]

    def _note_progress(self, machine: str, files: int, size: int) -> None:
        """In the machine's own thread; drawn by the timer."""
        self._gone[machine] = files, size

    def _tell_progress(self) -> None:
        told = dict(self._gone)
        if told:
            files, size = sum(one for one, _ in told.values()), sum(one for _, one in told.values())
            self._note.setText(f"{t('window.clean.removing')} "
                               + t("clean.progress", files=files, amount=amount(size, "bytes")))

    def _on_copy(self) -> None:
        clipboard = QApplication.clipboard()
        if self._receipt is not None and clipboard is not None:
            clipboard.setText(self._receipt.text)
            self._note.setText(t("window.clean.copied"))

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self, words: str = "") -> None:
        busy, over = bool(words), self._receipt is not None
        plans = self._plans
        going = [thing for thing in self._going(plans) if thing.kind != "cache"]
        self._pages.setCurrentWidget(self._text if over else self._table)
        if not words and self._found and not over:
            words = t("window.clean.total", amount=cleaning.how_much(going)) if going else t("window.clean.none")
        self._note.setText(words)
        self._kept.setVisible(over and bool(self._kept.text()))
        self._copy.setVisible(over)
        self._remove.setVisible(not over and not self._removing)
        self._stop.setVisible(self._removing)
        self._stop.setEnabled(self._removing)
        self._remove.setEnabled(not busy and bool(going))
        for widget in (self._whose, self._keep_models, self._end, self._again):
            widget.setEnabled(not busy)
        for shown in (self._whose, self._whose_label, self._keep_models, self._end):
            shown.setVisible(not over)
        if not over:
            rows = cleaning.rows(plans, self._end.isChecked())
            left = len(rows) - MOST_ROWS
            self._show([*rows[:MOST_ROWS], Row("", "", "", t("window.turn.more", count=left))] if left > 0 else rows)

    def _show(self, rows: Sequence[Row]) -> None:
        self._table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, name in enumerate(COLUMNS):
                item = QTableWidgetItem(str(getattr(row, name)))
                item.setToolTip(style.plain(item.text()))
                self._table.setItem(number, column, item)
        self._table.fit_rows()
