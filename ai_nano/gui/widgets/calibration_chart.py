"""How sure the network is against how often it is right: one bar for each tenth, and the line where both are the same."""

from collections.abc import Sequence

from PyQt5.QtCore import QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QSizePolicy, QWidget

from ai_nano.core.figures import percent
from ai_nano.core.report.figures import Bin
from ai_nano.core.texts import t
from ai_nano.gui import style

LEFT, BOTTOM, TOP, RIGHT = 46, 34, 8, 26


class CalibrationChart(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bins: Sequence[Bin] = ()
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(300, 210)

    def show_bins(self, bins: Sequence[Bin]) -> None:
        self._bins = bins
        told = (f"{percent(one.confidence, 0)} → {percent(one.accuracy, 0)} ({one.count})" for one in bins if one.count)
        self.setAccessibleName(f"{t('window.report.calibration.says')} → {t('window.report.calibration.is')}")
        self.setAccessibleDescription(", ".join(told))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, painter = style.tokens(), QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        area = QRectF(LEFT, TOP, self.width() - LEFT - RIGHT, self.height() - TOP - BOTTOM)
        font = painter.font()
        font.setPointSizeF(tokens.small_pt)
        painter.setFont(font)
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.setPen(QPen(QColor(tokens.border), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(tokens.muted))
            painter.drawText(QRectF(0, y - 9, LEFT - 6, 18), int(Qt.AlignRight | Qt.AlignVCenter), percent(share, 0))
            x = area.left() + share * area.width()
            painter.drawText(QRectF(x - 30, area.bottom() + 1, 60, 15), int(Qt.AlignCenter), percent(share, 0))
        painter.drawText(QRectF(area.left(), area.bottom() + 15, area.width(), 17), int(Qt.AlignCenter),
                         f"{t('window.report.calibration.says')} →  |  ↑ {t('window.report.calibration.is')}")
        painter.setPen(Qt.NoPen)
        painter.setBrush(QColor(tokens.accent))
        for one in self._bins:
            if one.count:
                left = area.left() + one.low * area.width() + 2
                wide = max(2.0, (one.high - one.low) * area.width() - 4)
                high = (one.accuracy or 0.0) * area.height()
                painter.drawRect(QRectF(left, area.bottom() - high, wide, high))
        painter.setPen(QPen(QColor(tokens.text), 1.5, Qt.DashLine))
        painter.drawLine(area.bottomLeft(), area.topRight())
