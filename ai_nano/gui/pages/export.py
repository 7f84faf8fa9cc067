"""Step 6: the conversion to ONNX, with its checks, and the converted model on this computer's camera."""

from collections.abc import Callable, Mapping
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QHeaderView,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from ai_nano.core import bundle
from ai_nano.core.figures import amount, percent
from ai_nano.core.project import trained
from ai_nano.core.texts import t
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.pages.try_panel import STEP as TRY
from ai_nano.gui.pages.try_panel import TryPanel
from ai_nano.gui.session import Session
from ai_nano.steps.export import ExportOptions

OnReport = Callable[[str], None]


class ExportPage(StepPage):
    file = "export"
    step = "export"
    model: QLabel
    start: QPushButton
    report: QPushButton
    runs: QPushButton
    sides: QStackedWidget
    checks: QTableWidget
    tabs: QVBoxLayout

    def __init__(self, session: Session, go: Callable[[str], None], on_report: OnReport) -> None:
        """`on_report` shows a model's report."""
        super().__init__(session, go)
        self.start.clicked.connect(lambda: self.begin("export", ExportOptions()))
        self.report.clicked.connect(lambda: on_report(self._reported))
        self.runs.clicked.connect(lambda: self.go("runs"))
        self.trying = TryPanel(session, self.redraw, go)
        self.sides.addWidget(self.trying)
        self.sideTabs = QTabBar()
        self.sideTabs.setDrawBase(False)
        self.sideTabs.setExpanding(False)
        for _ in range(self.sides.count()):
            self.sideTabs.addTab("")
        self._name_tabs()
        self.tabs.insertWidget(0, self.sideTabs)
        self.sideTabs.currentChanged.connect(self._on_side)
        self.checks.verticalHeader().hide()
        header = self.checks.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignLeft | Qt.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.Stretch)
        self.checks.verticalHeader().setSectionResizeMode(QHeaderView.ResizeToContents)

    def _name_tabs(self) -> None:
        for place, code in enumerate(("window.export.checks", "window.try")):
            self.sideTabs.setTabText(place, t(code))

    def retranslate(self) -> None:
        super().retranslate()
        self._name_tabs()
        self.trying.retranslate()

    def left(self) -> None:
        self.trying.stop_trying()

    def _on_side(self, index: int) -> None:
        self.sides.setCurrentIndex(index)
        if self.sides.currentWidget() is not self.trying:
            self.trying.stop_trying()

    def take(self, batch: Batch) -> None:
        super().take(batch)
        self.trying.take(batch)

    def begin(self, step: str, options: Any) -> None:
        self.session.errors.pop(TRY, None)
        super().begin(step, options)

    def dismiss(self) -> None:
        self.session.errors.pop(TRY, None)
        super().dismiss()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    @property
    def _reported(self) -> str:
        """The model whose report there is to show: the exported one's, else the trained one's."""
        workspace = self.session.workspace
        if workspace is None:
            return ""
        receipt, newest = workspace.done("export"), trained.newest(workspace)
        names = [str(receipt.facts["model"])] if receipt is not None else []
        names += [newest.model] if newest is not None else []
        return next((name for name in names if (workspace.model_folder(name) / bundle.REPORT_JSON).is_file()), "")

    def redraw(self) -> None:
        super().redraw()
        self.show_start(self.start)
        workspace = self.session.workspace
        newest = trained.newest(workspace) if workspace is not None else None
        receipt = workspace.done("export") if workspace is not None else None
        self.model.setText(t("window.model", model=newest.model) if newest is not None else t("window.no_model"))
        self.report.setEnabled(bool(self._reported))
        self._fill(receipt.facts if receipt is not None else None)
        self.trying.redraw()
        if TRY in self.session.errors:
            self.problem.show_error(self.session.errors[TRY])

    def _fill(self, facts: Mapping[str, Any] | None) -> None:
        rows = [] if facts is None else [
            ("same", t("window.export.agree", share=percent(facts.get("agreement"), 0))),
            ("difference", "–" if facts.get("max_difference") is None else f"{facts['max_difference']:.1g}"),
            ("half", _in_half(facts)),
            ("opset", str(facts.get("opset") or "–")),
            ("ir", str(facts.get("ir_version") or "–")),
            ("size", amount(facts.get("bytes") or 0, "bytes")),
            ("labels", ", ".join(facts["classes"])),
        ]
        rows = [(code, value) for code, value in rows if value]
        self.checks.setRowCount(len(rows))
        for place, (code, value) in enumerate(rows):
            for column, text in enumerate((t(f"window.export.{code}"), value, t(f"window.export.{code}.means"))):
                self.checks.setItem(place, column, QTableWidgetItem(text))


def _in_half(facts: Mapping[str, Any]) -> str:
    """Empty where half precision was not rehearsed, as by older versions."""
    if facts.get("fp16_agreement") is None:
        return ""
    return t("window.report.export.half.value", accuracy=percent(facts.get("fp16_accuracy")),
             share=percent(facts["fp16_agreement"], 0))
