"""The newest images of a class, in a row."""

from collections.abc import Sequence

from PyQt5.QtCore import QRectF, QSize
from PyQt5.QtGui import QImage, QPainter, QPainterPath, QPaintEvent
from PyQt5.QtWidgets import QWidget

WIDTH, HEIGHT, GAP = 76, 43, 6


class ThumbnailStrip(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: list[QImage] = []

    def sizeHint(self) -> QSize:
        return QSize(3 * (WIDTH + GAP), HEIGHT + 2)

    @property
    def room(self) -> int:
        """How many fit."""
        return max(1, (self.width() + GAP) // (WIDTH + GAP))

    def set_images(self, images: Sequence[QImage]) -> None:
        """Newest first."""
        self._images = list(images)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        for index, image in enumerate(self._images[:self.room]):
            place = QRectF(index * (WIDTH + GAP), 1, WIDTH, HEIGHT)
            path = QPainterPath()
            path.addRoundedRect(place, 5, 5)
            painter.setClipPath(path)
            painter.drawImage(place, image)
