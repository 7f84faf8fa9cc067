"""Hints where the student looks: what is so, what to do about it, and the two images that it is about."""

from collections.abc import Mapping, Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QPixmap
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ai_nano.core.hints.advice import MOST_SHOWN, Hint
from ai_nano.gui import style

PICTURE_WIDTH = 72
ICON = 20


class _Row(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._icon = QLabel()
        self._text, self._advice = QLabel(), QLabel()
        style.set_role(self._text, "figure")
        style.set_role(self._advice, "advice")
        for label in (self._text, self._advice):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        self._pictures = QLabel(), QLabel()
        shown = QHBoxLayout()
        shown.setSpacing(6)
        for picture in self._pictures:
            shown.addWidget(picture)
        shown.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._text)
        words.addWidget(self._advice)
        words.addLayout(shown)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._icon, 0, Qt.AlignTop)
        row.addLayout(words, 1)

    def show_hint(self, hint: Hint, pictures: Mapping[str, bytes]) -> None:
        ratio = self.devicePixelRatioF()
        self._icon.setPixmap(style.pixmap("hint", style.tokens().accent, ICON, ratio))
        self._text.setText(hint.text)
        self._advice.setText(hint.advice)
        keys = [*hint.images, "", ""]
        for label, key in zip(self._pictures, keys, strict=False):
            pixmap = QPixmap()
            label.setVisible(key in pictures and pixmap.loadFromData(pictures[key]))
            if not pixmap.isNull():
                pixmap = pixmap.scaledToWidth(round(PICTURE_WIDTH * ratio), Qt.SmoothTransformation)
                pixmap.setDevicePixelRatio(ratio)
            label.setPixmap(pixmap)
            label.setToolTip(style.plain(key))


class HintBox(QFrame):
    """Nothing is to be pushed here: hints come and go with what they are about. `filled`: whether there are any now."""

    filled = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hints: list[Hint] = []
        self._pictures: Mapping[str, bytes] = {}
        self._rows = [_Row() for _ in range(MOST_SHOWN)]
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Maximum)
        box = QVBoxLayout(self)
        box.setContentsMargins(10, 8, 10, 8)
        box.setSpacing(10)
        for row in self._rows:
            box.addWidget(row)
        self.hide()

    def show_hints(self, hints: Sequence[Hint], pictures: Mapping[str, bytes] | None = None) -> None:
        """The first MOST_SHOWN of them; `pictures`: small JPEGs by image key, of those that are to be seen."""
        shown, pictures = list(hints[:MOST_SHOWN]), pictures or {}
        if shown == self._hints and pictures == self._pictures:
            return
        self._hints, self._pictures = shown, pictures
        self._draw()

    def retranslate(self) -> None:
        """Language or theme changed."""
        self._draw()

    def _draw(self) -> None:
        for place, row in enumerate(self._rows):
            row.setVisible(place < len(self._hints))
            if place < len(self._hints):
                row.show_hint(self._hints[place], self._pictures)
        self.setVisible(bool(self._hints))
        self.filled.emit(bool(self._hints))
