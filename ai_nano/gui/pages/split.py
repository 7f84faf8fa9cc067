"""Step 3: the split, with a table and bars of what it made, and why so."""

from collections.abc import Callable, Mapping, Sequence

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QComboBox, QFrame, QHeaderView, QLabel, QPushButton, QSpinBox, QTableWidget, QTableWidgetItem

from ai_nano.core.project.workspace import PARTS, Workspace
from ai_nano.core.split import reasons as split_reasons
from ai_nano.core.split.reasons import Reason
from ai_nano.core.texts import t
from ai_nano.core.workflow import split_counts
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.gui.widgets import part_bars
from ai_nano.steps.split import SplitOptions

STRATEGIES = ("blocks", "random")
# Columns; sizes in pixels.
IMAGES, BARS, WHAT = 1, 5, 6
NUMBER_PX = 78
ROW_PX = 30

# What is recorded, what is where, and why.
_Found = tuple[dict[str, int], dict[str, dict[str, int]], list[Reason]]


class SplitPage(StepPage):
    file = "split"
    step = "split"
    options: QFrame
    val: QSpinBox
    test: QSpinBox
    strategy: QComboBox
    start: QPushButton
    lesson: QPushButton
    table: QTableWidget
    why: QLabel
    warning: QLabel
    note: QLabel

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self.start.clicked.connect(self._on_start)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        for column in range(self.table.columnCount()):
            number = IMAGES <= column < BARS
            header.setSectionResizeMode(column, QHeaderView.Fixed if number else QHeaderView.Stretch)
            if number:
                header.resizeSection(column, NUMBER_PX)
        header.setSectionResizeMode(WHAT, QHeaderView.ResizeToContents)
        self.table.setItemDelegateForColumn(BARS, part_bars.PartBars(self.table))
        self.lesson.clicked.connect(lambda: go("lesson"))
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

        def work() -> _Found:
            receipt = workspace.done("split") if workspace.has_split() else None
            return ({name: workspace.count(name) for name in workspace.classes}, split_counts(workspace),
                    split_reasons.of_receipt(receipt.facts) if receipt is not None else [])

        self.session.look(work, lambda found: self._fill(workspace, found))

    def _fill(self, workspace: Workspace, found: _Found) -> None:
        if workspace is not self.session.workspace or found == self._shown:
            return
        self._shown = found
        images, parts, reasons = found
        self._fill_table(images, parts, {reason.class_name: reason for reason in reasons})
        told = [reason for reason in reasons if reason.class_name is None]
        for label, warnings in ((self.why, False), (self.warning, True)):
            label.setText("\n".join(reason.text for reason in told if reason.warning is warnings))
        self.warning.setVisible(bool(self.warning.text()))
        self.note.setText(t("window.split.labels", classes=workspace.classes) if workspace.labels_file.exists() else "")

    def _fill_table(self, images: Mapping[str, int], parts: Mapping[str, Mapping[str, int]],
                    reasons: Mapping[str | None, Reason]) -> None:
        counts = {name: [images[name], *(parts[name][part] for part in PARTS)] for name in images}
        rows: list[tuple[str, Sequence[int], str]] = [
            (name, numbers, reasons[name].text if name in reasons else "") for name, numbers in counts.items()]
        largest = max((sum(numbers[1:]) for numbers in counts.values()), default=0)
        rows.append((t("window.split.sum"), [sum(column) for column in zip(*counts.values(), strict=True)], ""))
        self.table.setRowCount(len(rows))
        for place, (name, numbers, what) in enumerate(rows):
            is_sum = place == len(rows) - 1
            for column, text in enumerate((name, *map(str, numbers))):
                item = QTableWidgetItem(text)
                item.setTextAlignment(_side(column))
                if is_sum:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(place, column, item)
            of_parts = numbers[1:]
            bar = QTableWidgetItem() if is_sum or not any(of_parts) else part_bars.bar_item(of_parts, largest)
            self.table.setItem(place, BARS, bar)
            self.table.setItem(place, WHAT, QTableWidgetItem(what))
            self.table.setRowHeight(place, ROW_PX)
        for column in range(self.table.columnCount()):
            heading = self.table.horizontalHeaderItem(column)
            if heading is not None:
                heading.setTextAlignment(_side(column))
                if IMAGES < column < BARS:
                    heading.setIcon(part_bars.legend(PARTS[column - IMAGES - 1]))

    def _on_start(self) -> None:
        self.begin("split", SplitOptions(val=self.val.value() / 100, test=self.test.value() / 100,
                                         strategy=STRATEGIES[self.strategy.currentIndex()]))


def _side(column: int) -> int:
    """Words to the left, numbers to the right."""
    return int(Qt.AlignVCenter | (Qt.AlignRight if IMAGES <= column < BARS else Qt.AlignLeft))
