"""A small table of figures, as high as what it holds; with many rows it is scrolled."""

from collections.abc import Sequence

from PyQt5.QtCore import QModelIndex, Qt
from PyQt5.QtGui import QColor, QPainter, QResizeEvent
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ai_nano.gui import style

# Pixels.
ROW = 32
TALLEST = 340
NARROWEST = 70


class FigureTable(QTableWidget):
    """Read only; nothing in it is chosen unless `choose_rows` says so."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.set_role(self, "table")
        self.setEditTriggers(QAbstractItemView.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.NoSelection)
        self.setFocusPolicy(Qt.NoFocus)
        self.setShowGrid(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollPerPixel)
        self._fits = False
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignLeft | Qt.AlignVCenter)
        self.horizontalHeader().setHighlightSections(False)

    def choose_rows(self) -> None:
        self.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectRows)
        self.setFocusPolicy(Qt.StrongFocus)

    def show_rows(self, columns: Sequence[str], rows: Sequence[Sequence[str]], fit: bool = True) -> None:
        """Without names of columns there is no header. `fit`: as high as the rows."""
        width = max([len(columns), *(len(row) for row in rows)], default=0)
        self.clearContents()
        self.setColumnCount(width)
        self.setRowCount(len(rows))
        self.horizontalHeader().setVisible(bool(columns))
        self.setHorizontalHeaderLabels([*columns, *[""] * (width - len(columns))])
        for place, row in enumerate(rows):
            for column, text in enumerate(row):
                self.setItem(place, column, QTableWidgetItem(text))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(NARROWEST)
        header.setSectionResizeMode(QHeaderView.ResizeToContents)
        if width:
            header.setSectionResizeMode(width - 1, QHeaderView.Stretch)
        self._fits = fit
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Also the bar below it, where it is wider than its place."""
        if not self._fits:
            return
        header = self.horizontalHeader()
        head = header.sizeHint().height() if header.isVisibleTo(self) else 0
        bar = self.horizontalScrollBar().sizeHint().height() if header.length() > self.width() - 4 else 0
        height = min(TALLEST, head + self.rowCount() * ROW + bar + 4)
        if self.height() != height or self.maximumHeight() != height:
            self.setFixedHeight(height)


class _Tinted(QStyledItemDelegate):
    """Paints the background that an item has; with a stylesheet for items, Qt passes over it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        brush = index.data(Qt.BackgroundRole)
        if brush is not None:
            painter.fillRect(option.rect.adjusted(1, 1, -1, -1), brush)
        super().paint(painter, option, index)


class ConfusionTable(FigureTable):
    """Rows: what the image shows; columns: what the network says. Right answers in one colour, mistakes in another, the
    deeper the larger their share of the row."""

    def show_matrix(self, classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
        self.setItemDelegate(_Tinted(self))
        rows = [[name, *(str(count) for count in row)] for name, row in zip(classes, matrix, strict=True)]
        self.show_rows(["", *classes], rows)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(NARROWEST // 2)
        header.setSectionResizeMode(QHeaderView.ResizeToContents)
        tokens = style.tokens()
        for place, row in enumerate(matrix):
            total = sum(row) or 1
            for column, count in enumerate(row):
                item = self.item(place, column + 1)
                if item is None:
                    continue
                item.setTextAlignment(int(Qt.AlignCenter))
                colour = QColor(tokens.ok if place == column else tokens.bad)
                colour.setAlphaF(0.6 * count / total if count else 0.0)
                item.setBackground(colour)
