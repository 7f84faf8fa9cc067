"""A bar for each class: how sure the network is, and from where on it counts as recognised; nothing recognised is a row too."""

from collections.abc import Mapping, Sequence

from PyQt5.QtCore import QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent
from PyQt5.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from ai_nano.core.figures import percent
from ai_nano.core.texts import t
from ai_nano.gui import style

LONGEST_PX = 150


class _Bar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.value = 0.0
        self.threshold = 0.0
        self.recognised = False
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, 18)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, painter = style.tokens(), QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(Qt.NoPen)
        area = QRectF(0, 3, self.width(), self.height() - 6)
        painter.setBrush(QColor(tokens.border))
        painter.drawRoundedRect(area, 5, 5)
        if self.value > 0:
            painter.setBrush(QColor(tokens.ok if self.recognised else tokens.accent))
            painter.drawRoundedRect(QRectF(0, 3, max(6.0, self.width() * self.value), self.height() - 6), 5, 5)
        painter.setBrush(QColor(tokens.text))
        painter.drawRect(QRectF(self.width() * self.threshold - 1, 0, 2, self.height()))


class ClassBars(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 6, 0)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._rows: dict[str, tuple[QLabel, _Bar, QLabel]] = {}
        self._nothing, self._mark = QLabel(), QLabel()

    @property
    def classes(self) -> list[str]:
        return list(self._rows)

    def set_classes(self, names: Sequence[str], threshold: float) -> None:
        if list(names) != self.classes:
            while self._grid.count():
                self._grid.takeAt(0).widget().deleteLater()
            self._nothing, self._mark = QLabel(), QLabel()
            self._mark.setAlignment(Qt.AlignRight | Qt.AlignVCenter)
            for row in range(self._grid.rowCount()):
                self._grid.setRowStretch(row, 0)
            self._rows = {}
            for row, name in enumerate(names):
                label, bar, figure = QLabel(), _Bar(), QLabel("–")
                label.setText(label.fontMetrics().elidedText(name, Qt.ElideRight, LONGEST_PX))
                label.setToolTip(style.plain(name))
                label.setTextFormat(Qt.PlainText)
                figure.setAlignment(Qt.AlignRight | Qt.AlignVCenter)
                figure.setMinimumWidth(56)
                self._rows[name] = (label, bar, figure)
                for column, widget in enumerate((label, bar, figure)):
                    self._grid.addWidget(widget, row, column)
            if names:
                self._grid.addWidget(self._nothing, len(names), 0, 1, 2)
                self._grid.addWidget(self._mark, len(names), 2)
            self._grid.setRowStretch(len(names) + 1, 1)
            self._show_nothing(False)
        self._nothing.setText(t("infer.nothing"))
        self.set_threshold(threshold)

    def set_threshold(self, threshold: float) -> None:
        for _, bar, _ in self._rows.values():
            bar.threshold = threshold
            bar.update()

    def show_values(self, probabilities: Mapping[str, float], recognised: str | None) -> None:
        """Fractions by class; a class that the board does not tell of (older releases name the best one only) has none."""
        self._show_bars(probabilities, recognised)
        self._show_nothing(recognised is None)

    def clear_values(self) -> None:
        self._show_bars({}, None)
        self._show_nothing(False)

    def _show_bars(self, shares: Mapping[str, float], recognised: str | None) -> None:
        for name, (_, bar, figure) in self._rows.items():
            value = shares.get(name)
            bar.value, bar.recognised = value or 0.0, name == recognised
            bar.update()
            figure.setText(percent(value))

    def _show_nothing(self, so: bool) -> None:
        style.set_role(self._nothing, "figure" if so else "note")
        self._mark.setText("✓" if so else "–")
