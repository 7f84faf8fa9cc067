"""The bench: all Nanos of the room at once, whoever uses them, and what can be done with boards that have no screens."""

import functools
from collections.abc import Callable

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QLabel, QPushButton

from ai_nano.core.nano.bench import Bench
from ai_nano.core.nano.boards import Use
from ai_nano.gui.board_actions import BoardActions
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.nano_tile import AIR, NanoTile
from ai_nano.gui.widgets.tile_grid import TileGrid

DRAW_MS = 100


class BenchPage(Page):
    file = "bench"
    look: QPushButton
    back: QPushButton
    none: QLabel
    said: QLabel
    tiles: TileGrid

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._bench: Bench | None = None
        self._shown: dict[str, NanoTile] = {}
        self._words: Callable[[], str] = str
        self._boards = BoardActions(self, self._say, self._on_look)
        self._timer = QTimer(self)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw)
        self.back.clicked.connect(lambda: window.show_page("infer"))
        self.look.clicked.connect(self._on_look)

    # ---- watching, only while the page is shown ----------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        lab = self.session.lab
        if lab is None:
            return
        self._bench = Bench(lab)
        self._show_tiles([nano.name for nano in lab.config.filled_nanos])
        for watch in self._bench.watches:
            self.session.look(watch.run, lambda _none: None, self.show_problem)
        self._timer.start()

    def left(self) -> None:
        self._timer.stop()
        if self._bench is not None:
            self._bench.stop()
            self._bench = None

    def closing(self) -> None:
        self.left()
        self._boards.closing()

    def _show_tiles(self, names: list[str]) -> None:
        self.none.setVisible(not names)
        self._shown = {name: NanoTile(name) for name in names}
        for tile in self._shown.values():
            tile.wanted.connect(functools.partial(self._on_wanted, tile))
        words = max((tile.height_of_words for tile in self._shown.values()), default=0)
        self.tiles.set_tiles(list(self._shown.values()), words, 2 * AIR)

    def _draw(self) -> None:
        for sight in self._bench.sights() if self._bench is not None else ():
            self._shown[sight.name].show_sight(sight)

    def redraw(self) -> None:
        self.said.setText(self._words())

    def retranslate(self) -> None:
        super().retranslate()
        for tile in self._shown.values():
            tile.retranslate()

    def _on_look(self) -> None:
        if self._bench is not None:
            self._bench.look_again()

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_wanted(self, tile: NanoTile, action: str, use: Use | None) -> None:
        self._boards.do(tile.name, action, use)

    def _say(self, words: Callable[[], str]) -> None:
        self._words = words
        self.redraw()
