"""Step 7: choose the Nano, push the model."""

from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QAbstractItemView, QLabel, QListWidget, QListWidgetItem, QPushButton

from ai_nano.core.ports import MachineState
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
        self._pushed_to: tuple[str, ...] = ()
        self.start.clicked.connect(self._on_start)
        self.nanos.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.nanos.itemSelectionChanged.connect(self._enable)
        session.machines_changed.connect(self._show_nanos)

    @property
    def chosen(self) -> tuple[str, ...]:
        """In the order of the list."""
        chosen = {str(item.data(Qt.UserRole)) for item in self.nanos.selectedItems()}
        return tuple(name for name in self._shown if name in chosen)

    @property
    def machine(self) -> str | None:
        """Of those that the model is pushed to, one that is out of reach, if any is."""
        lab = self.session.lab
        if lab is None or not self._pushed_to:
            return None
        lost = {report.name for report in lab.machine_reports() if report.state in (MachineState.LOST, MachineState.ABSENT)}
        return next((name for name in self._pushed_to if name in lost), self._pushed_to[0])

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
            self.note.setText(t("window.deploy.several") if len(self._shown) > 1 else "")
        self._enable()

    def _enable(self) -> None:
        self.show_start(self.start)
        self.start.setEnabled(self.may_start and bool(self.chosen))
        several = len(self.chosen) > 1
        self.start.setText(t("window.deploy.start_several", count=len(self.chosen)) if several else t("window.deploy.start"))

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
        if self.chosen:
            self.begin("deploy", DeployOptions(self.chosen))
