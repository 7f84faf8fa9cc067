"""Step 3: the split, with a table of what it made."""

from collections.abc import Callable, Mapping

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QComboBox, QFrame, QHeaderView, QLabel, QPushButton, QSpinBox, QTableWidget, QTableWidgetItem

from ai_nano.core.texts import t
from ai_nano.core.workflow import split_counts
from ai_nano.core.workspace import PARTS, Workspace
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.steps.split import SplitOptions

STRATEGIES = ("blocks", "random")


class SplitPage(StepPage):
    file = "split"
    step = "split"
    options: QFrame
    val: QSpinBox
    test: QSpinBox
    strategy: QComboBox
    start: QPushButton
    table: QTableWidget
    note: QLabel

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self.start.clicked.connect(self._on_start)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.Stretch)
        self._shown: object = None

    def redraw(self) -> None:
        super().redraw()
        self.show_start(self.start)
        if self.isVisible():
            self._look()

    def entered(self) -> None:
        self._shown = None
        super().entered()

    def retranslate(self) -> None:
        self._shown = None
        super().retranslate()

    def _look(self) -> None:
        workspace = self.session.workspace
        if workspace is None:
            return

        def work() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
            return {name: workspace.count(name) for name in workspace.classes}, split_counts(workspace)

        self.session.look(work, lambda found: self._fill(workspace, *found))

    def _fill(self, workspace: Workspace, images: Mapping[str, int], parts: Mapping[str, Mapping[str, int]]) -> None:
        if workspace is not self.session.workspace or (images, parts) == self._shown:
            return
        self._shown = (images, parts)
        counts = {name: [images[name], *(parts[name][part] for part in PARTS)] for name in images}
        rows = [(name, *numbers) for name, numbers in counts.items()]
        rows.append((t("window.split.sum"), *(sum(column) for column in zip(*counts.values(), strict=True))))
        self.table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, value in enumerate(row):
                item = QTableWidgetItem(str(value))
                item.setTextAlignment(_side(column))
                if place == len(rows) - 1:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(place, column, item)
            self.table.setRowHeight(place, 34)
        for column in range(5):
            heading = self.table.horizontalHeaderItem(column)
            if heading is not None:
                heading.setTextAlignment(_side(column))
        self.note.setText(t("window.split.labels", classes=workspace.classes) if workspace.labels_file.exists() else "")

    def _on_start(self) -> None:
        self.begin("split", SplitOptions(val=self.val.value() / 100, test=self.test.value() / 100,
                                         strategy=STRATEGIES[self.strategy.currentIndex()]))


def _side(column: int) -> int:
    """Names to the left, numbers to the right."""
    return int(Qt.AlignVCenter | (Qt.AlignRight if column else Qt.AlignLeft))
