"""The models of one Nano: any of them deleted, and the one that it starts at boot."""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.figures import amount
from ai_nano.core.nano import boards
from ai_nano.core.nano.boards import Autostart, NanoModel
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.confirm import confirm
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.error_box import ErrorBox
from ai_nano.gui.widgets.text_table import TextTable
from ai_nano.steps.autostart import start_at_boot

T = TypeVar("T")

SIZE = (900, 440)  # pixels, as the next
EDGE = 44
AIR = 6
COLUMNS = ("model", "classes", "size", "use")


class BoardDialog(QDialog):
    """One for the page, shown again for each Nano: an answer may come when it has been closed."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._around = session, parent
        self._name = ""
        self._round = 0
        self._models: Sequence[NanoModel] = ()
        self._at_boot = Autostart()
        self._note, self._boot = QLabel(), QLabel()
        for label in (self._note, self._boot):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        style.set_role(self._note, "note")
        self._off, self._close = QPushButton(), QPushButton()
        self._off.clicked.connect(lambda: self._on_off())
        self._close.clicked.connect(self.accept)
        self._table = TextTable(len(COLUMNS) + 1, (COLUMNS.index("size"),))
        self._table.horizontalHeader().setSectionResizeMode(len(COLUMNS), QHeaderView.Fixed)
        self._problem = ErrorBox()
        self._problem.dismissed.connect(lambda: self._problem.show_error(None))
        boot, below = QHBoxLayout(), QHBoxLayout()
        boot.addWidget(self._boot, 1)
        boot.addWidget(self._off, 0, Qt.AlignTop)
        below.addWidget(self._note, 1)
        below.addWidget(self._close)
        column_of_all = QVBoxLayout(self)
        column_of_all.setContentsMargins(20, 18, 20, 16)
        column_of_all.setSpacing(12)
        column_of_all.addLayout(boot)
        column_of_all.addWidget(self._table, 1)
        column_of_all.addWidget(self._problem)
        column_of_all.addLayout(below)

    def show_board(self, name: str) -> None:
        self._name, self._models, self._at_boot = name, (), Autostart()
        self.setWindowTitle(t("window.bench.models.title", machine=name))
        self._off.setText(t("window.bench.boot_off"))
        self._close.setText(t("window.bench.close"))
        self._table.setHorizontalHeaderLabels([*(t(f"window.bench.models.{one}") for one in COLUMNS), ""])
        self._problem.retranslate()
        self.resize(min(SIZE[0], self._around.window().width() - 2 * EDGE), SIZE[1])
        self.open()
        self._look(t("window.models.asking", machine=name))

    # ---- asking the board --------------------------------------------------------------------------------------------

    def _carry_out(self, words: str, work: Callable[[], T], done: Callable[[T], object]) -> None:
        """In a thread; what comes after the dialog was closed is no longer told."""
        self._round += 1
        mine = self._round

        def ended(tell: Callable[[], object]) -> None:
            if mine == self._round and self.isVisible():
                self._draw("", enabled=True)
                tell()

        self._problem.show_error(None)
        self._draw(words, enabled=False)
        self._session.look(work, lambda result: ended(lambda: done(result)),
                           lambda error: ended(lambda: self._problem.show_error(error)))

    def _look(self, words: str, said: str = "", notes: Sequence[str] = ()) -> None:
        lab, name = self._session.lab, self._name
        assert lab is not None, "a bench is in a room"

        def work() -> tuple[list[NanoModel], Autostart]:
            machine = lab.nano(name)
            return boards.models(machine), boards.autostart_status(machine)

        def done(found: tuple[list[NanoModel], Autostart]) -> None:
            self._models, self._at_boot = found
            words = said or ("" if self._models else t("models.none", machine=name))
            self._draw("\n".join([*([words] if words else []), *notes]), enabled=True)

        self._carry_out(words, work, done)

    def _on_delete(self, model: str) -> None:
        name = self._name

        def delete() -> None:
            lab = self._session.lab
            if lab is not None:
                self._carry_out(t("window.bench.working", machine=name), lambda: boards.delete(lab.nano(name), model),
                                lambda _none: self._look("", t("models.deleted", model=model, machine=name)))

        student = next((one.student for one in self._models if one.model == model), None)
        told = {"model": model, "machine": name, "student": student}
        confirm(self, self.windowTitle(), t("models.delete_of?" if student else "models.delete?", **told),
                t("window.bench.delete.yes"), delete)

    def _on_boot(self, model: str) -> None:
        lab, name = self._session.lab, self._name
        if lab is not None:
            login = lab.config.nano(name).login
            self._carry_out(t("window.bench.working", machine=name), lambda: start_at_boot(lab, name, model),
                            lambda on: self._look("", notes=[boards.note_text(note, name, login) for note in on.notes]))

    def _on_off(self) -> None:
        lab, name = self._session.lab, self._name
        if lab is not None:
            self._carry_out(t("window.bench.working", machine=name), lambda: boards.autostart_off(lab.nano(name)),
                            lambda _removed: self._look("", t("autostart.removed", machine=name)))

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self, words: str, enabled: bool) -> None:
        self._note.setText(words)
        self._boot.setText(self._at_boot.text(self._name))
        self._off.setVisible(self._at_boot.model is not None)
        self._off.setEnabled(enabled)
        self._table.setRowCount(len(self._models))
        for row, model in enumerate(self._models):
            size = "–" if model.size is None else amount(model.size, "bytes")
            for column, text in enumerate((model.model, ", ".join(model.classes), size, model.text)):
                item = QTableWidgetItem(text)
                item.setToolTip(style.plain(text))
                self._table.setItem(row, column, item)
            around = self._buttons(model, enabled)
            self._table.setCellWidget(row, len(COLUMNS), around)
            buttons = around.findChildren(QPushButton)
            for button in buttons:
                button.ensurePolished()
            self._table.setColumnWidth(len(COLUMNS), sum(one.sizeHint().width() + 2 * AIR for one in buttons) + 2 * AIR)
        self._table.fit_rows()

    def _buttons(self, model: NanoModel, enabled: bool) -> QWidget:
        around = QWidget()
        row = QHBoxLayout(around)
        row.setContentsMargins(AIR, 3, AIR, 3)
        for word, do in (("boot_on", self._on_boot), ("delete", self._on_delete)):
            button = QPushButton(t(f"window.bench.{word}"))
            button.setEnabled(enabled and (word == "delete" or model.autostart is None))
            style.set_role(button, "danger" if word == "delete" else "")
            button.clicked.connect(functools.partial(_without_checked, do, model.model))
            row.addWidget(button)
        return around


def _without_checked(do: Callable[[str], object], model: str, _checked: bool = False) -> None:
    do(model)
