"""A view of a camera: the newest picture, as large as it fits, and words where there is none."""

from PyQt5.QtCore import QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent
from PyQt5.QtWidgets import QLabel, QVBoxLayout, QWidget

from ai_nano.core.ports import Bitmap
from ai_nano.gui import style


class VideoView(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bitmap: Bitmap | None = None
        self._image: QImage | None = None
        # A label and no painted text: what a person reads here, a screen reader does too.
        self._words = QLabel(self)
        self._words.setAlignment(Qt.AlignCenter)
        self._words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(self._words)
        self._frames = 0

    @property
    def frames(self) -> int:
        """How many pictures it has shown."""
        return self._frames

    def sizeHint(self) -> QSize:
        return QSize(480, 270)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width * 9 // 16

    def show_bitmap(self, bitmap: Bitmap) -> None:
        # The array is kept: QImage only points to its memory.
        self._bitmap = bitmap
        self._image = QImage(bitmap.data.data, bitmap.width, bitmap.height, bitmap.width * 4, QImage.Format_RGB32)
        self._frames += 1
        if self._words.text():
            self._words.setText("")
        self.update()

    def show_words(self, words: str) -> None:
        self._bitmap = self._image = None
        self._words.setStyleSheet(f"color: {style.tokens().on_screen};")
        self._words.setText(words)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setRenderHint(QPainter.SmoothPixmapTransform, False)
        path = QPainterPath()
        path.addRoundedRect(QRectF(self.rect()), 8, 8)
        painter.setClipPath(path)
        painter.fillRect(self.rect(), QColor(style.tokens().screen))
        if self._image is not None:
            size = self._image.size().scaled(self.size(), Qt.KeepAspectRatio)
            left, top = (self.width() - size.width()) // 2, (self.height() - size.height()) // 2
            painter.drawImage(QRect(left, top, size.width(), size.height()), self._image)
