"""Icons: line drawings on a grid of 24, in whatever colour they are asked for."""

from functools import lru_cache
from pathlib import Path

from PyQt5.QtCore import QByteArray, QRectF, QSize, Qt
from PyQt5.QtGui import QIcon, QPainter, QPixmap
from PyQt5.QtSvg import QSvgRenderer

_SHAPES = {
    # states of a step
    "done": '<circle cx="12" cy="12" r="9"/><path d="M8 12.5l2.7 2.7L16 9.5"/>',
    "ready": '<circle cx="12" cy="12" r="9"/><path d="M10.2 8.5l4.3 3.5-4.3 3.5z"/>',
    "running": '<path d="M21 12a9 9 0 1 1-4-7.5"/><path d="M17.5 1.5v3.5h-3.5"/>',
    "blocked": '<rect x="6" y="11" width="12" height="8.5" rx="2"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>',
    "stale": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5.2l3.2 2"/>',
    "failed": '<circle cx="12" cy="12" r="9"/><path d="M9 9l6 6M15 9l-6 6"/>',
    "cancelled": '<circle cx="12" cy="12" r="9"/><path d="M8.5 12h7"/>',
    "lost": '<path d="M3 9.5a13 13 0 0 1 18 0M6.5 13a8 8 0 0 1 11 0M10 16.4a3 3 0 0 1 4 0"/><path d="M4 20L20 4"/>',
    # states of a machine
    "unknown": '<circle cx="12" cy="12" r="5"/>',
    "dot": '<circle cx="12" cy="12" r="5" fill="COLOUR"/>',
    # the rest
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "warning": '<path d="M12 4L2.8 19.5h18.4z"/><path d="M12 10v4.5M12 17.2v.1"/>',
    "hint": '<path d="M10 18.5h4M10.5 21h3"/><path d="M12 3a6 6 0 0 0-3.5 10.9c.8.6 1 1.3 1 2.1h5'
            'c0-.8.2-1.5 1-2.1A6 6 0 0 0 12 3z"/>',
    "up": '<path d="M5 15l7-7 7 7"/>',
    "down": '<path d="M5 9l7 7 7-7"/>',
    "right": '<path d="M9 5l7 7-7 7"/>',
    "tick": '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
}


def svg(name: str, colour: str, width: float = 2.0) -> bytes:
    shape = _SHAPES[name].replace("COLOUR", colour)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" '
            f'stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round">{shape}</svg>').encode()


@lru_cache(maxsize=256)
def pixmap(name: str, colour: str, size: int = 18, ratio: float = 1.0) -> QPixmap:
    """`size` in logical pixels."""
    drawn = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    drawn.setDevicePixelRatio(ratio)
    drawn.fill(Qt.transparent)
    painter = QPainter(drawn)
    QSvgRenderer(QByteArray(svg(name, colour))).render(painter, QRectF(0, 0, size, size))
    painter.end()
    return drawn


def icon(name: str, colour: str, size: int = 18) -> QIcon:
    return QIcon(pixmap(name, colour, size, 2.0))


def write_sheet_icons(folder: Path, colour: str, on_accent: str) -> None:
    """The pictures that a stylesheet can only take from files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tint in (("up", colour), ("down", colour), ("tick", on_accent)):
        path = folder / f"{name}.svg"
        data = svg(name, tint, 3.0)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
