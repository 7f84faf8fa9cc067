"""How a class's images are divided among train, val and test: a stacked bar in a cell of a table, coloured as its legend."""

from collections.abc import Sequence

from PyQt5.QtCore import QModelIndex, QRectF, Qt
from PyQt5.QtGui import QColor, QIcon, QPainter, QPixmap
from PyQt5.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QTableWidgetItem

from ai_nano.core.project.workspace import PARTS
from ai_nano.gui import style

# Pixels.
HEIGHT = 14
SIDE = 10
LEGEND = 10


def colour(part: str) -> QColor:
    tokens = style.tokens()
    return QColor({"train": tokens.train_curve, "val": tokens.val_curve, "test": tokens.ok}[part])


def legend(part: str) -> QIcon:
    """A square in the part's colour, for the heading of its column."""
    square = QPixmap(LEGEND, LEGEND)
    square.fill(colour(part))
    return QIcon(square)


def bar_item(counts: Sequence[int], largest: int) -> QTableWidgetItem:
    """`counts` of train, val and test; a bar of `largest` images is as long as the column is wide."""
    item = QTableWidgetItem()
    item.setData(Qt.UserRole, [*counts, max(1, largest)])
    item.setData(Qt.AccessibleTextRole, ", ".join(f"{part} {count}" for part, count in zip(PARTS, counts, strict=True)))
    return item


class PartBars(QStyledItemDelegate):
    """Paints what `bar_item` made."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        super().paint(painter, option, index)
        told = index.data(Qt.UserRole)
        if not told:
            return
        *counts, largest = told
        area = QRectF(option.rect).adjusted(SIDE, 0, -SIDE, 0)
        top, left = area.center().y() - HEIGHT / 2, area.left()
        painter.save()
        painter.setPen(Qt.NoPen)
        for part, count in zip(PARTS, counts, strict=True):
            # A few images among many are still to be seen.
            wide = max(2.0, area.width() * count / largest) if count else 0.0
            painter.setBrush(colour(part))
            painter.drawRect(QRectF(left, top, wide, HEIGHT))
            left += wide
        painter.restore()
