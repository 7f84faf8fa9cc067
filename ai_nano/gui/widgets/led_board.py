"""The virtual LED board: what the pins of the Nano's header do, one LED for each class."""

from collections.abc import Sequence

from PyQt5.QtCore import QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QRadialGradient
from PyQt5.QtWidgets import QGridLayout, QLabel, QWidget

from ai_nano.core.texts import current_language, t
from ai_nano.gui import style

A_ROW = 5
LONGEST_PX = 84


class Led(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.lit = False

    def sizeHint(self) -> QSize:
        return QSize(40, 34)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, painter = style.tokens(), QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        centre = QPointF(self.width() / 2, self.height() / 2)
        painter.setPen(Qt.NoPen)
        if self.lit:
            glow = QRadialGradient(centre, 17)
            colour = QColor(tokens.led_glow)
            colour.setAlpha(200)
            glow.setColorAt(0.3, colour)
            colour.setAlpha(0)
            glow.setColorAt(1.0, colour)
            painter.setBrush(glow)
            painter.drawEllipse(centre, 17, 17)
        painter.setBrush(QColor(tokens.led_on if self.lit else tokens.led_off))
        painter.drawEllipse(centre, 9.5, 9.5)
        shine = QColor(tokens.led_shine)
        shine.setAlpha(170 if self.lit else 50)
        painter.setBrush(shine)
        painter.drawEllipse(QPointF(centre.x() - 3, centre.y() - 3.5), 2.6, 2.2)


class LedBoard(QWidget):
    """A class without a pin has no LED, and says so."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 8, 12, 10)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(0)
        self._shown: tuple[int, ...] = ()
        self._places: list[tuple[int | None, Led, QLabel]] = []
        self._key: object = None

    def set_classes(self, names: Sequence[str], pins: Sequence[int]) -> None:
        """Class i has the LED at pins[i]."""
        key = (tuple(names), tuple(pins), current_language(), style.tokens().name)
        if key == self._key:
            return
        self._key = key
        while self._grid.count():
            self._grid.takeAt(0).widget().deleteLater()
        self._places = []
        for index, name in enumerate(names):
            pin = pins[index] if index < len(pins) else None
            led, where, state = Led(), QLabel(), QLabel()
            where.setText(t("window.led.pin", pin=pin) if pin is not None else t("window.led.no_pin"))
            title = QLabel()
            title.setText(title.fontMetrics().elidedText(name, Qt.ElideRight, LONGEST_PX))
            title.setToolTip(style.plain(name))
            title.setTextFormat(Qt.PlainText)
            for label in (title, where, state):
                label.setAlignment(Qt.AlignHCenter)
                label.setStyleSheet(f"color: {style.tokens().on_screen}; font-size: {style.tokens().small_pt}pt;")
            led.setVisible(pin is not None)
            row, column = index // A_ROW * 4, index % A_ROW
            for offset, widget in enumerate((led, title, where, state)):
                self._grid.addWidget(widget, row + offset, column, Qt.AlignHCenter)
            self._places.append((pin, led, state))
        self.show_lit(self._shown)

    def show_lit(self, pins: Sequence[int]) -> None:
        self._shown = tuple(pins)
        for pin, led, state in self._places:
            lit = pin is not None and pin in pins
            state.setText("" if pin is None else t("window.led.lit" if lit else "window.led.dark"))
            if led.lit != lit:
                led.lit = lit
                led.update()

    @property
    def lit(self) -> list[int]:
        return [pin for pin, led, _ in self._places if pin is not None and led.lit]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(Qt.NoPen)
        painter.setBrush(QColor(style.tokens().board))
        painter.drawRoundedRect(QRectF(self.rect()), 8, 8)
