"""The newest images of a class, in a row. One of them can be thrown away where it stands."""

from collections.abc import Sequence

from PyQt5.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PyQt5.QtWidgets import QWidget

from ai_nano.core.texts import t
from ai_nano.gui import style

WIDTH, HEIGHT, GAP = 68, 38, 5
CROSS = 16
CROSS_SIGN = "×"


class ThumbnailStrip(QWidget):
    """`remove_wanted`: the place, 0 the newest, of the image whose cross was clicked; `opened`: a click beside it.
    `room_changed`: more or fewer of them fit."""

    remove_wanted = pyqtSignal(int)
    opened = pyqtSignal()
    room_changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: list[QImage] = []
        self._removable = self._pointed = False
        self._room = 0
        self.setMouseTracking(True)
        self.retranslate()

    def retranslate(self) -> None:
        self.setToolTip(t("window.class.thumbnails.tip"))

    def sizeHint(self) -> QSize:
        return QSize(2 * (WIDTH + GAP), HEIGHT + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, HEIGHT + 2)

    @property
    def room(self) -> int:
        """How many fit."""
        return max(1, (self.width() + GAP) // (WIDTH + GAP))

    def set_images(self, images: Sequence[QImage], removable: bool = False) -> None:
        """Newest first."""
        self._images, self._removable = list(images), removable
        self.update()

    def drop(self, place: int) -> None:
        """That image is not shown any more, ahead of what the disk will say."""
        del self._images[place:place + 1]
        self._removable = False
        self.update()

    def painted_texts(self) -> list[tuple[str, QRect]]:
        if not (self._removable and self._pointed):
            return []
        return [(CROSS_SIGN, _cross(place).toRect()) for place in range(len(self._images[:self.room]))]

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self.room != self._room:
            self._room = self.room
            self.room_changed.emit()

    def enterEvent(self, event: QEvent) -> None:
        self._pointed = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._pointed = False
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.LeftButton:
            event.ignore()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.LeftButton or not self.rect().contains(event.pos()):
            return
        for place in range(len(self._images[:self.room])):
            if self._removable and _cross(place).adjusted(-3, -3, 3, 3).contains(QPointF(event.pos())):
                self.remove_wanted.emit(place)
                return
            if _place(place).contains(QPointF(event.pos())):
                self.opened.emit()
                return

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        shown = self._images[:self.room]
        for index, image in enumerate(shown):
            path = QPainterPath()
            path.addRoundedRect(_place(index), 5, 5)
            painter.setClipPath(path)
            painter.drawImage(_place(index), image)
        painter.setClipping(False)
        if self._removable and self._pointed:
            for index in range(len(shown)):
                _paint_cross(painter, _cross(index))


def _place(index: int) -> QRectF:
    return QRectF(index * (WIDTH + GAP), 1, WIDTH, HEIGHT)


def _cross(index: int) -> QRectF:
    place = _place(index)
    return QRectF(place.right() - CROSS - 2, place.top() + 2, CROSS, CROSS)


def _paint_cross(painter: QPainter, place: QRectF) -> None:
    tokens = style.tokens()
    painter.setPen(Qt.NoPen)
    painter.setBrush(QColor(tokens.screen))
    painter.drawEllipse(place)
    painter.setPen(QPen(QColor(tokens.on_screen), 1.6, Qt.SolidLine, Qt.RoundCap))
    inner = place.adjusted(5, 5, -5, -5)
    painter.drawLine(inner.topLeft(), inner.bottomRight())
    painter.drawLine(inner.topRight(), inner.bottomLeft())
