"""One Nano of the bench: who uses it, what its camera sees, and what can be done with it."""

import functools
from collections.abc import Sequence

from PyQt5.QtCore import QPointF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ai_nano.core.events import Health, Prediction
from ai_nano.core.figures import in_minutes, percent
from ai_nano.core.nano.bench import Doing, Sight
from ai_nano.core.nano.boards import Use
from ai_nano.core.ports import Bitmap
from ai_nano.core.texts import known, t
from ai_nano.core.wire import step_of
from ai_nano.gui import style
from ai_nano.gui.widgets.video import VideoView

# Pixels.
AIR = 10
ABOVE, BELOW = 6, 8
GAP = 4
LED = 13
LED_APART = 18
BORDER = 2
LONGEST_NAME = 130
MOST_LEDS = 6


class Line(QLabel):
    """A line of words, cut where the tile ends; all of it is in the tool tip."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._words = ""
        self.setTextFormat(Qt.PlainText)
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Fixed)
        style.set_role(self, role)

    def say(self, words: str) -> None:
        if words != self._words:
            self._words = words
            self.setToolTip(style.plain(words))
            self._cut()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._cut()

    def _cut(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._words, Qt.ElideRight, self.width()))


class LedRow(QWidget):
    """The LEDs of the pins in use, small."""

    def __init__(self) -> None:
        super().__init__()
        self._pins: tuple[int, ...] = ()
        self._lit: tuple[int, ...] = ()
        self.setSizePolicy(QSizePolicy.Fixed, QSizePolicy.Fixed)

    @property
    def lit(self) -> list[int]:
        return [pin for pin in self._pins if pin in self._lit]

    def show_pins(self, pins: Sequence[int], lit: Sequence[int]) -> None:
        shown = tuple(pins[:MOST_LEDS]), tuple(lit)
        if shown != (self._pins, self._lit):
            self._pins, self._lit = shown
            self.updateGeometry()
            self.update()
            words = [f"{t('window.led.pin', pin=pin)}: {t('window.led.lit' if pin in lit else 'window.led.dark')}"
                     for pin in self._pins]
            self.setToolTip("\n".join(words))
            self.setAccessibleName(", ".join(words))

    def sizeHint(self) -> QSize:
        return QSize(LED_APART * len(self._pins), LED + 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, painter = style.tokens(), QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(Qt.NoPen)
        for place, pin in enumerate(self._pins):
            centre = QPointF(LED_APART * (place + 0.5), self.height() / 2)
            lit = pin in self._lit
            if lit:
                glow = QColor(tokens.led_glow)
                glow.setAlpha(150)
                painter.setBrush(glow)
                painter.drawEllipse(centre, LED / 2 + 3, LED / 2 + 3)
            painter.setBrush(QColor(tokens.led_on if lit else tokens.led_off))
            painter.drawEllipse(centre, LED / 2, LED / 2)
        painter.end()


class NanoTile(QFrame):
    """Signal: `wanted` with what is to be done and, for `end`, the Use that it is about."""

    wanted = pyqtSignal(str, object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.sight = Sight(name)
        self._bitmap: Bitmap | None = None
        self._told: object = None
        self._words: str | None = None
        style.set_role(self, "card")
        self._dot = QLabel()
        self._title, self._state = QLabel(), Line("note")
        self._title.setTextFormat(Qt.PlainText)
        self._title.setToolTip(style.plain(name))
        self._state.setAlignment(Qt.AlignRight | Qt.AlignVCenter)
        style.set_role(self._title, "heading")
        self.menu = QToolButton()
        self.menu.setPopupMode(QToolButton.InstantPopup)
        self.menu.setMenu(QMenu(self.menu))
        self.menu.menu().aboutToShow.connect(self._fill_menu)
        self.picture = VideoView()
        self._seen, self._who, self._model = Line("figure"), Line("note"), Line("note")
        self._rate, self._health, self.leds = QLabel(), QLabel(), LedRow()
        for label in (self._rate, self._health):
            label.setTextFormat(Qt.PlainText)
            style.set_role(label, "note")
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self._dot)
        top.addWidget(self._title)
        top.addWidget(self._state, 1)
        top.addWidget(self.menu)
        column = QVBoxLayout(self)
        column.setContentsMargins(AIR, ABOVE, AIR, BELOW)
        column.setSpacing(GAP)
        column.addLayout(top)
        column.addWidget(self.picture, 1)
        for line, beside in ((self._seen, self.leds), (self._who, self._rate), (self._model, self._health)):
            row = QHBoxLayout()
            row.setSpacing(6)
            row.addWidget(line, 1)
            row.addWidget(beside)
            column.addLayout(row)
        self.retranslate()

    @property
    def height_of_words(self) -> int:
        """Pixels of the tile beside its picture."""
        rows = (self.menu, self._seen, self._who, self._model)
        for row in rows:
            row.ensurePolished()
        heights = [max(row.sizeHint().height(), self.leds.sizeHint().height()) for row in rows]
        return sum(heights) + len(rows) * GAP + ABOVE + BELOW + BORDER

    def retranslate(self) -> None:
        self._title.ensurePolished()
        self._title.setText(self._title.fontMetrics().elidedText(self.name, Qt.ElideRight, LONGEST_NAME))
        self.menu.setText(t("window.bench.more"))
        self.menu.setToolTip(t("window.bench.menu", machine=self.name))
        self._told = self._words = self._bitmap = None
        self.show_sight(self.sight)

    def show_sight(self, sight: Sight) -> None:
        """Called ten times a second: what has not changed is left alone."""
        self.sight = sight
        state = {Doing.ABSENT: "absent", Doing.ASKING: "connecting"}.get(sight.doing, "connected")
        if state != self._told:
            self._told = state
            colour, _ = style.tokens().of(state)
            self._dot.setPixmap(style.pixmap("dot", colour, 14, self.devicePixelRatioF()))
            self._state.say(t(f"machine.state.{state}"))
        self._show_picture(sight)
        prediction = sight.prediction
        self._seen.say(seen(prediction) if prediction is not None else "")
        self.leds.show_pins(sight.pins, prediction.lit if prediction is not None else ())
        self._who.say(who(sight))
        rate = None if sight.rate is None else f"{sight.rate:.0f}"
        self._rate.setText("" if rate is None else t("window.bench.rate", rate=rate))
        self._rate.setToolTip("" if rate is None else t("window.infer.rate", rate=rate))
        self._model.say(sight.model or "")
        self._show_health(sight.health)

    def _show_health(self, health: Health | None) -> None:
        """What worries in words; all of it in the tool tip."""
        self._health.setText("" if health is None else in_short(health))
        self._health.setToolTip("" if health is None else style.plain(health.text))
        style.set_role(self._health, "worry" if health is not None and health.worrying else "note")

    def _show_picture(self, sight: Sight) -> None:
        words = None if sight.picture is not None else doing(sight)
        if words is not None and words != self._words:
            self.picture.show_words(words)
        elif sight.picture is not None and sight.picture is not self._bitmap:
            self.picture.show_bitmap(sight.picture)
        self._words, self._bitmap = words, sight.picture

    # ---- the menu ----------------------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        """As things are when it is opened."""
        menu, there = self.menu.menu(), self.sight.doing not in (Doing.ABSENT, Doing.ASKING)
        menu.clear()
        for action in ("blink", "models"):
            self._add(action, there)
        menu.addSeparator()
        for use in self.sight.uses:
            entry = menu.addAction(t("window.bench.end", step=step_words(use), who=use.who))
            entry.triggered.connect(functools.partial(self._on_wanted, "end", use))
        if self.sight.uses:
            menu.addSeparator()
        for action in ("reboot", "shutdown"):
            self._add(action, there)
        menu.addSeparator()
        menu.addAction(t("window.machine.check")).triggered.connect(functools.partial(self._on_wanted, "look", None))

    def _add(self, action: str, enabled: bool) -> None:
        entry = self.menu.menu().addAction(t(f"window.bench.{action}"))
        entry.setEnabled(enabled)
        entry.triggered.connect(functools.partial(self._on_wanted, action, None))

    def _on_wanted(self, action: str, use: Use | None, _checked: bool = False) -> None:
        self.wanted.emit(action, use)


def doing(sight: Sight) -> str:
    """In the place of the picture: why there is none."""
    match sight.doing:
        case Doing.ABSENT if sight.error is not None:
            return sight.error.what
        case Doing.SILENT if sight.error is not None:
            return sight.error.what
        case Doing.OTHER:
            return step_words(sight.uses[0])
        case Doing.FREE if sight.at_boot is not None and sight.at_boot.model is not None:
            return t("window.bench.at_boot", model=sight.at_boot.model, state=t(f"autostart.state.{sight.at_boot.state}"))
        case Doing.LIVE:
            return t("window.bench.no_picture")
    return t(f"window.bench.doing.{sight.doing.value}")


def seen(event: Prediction) -> str:
    if event.class_name is None:
        return t("infer.nothing")
    return f"{event.class_name}  {percent(event.sure)}"


def who(sight: Sight) -> str:
    """Who uses it, and since when."""
    if not sight.uses:
        return ""
    first, others = sight.uses[0], len(sight.uses) - 1
    words = t("window.bench.who", who=first.who, age=in_minutes(first.age_s))
    return f"{words} {t('window.bench.others', count=others)}" if others else words


def in_short(health: Health) -> str:
    """The temperature, and before it whether that is a worry."""
    worry = t("window.bench.slowed") if health.throttled else t("window.bench.hot") if health.worrying else ""
    degrees = "" if health.hottest is None else f"{health.hottest[1]:.0f} °C"
    return "  ".join(part for part in (worry, degrees) if part)


def step_words(use: Use) -> str:
    """The step that a program is the work of, as the rail calls it; of an unknown program its name."""
    step = step_of({"program": use.program})
    code = f"window.step.{step}"
    return t(code) if known(code) else step
