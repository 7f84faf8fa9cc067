"""A ring that fills as images come; in it the number by which the class is chosen on the keyboard."""

from PyQt5.QtCore import QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QSizePolicy, QWidget

from ai_nano.gui import style

SIZE = 36
LINE = 4
# Of QPainter: sixteenths of a degree, from three o'clock, against the clock.
TOP, ROUND = 90 * 16, -360 * 16


class CountRing(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = ""
        self._share = 0.0
        self.setSizePolicy(QSizePolicy.Fixed, QSizePolicy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(SIZE, SIZE)

    def set_number(self, number: int) -> None:
        self._number = str(number)
        self.update()

    def set_share(self, share: float) -> None:
        """How much of what is wanted is there; 1 and more: all of it."""
        share = min(1.0, max(0.0, share))
        if share != self._share:
            self._share = share
            self.update()

    def painted_texts(self) -> list[tuple[str, QRect]]:
        return [(self._number, self.rect())] if self._number else []

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = style.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        place = QRectF(0, 0, SIZE, SIZE).adjusted(LINE / 2 + 0.5, LINE / 2 + 0.5, -LINE / 2 - 0.5, -LINE / 2 - 0.5)
        painter.setPen(QPen(QColor(tokens.border), LINE))
        painter.drawEllipse(place)
        if self._share > 0:
            painter.setPen(QPen(QColor(tokens.ok if self._share >= 1 else tokens.accent), LINE, Qt.SolidLine, Qt.RoundCap))
            painter.drawArc(place, TOP, round(ROUND * self._share))
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        painter.drawText(QRectF(0, 0, SIZE, SIZE), Qt.AlignCenter, self._number)
