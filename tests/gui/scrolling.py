"""Where to turn the wheel so that something scrolled away comes into view. For the GUI thread."""

from __future__ import annotations

import sight
from PyQt5.QtCore import QPoint, QRect
from PyQt5.QtWidgets import QAbstractScrollArea, QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox, QWidget


def scroll_areas(widget: QWidget) -> list[QAbstractScrollArea]:
    """The scroll areas around (or of) a widget, the outermost first."""
    found: list[QAbstractScrollArea] = []
    above: QWidget | None = widget
    while above is not None and not above.isWindow():
        parent = above.parentWidget()
        if isinstance(parent, QAbstractScrollArea) and parent.viewport() is above:
            found.insert(0, parent)
        above = parent
    return found


# What a wheel turned over it changes, instead of scrolling what is around it.
_EATS_WHEEL = (QAbstractSpinBox, QAbstractSlider, QComboBox, QAbstractScrollArea)


def wheel_spot(area: QAbstractScrollArea) -> QPoint | None:
    """Where on the screen the wheel turns this area, and not something in it that a wheel would change."""
    view = area.viewport()
    part = sight.visible_part(view)
    bars = [bar for bar in (area.verticalScrollBar(), area.horizontalScrollBar()) if bar.isVisible()]
    spots = [part.topLeft() + QPoint(round(x * part.width()), round(y * part.height()))
             for x in (0.5, 0.25, 0.75, 0.02, 0.98) for y in (0.5, 0.25, 0.75, 0.02, 0.98)]  # fmt: skip
    for spot in [*spots, *(bar.mapToGlobal(bar.rect().center()) for bar in bars)]:
        hit = QApplication.widgetAt(spot)
        if hit in bars:
            return spot
        while hit is not None and hit is not view and not isinstance(hit, _EATS_WHEEL):
            hit = hit.parentWidget()
        if hit is view:
            return spot
    return None


def within(widget: QWidget, rect: QRect, area: QAbstractScrollArea) -> QRect:
    """A part of a widget in the coordinates of the area's view."""
    return QRect(widget.mapTo(area, rect.topLeft()) - area.viewport().pos(), rect.size())
