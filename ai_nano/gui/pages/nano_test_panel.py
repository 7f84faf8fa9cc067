"""The test split on the chosen Nano: the button, and the table of the last test beside the server's figures."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from ai_nano.core import bundle
from ai_nano.core.nano import nano_test
from ai_nano.core.nano.nano_test import NanoTest
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.report import Report
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.figure_table import FigureTable
from ai_nano.steps.nano_test import NAME, NanoTestOptions, images_of

STEP = NAME


@dataclass(frozen=True)
class _Last:
    """The last test of a model on a Nano (None: none yet) and the report that stands beside it; `possible`: it can be
    tested."""

    test: NanoTest | None
    report: Report | None
    possible: bool


NOTHING = _Last(None, None, False)


class NanoTestPanel(QFrame):
    """`chosen` gives the Nano and the model of the page, `begin` starts the step as the page does. Hidden until it is asked
    for."""

    closed = pyqtSignal()

    def __init__(self, session: Session, chosen: Callable[[], tuple[str, str]], begin: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._session = session
        self._chosen = chosen
        self._begin = begin
        self._asked: tuple[Workspace | None, str, str] = (None, "", "")
        self._last: _Last | None = None  # nobody has looked yet
        style.set_role(self, "card")
        self.heading, self.lead, self.notes, self.at = QLabel(), QLabel(), QLabel(), QLabel()
        self.start, self.close_button = QPushButton(), QPushButton()
        self.table, self.different = FigureTable(), FigureTable()
        for label, role in ((self.heading, "heading"), (self.lead, "note"), (self.notes, ""), (self.at, "note")):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(label is not self.at)
            style.set_role(label, role)
        style.set_role(self.start, "primary")
        self._lay_out()
        self.start.clicked.connect(self._on_start)
        self.close_button.clicked.connect(self.closed)
        session.started.connect(self._on_started)
        session.ended.connect(self._on_ended)
        self.retranslate()
        self.hide()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.heading, 1)
        for widget in (self.at, self.close_button, self.start):
            top.addWidget(widget)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(8)
        for row in (self.lead, self.table, self.notes, self.different):
            column.addWidget(row)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        area.setWidget(inside)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(16, 12, 16, 12)
        rows.setSpacing(8)
        rows.addLayout(top)
        rows.addWidget(area, 1)

    @property
    def running(self) -> bool:
        return self._session.is_running(STEP)

    def retranslate(self) -> None:
        self.close_button.setText(t("window.test_nano.close"))
        self.start.setText(t("window.test_nano.start"))
        self.lead.setText(t("window.test_nano.lead"))
        self._show()

    def redraw(self) -> None:
        """What is chosen may be another Nano or model than before."""
        if self.isHidden():
            return
        wanted = (self._session.workspace, *self._chosen())
        if wanted != self._asked:
            self._asked, self._last = wanted, None
            self._load()
        self._show()

    def _load(self) -> None:
        workspace, nano, model = asked = self._asked
        if workspace is None or not nano or not model:
            self._last = NOTHING
            return

        def done(found: _Last) -> None:
            if self._asked == asked:
                self._last = found
                self._show()

        self._session.look(lambda: _look(workspace, workspace.model_folder(model), nano), done, lambda _error: done(NOTHING))

    def _show(self) -> None:
        _, nano, _ = self._asked
        last = self._last or NOTHING
        test = last.test
        self.heading.setText(t("window.test_nano.title", nano=nano or "–"))
        self.start.setEnabled(last.possible and not self.running and not self._session.is_running("infer"))
        self.at.setText(t("window.test_nano.at", at=_when(test.at)) if test is not None else "")
        self.lead.setVisible(test is None)
        self.table.setVisible(test is not None)
        self.different.setVisible(test is not None and bool(test.different))
        if test is None:
            self.notes.setText("" if self.running or self._last is None else t(
                "window.test_nano.none" if last.possible else "window.test_nano.blocked", nano=nano))
            return
        self.table.show_rows(nano_test.headings(), nano_test.rows(last.report, [test]))
        self.notes.setText("\n".join(nano_test.notes(test)))
        if test.different:
            self.different.show_rows(nano_test.difference_headings(test), nano_test.differences(test))

    def _on_start(self) -> None:
        _, nano, model = self._asked
        self._begin(STEP, NanoTestOptions(nano, model))

    def _on_started(self, _step: str) -> None:
        self.redraw()

    def _on_ended(self, step: str, _outcome: object) -> None:
        if step == STEP:
            self._load()
            self._show()


def _look(workspace: Workspace, folder: Path, nano: str) -> _Last:
    """Reads files; for a worker thread."""
    if not bundle.is_there(folder):
        return _Last(None, None, False)
    checked = bundle.load(folder)
    told, _ = nano_test.report_of(checked)
    return _Last(nano_test.of_nano(folder, nano), told, bool(images_of(workspace, checked.classes)))


def _when(at: str) -> str:
    """In this computer's time, as far as it is one."""
    try:
        return f"{datetime.strptime(at, '%Y-%m-%dT%H:%M:%S%z').astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return at
