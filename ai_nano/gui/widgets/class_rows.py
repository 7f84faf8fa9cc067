"""The classes of a project as rows: renamed in place, and moved by dragging."""

from typing import Any, NamedTuple

from PyQt5.QtCore import QAbstractItemModel, QAbstractListModel, QModelIndex, QRect, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont, QPainter
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ai_nano.core.texts import t
from ai_nano.gui import style

HEIGHT = 32
NUMBER, MARGIN = 26, 10


class ClassRow(NamedTuple):
    name: str
    images: int


class ClassModel(QAbstractListModel):
    """`rename_wanted` (old, new) and `moved` (all names, in their new order) are for the page to carry out."""

    rename_wanted = pyqtSignal(str, str)
    moved = pyqtSignal(list)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ClassRow] = []

    @property
    def names(self) -> list[str]:
        return [row.name for row in self.rows]

    def show_rows(self, rows: list[ClassRow]) -> None:
        if rows != self.rows:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.EditRole:
            return row.name
        if role == Qt.ToolTipRole:
            return style.plain(row.name)
        if role in (Qt.DisplayRole, Qt.AccessibleTextRole):
            return t("window.project.class", name=row.name, count=row.images)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.EditRole) -> bool:
        """Nothing changes here: whether a name may be one is for the workspace to say."""
        name = self.rows[index.row()].name
        if role == Qt.EditRole and str(value).strip() != name:
            self.rename_wanted.emit(name, str(value))
        return False

    def flags(self, index: QModelIndex) -> Qt.ItemFlags:
        if not index.isValid():
            return Qt.ItemFlags(Qt.ItemIsDropEnabled)  # between two rows, never onto one
        return Qt.ItemFlags(Qt.ItemIsEnabled | Qt.ItemIsSelectable | Qt.ItemIsEditable | Qt.ItemIsDragEnabled
                            | Qt.ItemNeverHasChildren)

    def supportedDropActions(self) -> Qt.DropActions:
        return Qt.DropActions(Qt.MoveAction)

    def moveRows(self, source: QModelIndex, first: int, count: int, target: QModelIndex, before: int) -> bool:
        """One row, as the view does it when the row is dropped."""
        if not self.beginMoveRows(source, first, first + count - 1, target, before):
            return False
        moving = self.rows[first:first + count]
        del self.rows[first:first + count]
        place = before if before < first else before - count
        self.rows[place:place] = moving
        self.endMoveRows()
        self.moved.emit(self.names)
        return True


class ClassRows(QListView):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.classes = ClassModel()
        self.setModel(self.classes)
        self.setItemDelegate(_Delegate(self))
        self.setUniformItemSizes(True)
        self.setMinimumHeight(2 * HEIGHT)
        self.setEditTriggers(QAbstractItemView.DoubleClicked | QAbstractItemView.EditKeyPressed)
        self.setDragDropMode(QAbstractItemView.InternalMove)
        self.setDefaultDropAction(Qt.MoveAction)
        self.setDropIndicatorShown(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        style.set_role(self, "choice")

    @property
    def chosen(self) -> str | None:
        index = self.currentIndex()
        return self.classes.rows[index.row()].name if index.isValid() else None

    def choose(self, name: str | None) -> None:
        if name in self.classes.names:
            self.setCurrentIndex(self.classes.index(self.classes.names.index(name)))

    def show_rows(self, rows: list[ClassRow]) -> None:
        """What is chosen, or being typed, stays as it is."""
        if rows != self.classes.rows and self.state() != QAbstractItemView.EditingState:
            chosen, place = self.chosen, self.currentIndex().row()
            self.classes.show_rows(rows)
            self.choose(chosen if chosen in self.classes.names or not rows else rows[min(max(place, 0), len(rows) - 1)].name)

    def begin_rename(self) -> None:
        if self.currentIndex().isValid():
            self.setFocus()
            self.edit(self.currentIndex())

    def move_chosen(self, by: int) -> None:
        """Up (-1) or down (1)."""
        row = self.currentIndex().row()
        if row >= 0 and 0 <= row + by < len(self.classes.rows):
            self.classes.moveRows(QModelIndex(), row, 1, QModelIndex(), row - 1 if by < 0 else row + 2)


class _Delegate(QStyledItemDelegate):
    """Number and name at the left, how many images at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(120, HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        ground = QStyleOptionViewItem(option)
        self.initStyleOption(ground, index)
        ground.text = ""
        widget = option.widget
        drawn_by = widget.style() if widget is not None else QApplication.style()
        drawn_by.drawControl(QStyle.CE_ItemViewItem, ground, painter, widget)
        if not isinstance(model := index.model(), ClassModel):
            return
        tokens, row = style.tokens(), model.rows[index.row()]
        inside = option.rect.adjusted(MARGIN, 0, -MARGIN, 0)
        painter.save()
        painter.setPen(QColor(tokens.muted))
        painter.setFont(option.font)
        painter.drawText(inside, int(Qt.AlignLeft | Qt.AlignVCenter), str(index.row() + 1))
        count = t("window.class.count", count=row.images)
        painter.drawText(inside, int(Qt.AlignRight | Qt.AlignVCenter), count)
        font = QFont(option.font)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        width = inside.width() - NUMBER - painter.fontMetrics().horizontalAdvance(count) - MARGIN
        name = painter.fontMetrics().elidedText(row.name, Qt.ElideRight, max(20, width))
        painter.drawText(inside.adjusted(NUMBER, 0, 0, 0), int(Qt.AlignLeft | Qt.AlignVCenter), name)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget:
        editor = super().createEditor(parent, option, index)
        editor.setAccessibleName(t("window.class.name"))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        place: QRect = option.rect
        editor.setGeometry(place.adjusted(NUMBER, 1, -2, -1))

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: QModelIndex) -> None:
        """An emptied field means: as it was."""
        text = str(editor.property("text") or "")
        if text.strip():
            model.setData(index, text, Qt.EditRole)
