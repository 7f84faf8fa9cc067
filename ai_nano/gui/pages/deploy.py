"""Step 7: choose the Nano, push the model, see its TensorRT engine being built."""

import functools
from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QAbstractItemView, QLabel, QListWidget, QListWidgetItem, QPushButton

from ai_nano.core.events import Log
from ai_nano.core.project.workspace import Receipt
from ai_nano.core.texts import t
from ai_nano.core.workflow import newest_bundle
from ai_nano.gui import style
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.build_list import BuildList
from ai_nano.steps.deploy import DeployOptions

# Pixels: a row as long as there is none, and what the list may have before it is scrolled.
ROW = 34
TALLEST = 300
# The last words of a builder that has succeeded.
ENDS = ("engine.built", "engine.reused")


class DeployPage(StepPage):
    file = "deploy"
    step = "deploy"
    model: QLabel
    nanos: QListWidget
    note: QLabel
    start: QPushButton
    newest: QPushButton
    builds: BuildList

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._shown: list[str] = []
        self._have_it: tuple[str, ...] = ()
        self._earlier: str | None = None
        self.start.clicked.connect(self._on_start)
        self.newest.clicked.connect(lambda: self.propose(None))
        self.nanos.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.nanos.itemSelectionChanged.connect(self._enable)
        session.machines_changed.connect(self._show_nanos)

    @property
    def chosen(self) -> tuple[str, ...]:
        """In the order of the list."""
        chosen = {str(item.data(Qt.UserRole)) for item in self.nanos.selectedItems()}
        return tuple(name for name in self._shown if name in chosen)

    def propose(self, model: str | None) -> None:
        """An earlier model, chosen among all; None: the newest."""
        self._earlier = model
        self.redraw()

    def reset(self) -> None:
        self._earlier = None

    def begun(self, step: str) -> None:
        super().begun(step)
        self.newest.setEnabled(False)
        self.builds.clear()

    def take(self, batch: Batch) -> None:
        super().take(batch)
        if not self.session.is_running("deploy"):
            return
        for building in batch.building.values():
            self.builds.show_building(building)
        for turn in [turn for (step, _), turn in batch.turns.items() if step == "deploy"]:
            self.builds.show_turn(turn)
        for line in batch.lines:
            if isinstance(line.event, Log) and line.event.code in ENDS:
                self.builds.show_end(line.event.machine, functools.partial(getattr, line.event, "text"))

    def retranslate(self) -> None:
        super().retranslate()
        self.builds.retranslate()

    def over(self, step: str, outcome: object) -> None:
        self.builds.clear()
        if isinstance(outcome, Receipt):
            self._earlier = None

    def redraw(self) -> None:
        super().redraw()
        if self.session.lab is None:
            return
        workspace = self.session.workspace
        newest = newest_bundle(workspace) if workspace is not None else None
        if self._earlier == newest:
            self._earlier = None
        model = self._earlier or newest
        self.newest.setVisible(self._earlier is not None)
        self.newest.setEnabled(self.active is None)
        shown = t("window.deploy.earlier", model=model) if self._earlier is not None else model
        self.model.setText(t("window.model", model=shown) if model is not None else t("window.no_model"))
        receipt = workspace.done("deploy") if workspace is not None else None
        has_it = receipt is not None and receipt.facts["model"] == model
        self._have_it = tuple(receipt.facts["nanos"]) if receipt is not None and has_it else ()
        self._show_nanos()
        if not self._shown:
            self.note.setText(t("window.deploy.none"))
        elif receipt is not None and not has_it:
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
            has_it = t("window.deploy.has") if name in self._have_it else ""
            place.setText("   ".join(part for part in (name, nano.host, report.text, has_it) if part))
            place.setIcon(style.icon("unknown" if report.state.value == "unknown" else "dot", colour, 16))
        self.nanos.setFixedHeight(min(max(1, len(nanos)) * max(ROW, self.nanos.sizeHintForRow(0)) + 16, TALLEST))

    def _on_start(self) -> None:
        if self.chosen:
            self.begin("deploy", DeployOptions(self.chosen, self._earlier))
