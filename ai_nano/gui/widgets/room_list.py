"""One part of the instructor's page: a card with a heading, and a row for each who works, waits or has failed."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.widgets.nano_tile import Line

# Pixels.
AIR = 14
GAP = 4
DOT = 14
NAME, NARROW, WIDE = 150, 100, 1000
SCALE = 1000
# More of them nobody reads, and each is a widget.
MOST_ROWS = 100


@dataclass(frozen=True)
class Row:
    """`key` stays the same for as long as it is about the same thing. `state` colours a dot (Tokens.of), `share` fills a bar;
    None: there is none. `tip` is all that does not fit."""

    key: str
    name: str
    words: str
    extra: str = ""
    state: str | None = None
    share: float | None = None
    tip: str = ""
    trouble: bool = False
    menu: bool = True


class RoomRow(QWidget):
    def __init__(self, tall: bool) -> None:
        super().__init__()
        self._shown: Row | None = None
        self._tall = tall
        self._dot, self._name, self._words, self._extra = QLabel(), Line("figure"), Line("note"), QLabel()
        self._extra.setTextFormat(Qt.PlainText)
        style.set_role(self._extra, "note")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, SCALE)
        self.more = QToolButton()
        style.set_role(self.more, "more")
        self.more.setPopupMode(QToolButton.InstantPopup)
        self.more.setMenu(QMenu(self.more))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._dot)
        if tall:
            lines = QVBoxLayout()
            lines.setSpacing(2)
            top = QHBoxLayout()
            top.addWidget(self._name, 1)
            top.addWidget(self._extra)
            lines.addLayout(top)
            lines.addWidget(self._words)
            lines.addWidget(self._bar)
            row.addLayout(lines, 1)
        else:
            self._name.setMinimumWidth(NARROW)
            row.addWidget(self._name, 2)
            row.addWidget(self._words, 3)
            row.addWidget(self._extra)
            self._bar.hide()
        row.addWidget(self.more)

    def show_row(self, told: Row) -> None:
        """Called twice a second: what has not changed is left alone."""
        if told == self._shown:
            return
        self._shown = told
        self._dot.setVisible(told.state is not None)
        if told.state is not None:
            colour, _ = style.tokens().of(told.state)
            self._dot.setPixmap(style.pixmap("dot", colour, DOT, self.devicePixelRatioF()))
        self._name.say(told.name)
        self._words.say(told.words)
        self._words.setVisible(bool(told.words))
        self._name.setMaximumWidth(NAME if told.words and not self._tall else WIDE)
        if told.tip:
            for line in (self._name, self._words):
                line.setToolTip(style.plain(told.tip))
        style.set_role(self._words, "trouble" if told.trouble else "note")
        self._extra.setText(told.extra)
        self._extra.setVisible(bool(told.extra))
        self._bar.setVisible(told.share is not None)
        if told.share is not None:
            self._bar.setValue(round(SCALE * told.share))
        self.more.setText(t("window.bench.more"))
        self.more.setToolTip(t("window.bench.menu", machine=told.name))
        self.more.setVisible(told.menu)

    def retranslate(self) -> None:
        told, self._shown = self._shown, None
        if told is not None:
            self.show_row(told)


class RoomList(QFrame):
    """Signal: `menu_wanted` with a row's key and its menu, which is empty and is about to be shown."""

    menu_wanted = pyqtSignal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.set_role(self, "card")
        self._tall = False
        self._rows: dict[str, RoomRow] = {}
        self._dot, self._heading, self._count, self._empty = QLabel(), QLabel(), QLabel(), QLabel()
        for label, role in ((self._heading, "heading"), (self._count, "lead"), (self._empty, "note")):
            label.setTextFormat(Qt.PlainText)
            style.set_role(label, role)
        self._empty.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._dot)
        head.addWidget(self._heading)
        head.addWidget(self._count)
        head.addStretch(1)
        inner = QWidget()
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 4, 0)
        self._column.setSpacing(GAP)
        self._column.addWidget(self._empty)
        self._column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        area.setWidget(inner)
        column = QVBoxLayout(self)
        column.setContentsMargins(AIR, 10, AIR - 4, 8)
        column.setSpacing(GAP)
        column.addLayout(head)
        column.addWidget(area, 1)
        self._dot.hide()

    def two_lines(self) -> None:
        """Rows of two lines, with a bar below them."""
        self._tall = True

    def show_heading(self, words: str, count: int, empty: str, state: str | None = None, trouble: bool = False) -> None:
        """`empty` is said where there are no rows, as a trouble if it is one."""
        self._heading.setText(words)
        self._count.setText(str(count))
        self._count.setVisible(count > 0)
        self._empty.setText(empty)
        style.set_role(self._empty, "trouble" if trouble else "note")
        self._dot.setVisible(state is not None)
        if state is not None:
            colour, _ = style.tokens().of(state)
            self._dot.setPixmap(style.pixmap("dot", colour, DOT, self.devicePixelRatioF()))

    def show_rows(self, rows: Sequence[Row]) -> None:
        """A row whose key was there before stays the same widget: its menu may be open. Of very many the first are shown."""
        if len(rows) > MOST_ROWS:
            rows = [*rows[:MOST_ROWS], Row("", t("window.turn.more", count=len(rows) - MOST_ROWS), "", menu=False)]
        wanted = {row.key for row in rows}
        for key in [key for key in self._rows if key not in wanted]:
            gone = self._rows.pop(key)
            self._column.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for place, told in enumerate(rows):
            row = self._rows.get(told.key)
            if row is None:
                row = self._rows[told.key] = RoomRow(self._tall)
                row.more.menu().aboutToShow.connect(functools.partial(self._on_menu, told.key, row.more.menu()))
            if self._column.indexOf(row) != place:
                self._column.insertWidget(place, row)
            row.show_row(told)
        self._empty.setVisible(not rows)

    def retranslate(self) -> None:
        for row in self._rows.values():
            row.retranslate()

    def _on_menu(self, key: str, menu: QMenu) -> None:
        menu.clear()
        self.menu_wanted.emit(key, menu)
