"""The embedded classroom's stage: hold a card before the cameras, or unplug them."""

from collections.abc import Sequence

from PyQt5.QtCore import QSize, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QIcon, QPixmap
from PyQt5.QtWidgets import QCheckBox, QFrame, QGridLayout, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from ai_nano.core.texts import t
from ai_nano.gui import style

# While the laptop's camera records, a card is turned and moved by itself: a person would do so too.
TURN_EVERY_MS = 2500


class StagePanel(QFrame):
    """`held` (a card's name, or None for the empty stage) and `turned` tell what to do; `plugged` the cameras' plug."""

    held = pyqtSignal(object)
    turned = pyqtSignal(object)
    plugged = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = QLabel()
        self._title.setProperty("role", "heading")
        self._note = QLabel()
        self._note.setProperty("role", "note")
        self._note.setWordWrap(True)
        self._plug = QCheckBox()
        self._plug.toggled.connect(lambda unplugged: self.plugged.emit(not unplugged))
        self._cards = QGridLayout()
        self._cards.setSpacing(4)
        self._buttons: dict[str | None, QToolButton] = {}
        rows = QVBoxLayout(self)
        rows.setContentsMargins(10, 8, 10, 10)
        rows.setSpacing(5)
        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        rows.addLayout(head)
        rows.addWidget(self._note)
        rows.addLayout(self._cards)
        rows.addWidget(self._plug)
        self._timer = QTimer(self)
        self._timer.setInterval(TURN_EVERY_MS)
        self._timer.timeout.connect(lambda: self.turned.emit(self._current))
        self._current: str | None = None
        self.retranslate()
        self.hide()

    def set_cards(self, cards: Sequence[str]) -> None:
        """A fresh stage: nothing is held up, the cameras are plugged."""
        for old in self._buttons.values():
            old.deleteLater()
        self._buttons, self._current = {}, None
        self._plug.blockSignals(True)
        self._plug.setChecked(False)
        self._plug.blockSignals(False)
        for place, name in enumerate((*cards, None)):
            button = QToolButton()
            button.setProperty("role", "cardbutton")
            button.setToolButtonStyle(Qt.ToolButtonTextUnderIcon)
            button.setCheckable(True)
            button.setFixedSize(52, 58)
            button.setIconSize(QSize(40, 32))
            button.clicked.connect(lambda _checked, name=name: self._hold(name))
            self._cards.addWidget(button, 0, place, Qt.AlignHCenter)
            self._buttons[name] = button
        self._buttons[None].setChecked(True)
        self.retranslate()

    def set_picture(self, name: str, jpeg: bytes) -> None:
        picture = QPixmap()
        if picture.loadFromData(jpeg):
            self._buttons[name].setIcon(QIcon(picture))

    def retranslate(self) -> None:
        self._title.setText(t("window.stage"))
        self._note.setText(t("window.stage.note"))
        self._plug.setText(t("window.stage.unplug"))
        for name, button in self._buttons.items():
            word = name or t("window.stage.nothing")
            button.setText(word)
            if name is None:
                button.setIcon(style.icon("cancelled", style.tokens().muted, 32))
            button.setAccessibleName(t("window.stage.hold", name=word))
            button.setToolTip(t("window.stage.hold", name=word))

    def keep_turning(self, turning: bool) -> None:
        """While a recording runs."""
        if turning != self._timer.isActive():
            (self._timer.start if turning else self._timer.stop)()

    def _hold(self, name: str | None) -> None:
        self._current = name
        for one, button in self._buttons.items():
            button.setChecked(one == name)
        self.held.emit(name)
