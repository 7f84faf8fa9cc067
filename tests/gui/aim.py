"""From a text to the place where to click, or to the reason why not. For the GUI thread."""

from __future__ import annotations

import re
from collections.abc import Callable

import inputs
import scrolling
import sight
from PyQt5.QtCore import QPoint
from PyQt5.QtWidgets import QAbstractScrollArea, QApplication, QComboBox, QLineEdit, QWidget
from sight import Kind, Thing, Wanted


class NotYet(Exception):
    """Why a person cannot do it at this moment; it may come."""


def look_for(text: Wanted, inside: Wanted | None = None, nth: int | None = None, popup: bool = False) -> Thing:
    """The one thing that shows the text. Raises NotYet where there is none, or too many."""
    things = sight.everything()
    if popup:
        things = [thing for thing in things if sight.is_popup(thing.window)]
    found = [thing for thing in things if thing.kind is not Kind.TITLE and sight.matches(thing.text, text)]
    if not found:
        raise NotYet("it is not there")
    if inside is not None:
        found = inputs.nearest(found, [thing for thing in things if sight.matches(thing.text, inside)])
        if not found:
            raise NotYet(f"it is not there together with {quoted(inside)}")
    return _only(found, nth)


def look_for_input(label: Wanted, inside: Wanted | None, nth: int | None,
                   kind: type[QWidget] | None = None) -> Callable[[], Thing]:  # fmt: skip
    """What looks for the input that belongs to a label."""

    def look() -> Thing:
        things = sight.everything()
        labels = [thing for thing in things if _is_label(thing, label)]
        if inside is not None:
            labels = inputs.nearest(labels, [thing for thing in things if sight.matches(thing.text, inside)])
        fields = {id(field): field for each in labels if (field := inputs.beside(each, kind)) is not None}
        if not fields:
            raise NotYet("there is no such label" if not labels else "there is no input beside that label")
        return _only([inputs.as_thing(field, kind is QComboBox) for field in fields.values()], nth)

    return look


def _is_label(thing: Thing, label: Wanted) -> bool:
    """A colon or star after a label is not part of its name."""
    if thing.kind is Kind.TITLE:
        return False
    if sight.matches(thing.text, label):
        return not isinstance(thing.widget, QLineEdit) or not thing.widget.text()
    return thing.kind is not Kind.INPUT and isinstance(label, str) and sight.matches(re.sub(r" ?[:*]+$", "", thing.text), label)


def _only(found: list[Thing], nth: int | None) -> Thing:
    """The one that a person would click: one in view rather than one scrolled away, a button rather than a label."""
    reachable = [thing for thing in found if not sight.blocked_by(thing)]
    if not reachable:
        raise NotYet(sight.blocked_by(found[0]))
    rank = min(thing.kind for thing in reachable)
    best = [thing for thing in reachable if thing.kind is rank]
    best = sight.in_reading_order(best) or best
    if nth is not None:
        if not 1 <= nth <= len(best):
            raise NotYet(f"there are only {len(best)} of them")
        best = [best[nth - 1]]
    if len(best) > 1:
        raise NotYet(f"it is there {len(best)} times")
    if not best[0].enabled:
        raise NotYet("it is disabled")
    return best[0]


def aim_at(thing: Thing) -> tuple[Thing, QPoint, QAbstractScrollArea | None]:
    """Where to click; or the area that has to be scrolled before."""
    for area in scrolling.scroll_areas(thing.widget):
        view, rect = area.viewport().rect(), scrolling.within(thing.widget, thing.rect, area)
        if not sight.readable(rect.intersected(view).size(), rect.size(), thing.widget):
            if sight.visible_part(area.viewport()).isEmpty():
                raise NotYet("it is out of sight")
            return thing, QPoint(), area
    part = thing.seen()
    if part.isEmpty():
        raise NotYet("it is outside of the screen or covered")
    spot = part.center()
    hit = QApplication.widgetAt(spot)
    if hit is not thing.widget and (hit is None or not (thing.widget.isAncestorOf(hit) or hit.isAncestorOf(thing.widget))):
        raise NotYet(f"it is covered by {type(hit).__name__}")
    return thing, spot, None


def quoted(text: Wanted) -> str:
    return repr(text if isinstance(text, str) else text.pattern)
