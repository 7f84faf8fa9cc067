"""A view of a camera: the newest picture, as large as it fits, and words where there is none."""

from PyQt5.QtCore import QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PyQt5.QtWidgets import QLabel, QVBoxLayout, QWidget

from ai_nano.core.ports import Bitmap
from ai_nano.gui import style


class VideoView(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keeps_shape = False
        self._bitmap: Bitmap | None = None
        self._image: QImage | None = None
        # A label and no painted text: what a person reads here, a screen reader does too.
        self._words = QLabel(self)
        self._words.setAlignment(Qt.AlignCenter)
        self._words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(self._words)

    def sizeHint(self) -> QSize:
        return QSize(480, self.maximumHeight() if self._keeps_shape else 270)

    def hasHeightForWidth(self) -> bool:
        """The words would have one; the picture's is what counts."""
        return False

    def keep_shape(self) -> None:
        """As high as its width asks for, at 16:9, and lower only where there is no room; without it, the picture is centred in
        whatever room there is."""
        self._keeps_shape = True
        self.setMaximumHeight(270)

    def resizeEvent(self, event: QResizeEvent) -> None:
        height = round(self.width() * 9 / 16)
        if self._keeps_shape and self.maximumHeight() != height:
            self.setMaximumHeight(height)
            self.updateGeometry()

    def show_bitmap(self, bitmap: Bitmap) -> None:
        # The array is kept: QImage only points to its memory.
        self._bitmap = bitmap
        self._image = QImage(bitmap.data.data, bitmap.width, bitmap.height, bitmap.width * 4, QImage.Format_RGB32)
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
        shape = self._image.size() if self._image is not None else QSize(16, 9)
        size = shape.scaled(self.size(), Qt.KeepAspectRatio)
        if self._image is None:
            size.setWidth(self.width())  # for the words: a low view is wider than a picture in it
        place = QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height())
        path = QPainterPath()
        path.addRoundedRect(QRectF(place), 8, 8)
        painter.setClipPath(path)
        if self._image is not None:
            painter.drawImage(place, self._image)
        else:
            painter.fillRect(place, QColor(style.tokens().screen))
