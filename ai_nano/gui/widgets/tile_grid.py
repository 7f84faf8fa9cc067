"""Tiles with pictures, as large as they fit beside and below each other."""

from collections.abc import Sequence

from PyQt5.QtCore import QSize, Qt
from PyQt5.QtGui import QResizeEvent
from PyQt5.QtWidgets import QGridLayout, QScrollArea, QWidget

# Pixels.
GAP = 10
NARROWEST = 215
COMFORTABLE = 300
LOWEST_PICTURE = 72
SCROLL_BAR = 14


def arrange(count: int, room: QSize, words: int, edge: int) -> tuple[int, QSize]:
    """How many tiles stand side by side, and each one's size. `words`: what a tile needs above and below its picture,
    `edge`: left and right of it. Where not all of them fit, they are as wide as three in a row, and it is scrolled."""
    best, size = 0, QSize()
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = (room.width() - GAP * (columns - 1)) // columns
        picture = min((room.height() - GAP * (rows - 1)) // rows - words, (width - edge) * 9 // 16)
        if width >= NARROWEST and picture >= LOWEST_PICTURE and picture > size.height() - words:
            best, size = columns, QSize(min(width, max(COMFORTABLE, picture * 16 // 9 + edge)), picture + words)
    if best:
        return best, size
    free = room.width() - SCROLL_BAR
    columns = max(1, min(3, (free + GAP) // (NARROWEST + GAP)))
    width = (free - GAP * (columns - 1)) // columns
    return columns, QSize(width, max(LOWEST_PICTURE, (width - edge) * 9 // 16) + words)


class TileGrid(QScrollArea):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._inner = QWidget()
        self._grid = QGridLayout(self._inner)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self._grid.setAlignment(Qt.AlignLeft | Qt.AlignTop)
        self._tiles: Sequence[QWidget] = ()
        self._words = self._edge = 0
        self._columns = 0
        self.setWidget(self._inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)

    def set_tiles(self, tiles: Sequence[QWidget], words: int, edge: int) -> None:
        """Instead of those before, which are deleted. `words` and `edge` as for `arrange`."""
        for tile in self._tiles:
            tile.deleteLater()
        self._tiles, self._words, self._edge, self._columns = tiles, words, edge, 0
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        if not self._tiles:
            return
        # Of the area without a scroll bar, which would come and go with the sizes.
        columns, size = arrange(len(self._tiles), self.maximumViewportSize(), self._words, self._edge)
        for place, tile in enumerate(self._tiles):
            tile.setFixedSize(size)
            if columns != self._columns:
                self._grid.addWidget(tile, place // columns, place % columns)
        self._columns = columns
