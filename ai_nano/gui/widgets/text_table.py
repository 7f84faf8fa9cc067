"""A table that is read and not edited: no cell is selected, and each row is as high as its words need."""

from PyQt5.QtCore import QRect, Qt, QTimer
from PyQt5.QtGui import QResizeEvent
from PyQt5.QtWidgets import QHeaderView, QTableWidget

ROW_HEIGHT = 42  # pixels at least, as the next
ITEM_AIR = 14


class TextTable(QTableWidget):
    """Columns share the width; those of `narrow` have what their words need. `fit_rows` after each filling."""

    def __init__(self, columns: int, narrow: tuple[int, ...] = ()) -> None:
        super().__init__(0, columns)
        self.setEditTriggers(QTableWidget.NoEditTriggers)
        self.setSelectionMode(QTableWidget.NoSelection)
        self.setFocusPolicy(Qt.NoFocus)
        self.setShowGrid(False)
        self.setWordWrap(True)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.Stretch)
        header.setDefaultAlignment(Qt.AlignLeft | Qt.AlignVCenter)
        for column in narrow:
            header.setSectionResizeMode(column, QHeaderView.ResizeToContents)
        self._wrapping = [column for column in range(columns) if column not in narrow]
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._fit)

    def fit_rows(self) -> None:
        """Once the columns have their widths."""
        self._timer.start(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit_rows()

    def _fit(self) -> None:
        """Qt's own way forgets the air that the stylesheet puts around the words."""
        metrics = self.fontMetrics()
        for row in range(self.rowCount()):
            heights = [ROW_HEIGHT]
            for column in self._wrapping:
                item, width = self.item(row, column), self.columnWidth(column) - 2 * ITEM_AIR
                if item is not None:
                    words = metrics.boundingRect(QRect(0, 0, max(width, 1), 0), Qt.TextWordWrap, item.text())
                    heights.append(words.height() + 2 * ITEM_AIR)
            self.setRowHeight(row, max(heights))
