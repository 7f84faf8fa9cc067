"""A grid of images of which only what is seen is there: thumbnails are asked for when they come into view."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PyQt5.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    pyqtSignal,
)
from PyQt5.QtGui import QColor, QFont, QHideEvent, QImage, QKeyEvent, QKeySequence, QPainter, QPen
from PyQt5.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ai_nano.gui import style
from ai_nano.gui.thumbnails import WIDTH, Thumbnails

# Pixels.
PICTURE = QSize(WIDTH, 86)
EDGE = 4
CAPTION = 20
CELL = QSize(PICTURE.width() + 2 * EDGE, CAPTION + PICTURE.height() + 2 * EDGE)
NOTCH = 40
# Long enough for a turned wheel to be one question, too short to be seen.
ASK_MS = 15

_ROOT = QModelIndex()


class Gallery(QListView):
    """Images in the order given; arrows, Shift, Ctrl and a drawn frame choose, Ctrl+A all.

    Signals: `remove_wanted` the chosen paths (Delete was pressed), `open_wanted` a path (Enter or a double click),
    `chosen` how many are chosen now.
    """

    remove_wanted = pyqtSignal(list)
    open_wanted = pyqtSignal(object)
    chosen = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images = _Images()
        self._thumbnails: Thumbnails | None = None
        self._down = True
        self._scrolled = 0
        self._asking = QTimer(self)
        self._asking.setSingleShot(True)
        self._asking.setInterval(ASK_MS)
        self._asking.timeout.connect(self._ask)
        self.setModel(self._images)
        self.setItemDelegate(_Cell(self))
        self.setViewMode(QListView.IconMode)
        self.setMovement(QListView.Static)
        self.setResizeMode(QListView.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(CELL)
        self.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self.verticalScrollBar().setSingleStep(NOTCH)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.doubleClicked.connect(lambda index: self.open_wanted.emit(self._images.paths[index.row()]))
        style.set_role(self, "gallery")

    def use(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails

    # ---- what it shows -----------------------------------------------------------------------------------------------

    def show_images(self, paths: Sequence[Path], marks: Mapping[Path, str] | None = None) -> None:
        """Newest first. `marks`: words above an image at which something begins, a recording for example.

        What was chosen stays chosen, what was in view stays there; where the current image has gone, the next one is it.
        """
        marks = marks or {}
        if list(paths) == self._images.paths and marks == self._images.marks:
            return
        chosen, place = self.selected(), self.verticalScrollBar().value()
        before, row = self._images.paths, max(0, self.currentIndex().row())
        self._images.show(paths, marks)
        self.executeDelayedItemsLayout()
        self.choose(chosen)
        if paths:
            near = (*before[row:], *reversed(before[:row]))
            row = next((self._images.rows[path] for path in near if path in self._images.rows), 0)
            self.selectionModel().setCurrentIndex(self._images.index(row), QItemSelectionModel.NoUpdate)
        # At the end: what becomes the current image is brought into view.
        self.verticalScrollBar().setValue(place)
        # Those of before are gone without a word.
        self.chosen.emit(self.chosen_count)

    @property
    def paths(self) -> Sequence[Path]:
        return self._images.paths

    @property
    def marks(self) -> Mapping[Path, str]:
        return self._images.marks

    def selected(self) -> list[Path]:
        """What is chosen, in the order of the images."""
        return [self._images.paths[row] for one in self._ranges() for row in range(one.top(), one.bottom() + 1)]

    @property
    def chosen_count(self) -> int:
        return sum(one.height() for one in self._ranges())

    def choose(self, paths: Iterable[Path]) -> None:
        """These and no others, as far as they are there."""
        chosen = QItemSelection()
        rows = sorted(row for path in paths if (row := self._images.rows.get(path)) is not None)
        start = 0
        for place, row in enumerate(rows):
            if place + 1 == len(rows) or rows[place + 1] != row + 1:
                chosen.select(self._images.index(rows[start]), self._images.index(row))
                start = place + 1
        self.selectionModel().select(chosen, QItemSelectionModel.ClearAndSelect)

    def go_to(self, path: Path) -> None:
        """It alone is chosen, and in view."""
        row = self._images.rows.get(path)
        if row is not None:
            self.setCurrentIndex(self._images.index(row))

    def rows_in_view(self) -> range:
        """Of the images that are seen, also in part."""
        count = len(self._images.paths)
        if not count:
            return range(0)
        top = self.visualRect(self._images.index(0)).top()
        columns = next((row for row in range(1, count) if self.visualRect(self._images.index(row)).top() != top), count)
        lines = -top // CELL.height(), (self.viewport().height() - 1 - top) // CELL.height()
        return range(max(0, columns * lines[0]), max(0, min(count, columns * (lines[1] + 1))))

    def _ranges(self) -> list[QItemSelectionRange]:
        chosen = self.selectionModel().selection()
        return sorted((chosen[place] for place in range(len(chosen))), key=lambda one: one.top())

    # ---- thumbnails --------------------------------------------------------------------------------------------------

    def thumbnail(self, path: Path) -> QImage | None:
        """For whoever draws: what is missing is asked for, and its place drawn again when it is there."""
        image = self._thumbnails.image(path) if self._thumbnails is not None else None
        if image is None and not self._asking.isActive():
            self._asking.start()
        return image

    def _on_scrolled(self, value: int) -> None:
        self._down, self._scrolled = value >= self._scrolled, value
        if not self._asking.isActive():
            self._asking.start()

    def _ask(self) -> None:
        """For what is in view now, then for the next screen; what was asked for and has gone from view is dropped."""
        if self._thumbnails is None or not self.isVisible():
            return
        seen, count = self.rows_in_view(), len(self._images.paths)
        if self._down:
            ahead = range(seen.stop, min(count, seen.stop + len(seen)))
        else:
            ahead = range(seen.start - 1, max(-1, seen.start - 1 - len(seen)), -1)
        paths = [self._images.paths[row] for row in (*seen, *ahead)]
        missing = [path for path in paths if self._thumbnails.image(path) is None]
        self._thumbnails.want(self, missing, self._on_arrived, first=True)

    def _on_arrived(self, images: Mapping[Path, QImage]) -> None:
        for path in images:
            row = self._images.rows.get(path)
            if row is not None:
                self.update(self._images.index(row))

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self._thumbnails is not None:
            self._thumbnails.forget(self)

    # ---- hands -------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.Delete) or event.key() == Qt.Key_Backspace:
            if self.chosen_count and not event.isAutoRepeat():
                self.remove_wanted.emit(self.selected())
        elif event.key() in (Qt.Key_Return, Qt.Key_Enter):
            if self.currentIndex().isValid():
                self.open_wanted.emit(self._images.paths[self.currentIndex().row()])
        elif event.key() == Qt.Key_Escape:
            event.ignore()  # Qt would search for it
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters look for nothing: images have no words."""

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        super().selectionChanged(selected, deselected)
        self.chosen.emit(self.chosen_count)


class _Images(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.paths: list[Path] = []
        self.marks: Mapping[Path, str] = {}
        self.rows: dict[Path, int] = {}

    def show(self, paths: Sequence[Path], marks: Mapping[Path, str]) -> None:
        self.beginResetModel()
        self.paths, self.marks = list(paths), marks
        self.rows = {path: row for row, path in enumerate(self.paths)}
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.paths)

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> str | None:
        path = self.paths[index.row()]
        if role == Qt.DisplayRole:
            return self.marks.get(path)
        return path.name if role == Qt.AccessibleTextRole else None


class _Cell(QStyledItemDelegate):
    """The caption, or the line that goes on from it to the end of the row, and below it the picture."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(gallery)
        self._gallery = gallery

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return CELL

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        tokens, place = style.tokens(), option.rect
        path = self._gallery.paths[index.row()]
        column = (place.left() - self._gallery.visualRect(index.siblingAtRow(0)).left()) // CELL.width()
        row = self._gallery.paths[max(0, index.row() - column):index.row() + 1]
        if any(one in self._gallery.marks for one in row):
            self._draw_caption(painter, place, self._gallery.marks.get(path))
        picture = QRect(place.topLeft() + QPoint(EDGE, CAPTION + EDGE), PICTURE)
        chosen = bool(option.state & QStyle.State_Selected)
        if chosen:
            painter.fillRect(picture.adjusted(-3, -3, 3, 3), QColor(tokens.accent))
        image = self._gallery.thumbnail(path)
        if image is None or image.isNull():
            painter.fillRect(picture, QColor(tokens.border))
            if image is not None:
                _draw_icon(painter, picture, "failed", tokens.muted, 24)
        else:
            draw_image(painter, picture, image)
        if chosen:
            badge = QRect(picture.topRight() - QPoint(21, -3), QSize(18, 18))
            painter.fillRect(badge, QColor(tokens.accent))
            _draw_icon(painter, badge, "tick", tokens.on_accent, 14)
        if option.state & QStyle.State_HasFocus:
            painter.setPen(QPen(QColor(tokens.text), 1))
            painter.drawRect(picture.adjusted(-4, -4, 3, 3))

    def _draw_caption(self, painter: QPainter, place: QRect, words: str | None) -> None:
        tokens = style.tokens()
        left, middle = place.left(), place.top() + CAPTION // 2 + 2
        if words is not None:
            font = QFont(self._gallery.font())
            font.setPointSizeF(tokens.small_pt)
            painter.setFont(font)
            painter.setPen(QColor(tokens.muted))
            room = QRect(left + EDGE, place.top() + 2, PICTURE.width(), CAPTION)
            shown = painter.fontMetrics().elidedText(words, Qt.ElideRight, room.width())
            painter.drawText(room, int(Qt.AlignLeft | Qt.AlignVCenter), shown)
            left = room.left() + painter.fontMetrics().horizontalAdvance(shown) + 6
        if left < place.right():
            painter.fillRect(QRect(left, middle, place.right() - left + 1, 1), QColor(tokens.border))


def draw_image(painter: QPainter, room: QRect, image: QImage) -> None:
    """In its own shape, as large as the room has it, in the middle."""
    size = image.size().scaled(room.size(), Qt.KeepAspectRatio)
    place = QRect(room.topLeft() + QPoint((room.width() - size.width()) // 2, (room.height() - size.height()) // 2), size)
    painter.setRenderHint(QPainter.SmoothPixmapTransform, size != image.size())
    painter.drawImage(place, image)


def _draw_icon(painter: QPainter, room: QRect, name: str, colour: str, size: int) -> None:
    drawn = style.pixmap(name, colour, size, painter.device().devicePixelRatioF())
    painter.drawPixmap(room.center() - QPoint(size // 2 - 1, size // 2 - 1), drawn)
