"""What is drawn over the camera's picture: the seconds before a burst, and that, and of which class, it records."""

from PyQt5.QtCore import QEvent, QObject, QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QWidget

from ai_nano.gui import style

EDGE = 12
DOT = 12
FRAME = 4
DIM = 150  # of 255


class PreviewOverlay(QWidget):
    """Covers `view`, and lets the mouse through."""

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self.setAttribute(Qt.WA_TransparentForMouseEvents)
        self._seconds = 0
        self._words = ""
        self.setGeometry(view.rect())
        view.installEventFilter(self)
        self.hide()

    def show_seconds(self, seconds: int) -> None:
        """Seconds until it begins; 0: it does not count."""
        self._seconds = seconds
        self._show()

    def show_recording(self, words: str) -> None:
        """What is recorded; empty: nothing is."""
        self._words = words
        self._show()

    def _show(self) -> None:
        self.setGeometry(self.parentWidget().rect())
        self.setVisible(bool(self._seconds or self._words))
        self.raise_()
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def painted_texts(self) -> list[tuple[str, QRect]]:
        if self._seconds:
            return [(str(self._seconds), self.rect())]
        return [(self._words, QRect(0, 0, self.width(), DOT + 4 * EDGE))] if self._words else []

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        if self._seconds:
            self._paint_seconds(painter)
        elif self._words:
            self._paint_recording(painter)

    def _paint_seconds(self, painter: QPainter) -> None:
        tokens = style.tokens()
        size = min(self.width(), self.height()) * 0.6
        place = QRectF((self.width() - size) / 2, (self.height() - size) / 2, size, size)
        ground = QColor(tokens.screen)
        ground.setAlpha(DIM)
        painter.setPen(Qt.NoPen)
        painter.setBrush(ground)
        painter.drawEllipse(place)
        font = painter.font()
        font.setPixelSize(max(12, round(size * 0.6)))
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(tokens.on_screen))
        painter.drawText(place, Qt.AlignCenter, str(self._seconds))

    def _paint_recording(self, painter: QPainter) -> None:
        tokens = style.tokens()
        painter.setPen(QPen(QColor(tokens.bad), FRAME))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(FRAME / 2, FRAME / 2, -FRAME / 2, -FRAME / 2), 8, 8)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        words = metrics.elidedText(self._words, Qt.ElideMiddle, self.width() - 4 * EDGE - DOT - 8)
        height = metrics.height() + 10
        place = QRectF(EDGE, EDGE, metrics.horizontalAdvance(words) + DOT + 3 * 8, height)
        ground = QColor(tokens.screen)
        ground.setAlpha(DIM)
        painter.setPen(Qt.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(place, height / 2, height / 2)
        painter.setBrush(QColor(tokens.bad))
        painter.drawEllipse(QRectF(place.left() + 8, place.center().y() - DOT / 2, DOT, DOT))
        painter.setPen(QColor(tokens.on_screen))
        painter.drawText(place.adjusted(DOT + 2 * 8, 0, 0, 0), int(Qt.AlignVCenter | Qt.AlignLeft), words)
