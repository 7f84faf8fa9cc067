"""Two pairs of bars: for each strategy what its test promises, and what fresh takes give."""

from PyQt5.QtCore import QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent
from PyQt5.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from ai_nano.core.figures import percent
from ai_nano.core.split.lesson import STRATEGIES, LessonResult, strategy_word
from ai_nano.core.texts import t
from ai_nano.gui import style


class _Bar(QWidget):
    def __init__(self, share: float, promised: bool) -> None:
        super().__init__()
        self._share = share
        self._promised = promised
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(160, 22)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, painter = style.tokens(), QPainter(self)
        painter.setPen(Qt.NoPen)
        painter.setBrush(QColor(tokens.border))
        painter.drawRect(QRectF(0, 3, self.width(), self.height() - 6))
        painter.setBrush(QColor(tokens.train_curve if self._promised else tokens.val_curve))
        painter.drawRect(QRectF(0, 3, self.width() * self._share, self.height() - 6))


class PromiseBars(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)

    def show_result(self, result: LessonResult) -> None:
        while self._grid.count():
            self._grid.takeAt(0).widget().deleteLater()
        row = 0
        for strategy in STRATEGIES:
            heading = _label(strategy_word(strategy))
            style.set_role(heading, "heading")
            heading.setContentsMargins(0, 10 if row else 0, 0, 2)
            self._grid.addWidget(heading, row, 0, 1, 3)
            for promised, share in ((True, result.promised(strategy)), (False, result.real(strategy))):
                row += 1
                figure = _label(percent(share))
                figure.setAlignment(Qt.AlignRight | Qt.AlignVCenter)
                bar = _Bar(share, promised)
                bar.setAccessibleName(f"{strategy_word(strategy)}: {percent(share)}")
                self._grid.addWidget(_label(t("lesson.promised" if promised else "lesson.real")), row, 0)
                self._grid.addWidget(bar, row, 1)
                self._grid.addWidget(figure, row, 2)
            row += 1


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.PlainText)
    return label
