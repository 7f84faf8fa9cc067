"""Which input belongs to which label, and which things belong together, as a person sees it. For the GUI thread."""

from __future__ import annotations

from PyQt5.QtCore import QPoint, QRect
from PyQt5.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QTextEdit,
    QWidget,
)
from sight import Kind, Thing

_INPUTS = (QLineEdit, QAbstractSpinBox, QComboBox, QPlainTextEdit, QTextEdit)
_ARROW = 16  # pixels at the right end of a combo box


def beside(label: Thing, kind: type[QWidget] | None = None) -> QWidget | None:
    """The input with this label: its buddy, the one that shows it as a placeholder, the next to the right, the next below."""
    wanted = (kind,) if kind is not None else _INPUTS
    own = label.widget.parentWidget() if label.kind is Kind.INPUT else None
    for widget in (label.widget, own):
        if label.kind is Kind.INPUT and isinstance(widget, wanted):
            return _outermost(widget, wanted)
    if label.kind is Kind.INPUT:
        return None
    buddy = label.widget.buddy() if isinstance(label.widget, QLabel) else None
    if isinstance(buddy, wanted) and buddy.isVisible():
        return buddy
    return _next_to(label, wanted)


def _outermost(widget: QWidget, wanted: tuple[type[QWidget], ...]) -> QWidget:
    """The spin box or combo box rather than the line edit in it."""
    parent = widget.parentWidget()
    return parent if isinstance(parent, (QAbstractSpinBox, QComboBox)) and isinstance(parent, wanted) else widget


def _next_to(label: Thing, wanted: tuple[type[QWidget], ...]) -> QWidget | None:
    """Of the inputs in the smallest container around label and input the nearest to the right, else the nearest below."""
    here = _global(label.widget, label.rect)
    found: list[tuple[int, bool, int, int, QWidget]] = []
    for widget in label.window.findChildren(QWidget):
        if not isinstance(widget, wanted) or not widget.isVisible() or widget.window() is not label.window:
            continue
        if widget is label.widget or _outermost(widget, wanted) is not widget:
            continue
        there, shared = _global(widget, widget.rect()), _container(label.widget, widget)
        apart = 0 if shared is None else -_depth(shared)
        if there.left() >= here.right() - 2 and there.top() <= here.center().y() <= there.bottom():
            found.append((apart, False, there.left() - here.right(), there.top(), widget))
        elif there.top() >= here.bottom() - 2 and there.left() <= here.right() and there.right() >= here.left():
            found.append((apart, True, there.top() - here.bottom(), abs(there.left() - here.left()), widget))
    nearest = min(found, key=lambda each: each[:-1], default=None)
    return None if nearest is None else nearest[-1]


def as_thing(field: QWidget, open_list: bool = False) -> Thing:
    """Where to click so that the keys go there, or so that the list of a combo box opens."""
    widget: QWidget = field
    if isinstance(field, QComboBox) and field.isEditable():
        if open_list:
            arrow = QRect(field.width() - _ARROW, 0, _ARROW, field.height())
            return Thing("", field, arrow, Kind.INPUT, field.isEnabled())
        widget = field.lineEdit()
    elif isinstance(field, QAbstractSpinBox):
        widget = field.findChild(QLineEdit)
    elif isinstance(field, (QPlainTextEdit, QTextEdit)):
        widget = field.viewport()
    writable = not (isinstance(field, (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)) and field.isReadOnly())
    return Thing("", widget, widget.rect(), Kind.INPUT, field.isEnabled() and writable)


def has_focus(field: QWidget) -> bool:
    focused = QApplication.focusWidget()
    return focused is not None and (focused is field or field.isAncestorOf(focused) or focused.isAncestorOf(field))


def content(field: QWidget) -> str:
    """What stands in the input that was clicked, which may be a part of a spin box, combo box or text area."""
    box = _box(field)
    if isinstance(box, (QSpinBox, QDoubleSpinBox)):
        return box.cleanText()
    if isinstance(box, QComboBox):
        return box.currentText()
    if isinstance(box, (QPlainTextEdit, QTextEdit)):
        return box.toPlainText()
    return box.text() if isinstance(box, (QLineEdit, QAbstractSpinBox)) else ""


def shows(field: QWidget, value: str) -> bool:
    shown = content(field)
    if shown == value:
        return True
    if not isinstance(_box(field), (QSpinBox, QDoubleSpinBox)):
        return False
    try:
        return float(shown) == float(value)
    except ValueError:
        return False


def _box(field: QWidget) -> QWidget:
    parent = field.parentWidget()
    return parent if isinstance(parent, (QAbstractSpinBox, QComboBox, QPlainTextEdit, QTextEdit)) else field


def nearest(things: list[Thing], marks: list[Thing]) -> list[Thing]:
    """Those of the things that stand in the nearest container together with one of the marks.

    A thing in one card and a mark in the next one do not stand together, though their cards do in a window.
    """
    pairs: list[tuple[Thing, QWidget]] = []
    for thing in things:
        shared = [box for mark in marks if mark is not thing and (box := _container(thing.widget, mark.widget)) is not None]
        if shared:
            pairs.append((thing, max(shared, key=_depth)))
    boxes = [box for _, box in pairs]
    return [thing for thing, box in pairs if not any(box is not other and box.isAncestorOf(other) for other in boxes)]


def _container(thing: QWidget, mark: QWidget) -> QWidget | None:
    """The smallest widget around both; none where they are in different windows or in neighbours of one class."""
    if thing is mark:
        return thing
    line, beyond = _line(thing), _line(mark)
    above = {id(widget): number for number, widget in enumerate(line)}
    for number, widget in enumerate(beyond):
        if id(widget) in above:
            branch = line[above[id(widget)] - 1] if above[id(widget)] else None
            other = beyond[number - 1] if number else None
            if branch is not None and other is not None and _are_neighbours(branch, other):
                return None
            return widget
    return None


def _are_neighbours(one: QWidget, other: QWidget) -> bool:
    """Two cards, rows or groups beside each other: widgets of one class that hold others."""
    return type(one) is type(other) and bool(one.findChildren(QWidget)) and bool(other.findChildren(QWidget))


def _line(widget: QWidget) -> list[QWidget]:
    """The widget and all around it, up to the window."""
    line = [widget]
    while not line[-1].isWindow() and (parent := line[-1].parentWidget()) is not None:
        line.append(parent)
    return line


def _depth(widget: QWidget) -> int:
    return len(_line(widget))


def _global(widget: QWidget, rect: QRect) -> QRect:
    return QRect(widget.mapToGlobal(QPoint(0, 0)) + rect.topLeft(), rect.size())
