"""Step 6: the conversion to ONNX, with its checks."""

from collections.abc import Callable, Mapping
from typing import Any

from PyQt5.QtCore import Qt, QUrl
from PyQt5.QtGui import QDesktopServices
from PyQt5.QtWidgets import QHeaderView, QLabel, QPushButton, QTableWidget, QTableWidgetItem

from ai_nano.core import bundle
from ai_nano.core.figures import amount, percent
from ai_nano.core.texts import t
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.steps.export import ExportOptions


class ExportPage(StepPage):
    file = "export"
    step = "export"
    model: QLabel
    start: QPushButton
    report: QPushButton
    checks: QTableWidget

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self.start.clicked.connect(lambda: self.begin("export", ExportOptions()))
        self.report.clicked.connect(self._on_report)
        self.checks.verticalHeader().hide()
        header = self.checks.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignLeft | Qt.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.Stretch)
        self.checks.verticalHeader().setSectionResizeMode(QHeaderView.ResizeToContents)

    def redraw(self) -> None:
        super().redraw()
        self.show_start(self.start)
        workspace = self.session.workspace
        train = workspace.done("train") if workspace is not None else None
        receipt = workspace.done("export") if workspace is not None else None
        self.model.setText(t("window.model", model=train.facts["model"]) if train is not None else t("window.no_model"))
        self.report.setEnabled(receipt is not None)
        self._fill(receipt.facts if receipt is not None else None)

    def _fill(self, facts: Mapping[str, Any] | None) -> None:
        rows = [] if facts is None else [
            ("same", t("window.export.agree", share=percent(facts["agreement"], 0))),
            ("difference", f"{facts['max_difference']:.1g}"),
            ("opset", str(facts["opset"])),
            ("ir", str(facts["ir_version"])),
            ("size", amount(facts["bytes"], "bytes")),
            ("labels", ", ".join(facts["classes"])),
        ]
        self.checks.setRowCount(len(rows))
        for place, (code, value) in enumerate(rows):
            for column, text in enumerate((t(f"window.export.{code}"), value, t(f"window.export.{code}.means"))):
                self.checks.setItem(place, column, QTableWidgetItem(text))

    def _on_report(self) -> None:
        workspace = self.session.workspace
        receipt = workspace.done("export") if workspace is not None else None
        if workspace is not None and receipt is not None:
            page = workspace.model_folder(str(receipt.facts["model"])) / bundle.REPORT_HTML
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(page.resolve())))
