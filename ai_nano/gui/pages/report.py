"""The report of a model: how good it is, and on what it fails."""

from collections.abc import Sequence
from pathlib import Path

from PyQt5.QtCore import QUrl
from PyQt5.QtGui import QDesktopServices, QImage
from PyQt5.QtWidgets import QPushButton, QScrollArea

from ai_nano.core.errors import AiNanoError
from ai_nano.core.nano import nano_test
from ai_nano.core.nano.nano_test import NanoTest
from ai_nano.core.report import Report, load
from ai_nano.core.texts import t
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.mistake_list import MOST, mistakes
from ai_nano.gui.widgets.report_view import ReportView
from ai_nano.steps import report

# Figures, pictures of the mistakes by file, and what the Nanos made of the test images.
_Told = tuple[Report, dict[str, QImage], Sequence[NanoTest]]


class ReportPage(Page):
    file = "report"
    area: QScrollArea
    openHtml: QPushButton
    runs: QPushButton
    back: QPushButton

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._window = window
        self._model = self._from = ""
        self._told: _Told | None = None
        self.view = ReportView()
        self.area.setWidget(self.view)
        self.back.clicked.connect(lambda: window.show_page(self._from or "train"))
        self.runs.clicked.connect(lambda: window.show_page("runs"))
        self.openHtml.clicked.connect(self._on_open)

    def show_model(self, model: str, came_from: str) -> None:
        """`came_from`: the page to which one goes back."""
        self._model, self._from = model, came_from
        self._told = None
        self.dismiss()
        self._load()

    def _load(self) -> None:
        workspace, lab, model = self.session.workspace, self.session.lab, self._model
        if workspace is None or lab is None:
            return

        def work() -> _Told:
            folder = workspace.model_folder(model)
            told = load(folder)
            found = ((one.file, report.thumbnail(workspace, one.file, lab.images)) for one in mistakes(told)[:MOST])
            pictures = {file: QImage.fromData(jpeg) for file, jpeg in found if jpeg is not None}
            return told, pictures, nano_test.load(folder, told)

        def done(told: _Told) -> None:
            if model == self._model:
                self._told = told
                self.redraw()

        self.session.look(work, done, self.show_problem)
        self.redraw()

    def redraw(self) -> None:
        self.title.setText(t("window.report.title", model=self._model))
        self.openHtml.setEnabled(self._told is not None)
        if self._told is None:
            self.view.clear()
        else:
            self.view.show_figures(*self._told)

    def _on_open(self) -> None:
        workspace, lab, model = self.session.workspace, self.session.lab, self._model
        if workspace is None or lab is None:
            return
        images = lab.images

        def opened(page: Path) -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(page.resolve())))

        def failed(error: AiNanoError) -> None:
            self.show_problem(error)

        self.session.look(lambda: report.page(workspace, model, images), opened, failed)
