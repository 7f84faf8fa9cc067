"""Step 7: choose the Nano, push the model."""

from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QLabel, QListWidget, QListWidgetItem, QPushButton

from ai_nano.core.texts import t
from ai_nano.core.workflow import newest_bundle
from ai_nano.gui import style
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.steps.deploy import DeployOptions


class DeployPage(StepPage):
    file = "deploy"
    step = "deploy"
    model: QLabel
    nanos: QListWidget
    note: QLabel
    start: QPushButton

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._shown: list[str] = []
        self._pushed_to: str | None = None
        self.start.clicked.connect(self._on_start)
        self.nanos.currentRowChanged.connect(lambda _row: self._enable())
        session.machines_changed.connect(self._show_nanos)

    @property
    def chosen(self) -> str | None:
        item = self.nanos.currentItem()
        return str(item.data(Qt.UserRole)) if item is not None else None

    @property
    def machine(self) -> str | None:
        return self._pushed_to

    def begun(self, step: str) -> None:
        super().begun(step)
        self._pushed_to = self.chosen

    def redraw(self) -> None:
        super().redraw()
        if self.session.lab is None:
            return
        workspace = self.session.workspace
        model = newest_bundle(workspace) if workspace is not None else None
        self.model.setText(t("window.model", model=model) if model is not None else t("window.no_model"))
        self._show_nanos()
        receipt = workspace.done("deploy") if workspace is not None else None
        if not self._shown:
            self.note.setText(t("window.deploy.none"))
        elif receipt is not None:
            self.note.setText(t("window.deploy.there", model=receipt.facts["model"], machines=receipt.facts["nanos"]))
        else:
            self.note.setText("")
        self._enable()

    def _enable(self) -> None:
        self.show_start(self.start)
        self.start.setEnabled(self.may_start and self.chosen is not None)

    def _show_nanos(self) -> None:
        lab = self.session.lab
        if lab is None:
            return
        nanos = {nano.name: nano for nano in lab.config.filled_nanos}
        reports = {report.name: report for report in lab.machine_reports()}
        if self._shown != list(nanos):
            self._shown = list(nanos)
            self.nanos.clear()
            for name in nanos:
                item = QListWidgetItem()
                item.setData(Qt.UserRole, name)
                self.nanos.addItem(item)
            # With one Nano there is nothing to choose.
            self.nanos.setCurrentRow(0 if len(nanos) == 1 else -1)
        for row, (name, nano) in enumerate(nanos.items()):
            report = reports[name]
            colour, _ = style.tokens().of(report.state.value)
            place = self.nanos.item(row)
            assert place is not None, "there is a row for each"
            place.setText(f"{name}   {nano.host}   {report.text}")
            place.setIcon(style.icon("unknown" if report.state.value == "unknown" else "dot", colour, 16))

    def _on_start(self) -> None:
        if self.chosen is not None:
            self.begin("deploy", DeployOptions((self.chosen,)))
