"""What a person reads in the windows of this program, and where. To be called in the GUI thread.

Only what is drawn counts: no object names, tool tips that are not shown, or accessible names. A widget that draws
text by itself (in paintEvent) says so with a method `painted_texts() -> list[tuple[str, QRect]]` (its coordinates).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from PyQt5.QtCore import QModelIndex, QPoint, QRect, QSize, Qt
from PyQt5.QtGui import QFontMetrics, QGuiApplication, QTextDocument
from PyQt5.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QGraphicsSimpleTextItem,
    QGraphicsTextItem,
    QGraphicsView,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QMenuBar,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QStatusBar,
    QStyle,
    QStyleOptionGroupBox,
    QTabBar,
    QTextEdit,
    QToolButton,
    QTreeView,
    QWidget,
)

# What a person looks for: the whole text, or a pattern to be found in it.
Wanted = str | re.Pattern[str]

_MOST_ROWS = 1000  # of a list; rows after these are only seen once they are scrolled into view


class Kind(IntEnum):
    """What a text belongs to. Of two things with one text a person clicks the one with the lower number."""

    ACTIVE = 0  # buttons, tabs, menu titles and actions, items, combo boxes
    LABEL = 1
    INPUT = 2
    TITLE = 3  # a window's title, drawn by the desktop


@dataclass(frozen=True)
class Thing:
    """A text on the screen."""

    text: str
    widget: QWidget
    rect: QRect  # in the widget's coordinates
    kind: Kind = Kind.LABEL
    enabled: bool = True
    menu_by_exec: bool = False  # a click opens a menu in an event loop of its own
    submenu: bool = False

    @property
    def window(self) -> QWidget:
        return self.widget.window()

    def seen(self) -> QRect:
        """The part that is on the screen, in its coordinates; empty when too little of it is there to be read."""
        region = self.widget.visibleRegion().intersected(self.rect)
        part = on_screen(self.widget, region.boundingRect())
        if part.isEmpty() or not readable(part.size(), self.rect.size(), self.widget):
            return QRect()
        return QRect() if _covering_window(part.center(), self.window) else part


def readable(part: QSize, whole: QSize, widget: QWidget) -> bool:
    """Whether so much of a thing is in view that a person can read it and aim at it."""
    line = QFontMetrics(widget.font()).height()
    return part.height() >= 0.7 * min(whole.height(), line) and part.width() >= 0.7 * min(whole.width(), 3 * line)


def windows() -> list[QWidget]:
    """The windows on the screen: first the ordinary ones, then dialogs, then what pops up."""
    shown = [window for window in QApplication.topLevelWidgets() if window.isVisible() and not window.isMinimized()]
    return sorted(shown, key=lambda window: (is_popup(window), window.isModal()))


def is_popup(window: QWidget) -> bool:
    return window.windowType() in (Qt.Popup, Qt.ToolTip)


def blocked_by(thing: Thing) -> str:
    """Why the mouse does not reach the thing, in words; empty when it does."""
    popup, modal = QApplication.activePopupWidget(), QApplication.activeModalWidget()
    if popup is not None:
        if thing.window.windowType() == Qt.Popup or (isinstance(popup, QMenu) and isinstance(thing.widget, QMenuBar)):
            return ""
        return "a menu or list is open"
    if modal is None or modal in _with_parents(thing.window):
        return ""
    if modal.windowModality() == Qt.ApplicationModal or thing.window in _with_parents(modal):
        return f"the dialog {modal.windowTitle()!r} is open"
    return ""


def _with_parents(window: QWidget) -> list[QWidget]:
    """The window, the one it belongs to, and so on. (QWidget.isAncestorOf() stops at windows.)"""
    line = [window]
    while (parent := line[-1].parentWidget()) is not None:
        line.append(parent)
    return line


def everything() -> list[Thing]:
    """All texts of all windows, also those that are scrolled away."""
    return [thing for window in windows() for thing in _of_window(window)]


def in_reading_order(things: Iterable[Thing]) -> list[Thing]:
    """Window by window, line by line, from the left; only what is in view."""
    order = {id(window): number for number, window in enumerate(windows())}
    found = [(order.get(id(thing.window), 0), part, thing) for thing in things if not (part := place(thing)).isEmpty()]
    found.sort(key=lambda each: (each[0], each[1].center().y(), each[1].left()))
    lines: list[tuple[int, int, int, int, Thing]] = []
    top = previous = -1
    for number, (window, part, thing) in enumerate(found):
        middle = part.center().y()
        if window != previous or middle - top > 8:
            top, previous = middle, window
        lines.append((window, top, part.left(), number, thing))
    return [line[-1] for line in sorted(lines, key=lambda line: line[:-1])]


def place(thing: Thing) -> QRect:
    """Where the thing is seen. A title is where its window is: without a desktop nobody draws it."""
    if thing.kind is not Kind.TITLE:
        return thing.seen()
    corner = thing.window.mapToGlobal(QPoint(0, 0))
    return QRect(corner, QSize(thing.window.width(), 1))


def matches(text: str, wanted: Wanted) -> bool:
    return text == _one_line(wanted) if isinstance(wanted, str) else wanted.search(text) is not None


def plain(text: str, mnemonics: bool = False, rich: bool | None = None) -> str:
    """A text as it is read: without marks of mnemonics and rich text, every white space as one space."""
    if rich is None:
        rich = Qt.mightBeRichText(text)
    if rich:
        text = _without_tags(text)
    if mnemonics:
        text = re.sub(r"&(.)", r"\1", text)
    return _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@lru_cache(maxsize=500)
def _without_tags(text: str) -> str:
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


def _covering_window(point: QPoint, window: QWidget) -> bool:
    """Whether another window is on top there. The X server has to be asked, so not where there is one window only."""
    if len(windows()) == 1:
        return False
    top = QApplication.topLevelAt(point)
    return top is not None and top is not window and top.windowType() != Qt.ToolTip


def on_screen(widget: QWidget, rect: QRect) -> QRect:
    screen = QGuiApplication.primaryScreen().geometry()
    return QRect(widget.mapToGlobal(rect.topLeft()), rect.size()).intersected(screen)


def _of_window(window: QWidget) -> Iterator[Thing]:
    title = plain(window.windowTitle().replace("[*]", ""), rich=False)
    if title and not is_popup(window):
        yield Thing(title, window, window.rect(), Kind.TITLE)
    yield from _below(window)


def _below(widget: QWidget) -> Iterator[Thing]:
    for thing in _of_widget(widget):
        if thing.text:
            yield thing
    for child in widget.children():
        if isinstance(child, QWidget) and child.isVisible() and not child.isWindow():
            yield from _below(child)


def _of_widget(widget: QWidget) -> Iterator[Thing]:
    """The texts that the widget itself draws."""
    painted = getattr(widget, "painted_texts", None)
    if painted is not None:
        for text, rect in painted():
            yield Thing(plain(text, rich=False), widget, rect, enabled=widget.isEnabled())
    elif isinstance(widget, QAbstractButton):
        yield from _of_button(widget)
    elif isinstance(widget, QLabel):
        yield _of_label(widget)
    elif isinstance(widget, QLineEdit):
        text = widget.displayText() or widget.placeholderText()
        yield Thing(_one_line(text), widget, widget.rect(), Kind.INPUT, widget.isEnabled())
    elif isinstance(widget, QComboBox):
        if not widget.isEditable():
            yield Thing(plain(widget.currentText(), rich=False), widget, widget.rect(), Kind.ACTIVE, widget.isEnabled())
    elif isinstance(widget, QGroupBox):
        yield from _of_group_box(widget)
    elif isinstance(widget, QTabBar):
        for index in range(widget.count()):
            if widget.isTabVisible(index):
                text, enabled = plain(widget.tabText(index), True, False), widget.isEnabled() and widget.isTabEnabled(index)
                yield Thing(text, widget, widget.tabRect(index), Kind.ACTIVE, enabled)
    elif isinstance(widget, (QMenu, QMenuBar)):
        yield from _of_menu(widget)
    elif isinstance(widget, QHeaderView):
        yield from _of_header(widget)
    elif isinstance(widget, QAbstractItemView):
        yield from _of_items(widget)
    elif isinstance(widget, (QPlainTextEdit, QTextEdit)):
        yield from _of_text(widget)
    elif isinstance(widget, QProgressBar):
        if widget.isTextVisible():
            yield Thing(_one_line(widget.text()), widget, widget.rect())
    elif isinstance(widget, QStatusBar):
        yield Thing(_one_line(widget.currentMessage()), widget, widget.rect())
    elif isinstance(widget, QGraphicsView):
        yield from _of_scene(widget)


def _of_button(button: QAbstractButton) -> Iterator[Thing]:
    rect, menu = button.rect(), False
    if isinstance(button, QToolButton):
        style = button.toolButtonStyle()
        if style == Qt.ToolButtonFollowStyle:
            style = Qt.ToolButtonStyle(button.style().styleHint(QStyle.SH_ToolButtonStyle, None, button))
        if style == Qt.ToolButtonIconOnly and not button.icon().isNull():
            return
        action = button.defaultAction()
        has_menu = button.menu() is not None or (action is not None and action.menu() is not None)
        menu = has_menu and button.popupMode() == QToolButton.InstantPopup
    elif isinstance(button, QPushButton):
        menu = button.menu() is not None
    elif isinstance(button, (QCheckBox, QRadioButton)):
        # A click beside the words does nothing.
        rect = _aligned(rect, button.sizeHint(), Qt.AlignLeft | Qt.AlignVCenter)
    yield Thing(plain(button.text(), True, False), button, rect, Kind.ACTIVE, button.isEnabled(), menu)


def _of_label(label: QLabel) -> Thing:
    rich = None if label.textFormat() == Qt.AutoText else label.textFormat() == Qt.RichText
    text = plain(label.text(), label.buddy() is not None, rich)
    rect = label.rect() if label.wordWrap() else _aligned(label.rect(), label.sizeHint(), label.alignment())
    return Thing(text, label, rect, enabled=label.isEnabled())


def _aligned(rect: QRect, size: QSize, alignment: Qt.Alignment | Qt.AlignmentFlag) -> QRect:
    return QStyle.alignedRect(Qt.LeftToRight, Qt.Alignment(alignment), size.boundedTo(rect.size()), rect)


def _of_group_box(box: QGroupBox) -> Iterator[Thing]:
    option = QStyleOptionGroupBox()
    option.initFrom(box)
    option.text = box.title()
    option.textAlignment = Qt.Alignment(box.alignment())
    option.subControls = QStyle.SC_GroupBoxFrame | QStyle.SC_GroupBoxLabel
    if box.isCheckable():
        option.subControls |= QStyle.SC_GroupBoxCheckBox
    rect = box.style().subControlRect(QStyle.CC_GroupBox, option, QStyle.SC_GroupBoxLabel, box)
    kind = Kind.ACTIVE if box.isCheckable() else Kind.LABEL
    yield Thing(plain(box.title(), True, False), box, rect, kind, box.isEnabled())


def _of_menu(menu: QMenu | QMenuBar) -> Iterator[Thing]:
    for action in menu.actions():
        if action.isVisible() and not action.isSeparator():
            text = plain(action.text().partition("\t")[0], True, False)
            submenu = isinstance(menu, QMenu) and action.menu() is not None
            yield Thing(text, menu, menu.actionGeometry(action), Kind.ACTIVE, action.isEnabled(), submenu=submenu)


def _of_header(header: QHeaderView) -> Iterator[Thing]:
    model = header.model()
    if model is None:
        return
    for section in range(header.count()):
        start, size = header.sectionViewportPosition(section), header.sectionSize(section)
        flat = header.orientation() == Qt.Horizontal
        rect = QRect(start, 0, size, header.height()) if flat else QRect(0, start, header.width(), size)
        if not header.isSectionHidden(section) and rect.intersects(header.viewport().rect()):
            text = model.headerData(section, header.orientation())
            yield Thing(plain("" if text is None else str(text), rich=False), header.viewport(), rect, Kind.ACTIVE)


def _of_items(view: QAbstractItemView) -> Iterator[Thing]:
    model, enabled = view.model(), view.isEnabled()
    if model is None:
        return
    for index in _indexes(view):
        if view.indexWidget(index) is None:
            text, rect = index.data(Qt.DisplayRole), view.visualRect(index)
            if text is not None and not rect.isEmpty():
                able = enabled and bool(index.flags() & Qt.ItemIsEnabled)
                yield Thing(plain(str(text), rich=False), view.viewport(), rect, Kind.ACTIVE, able)


def _indexes(view: QAbstractItemView) -> Iterator[QModelIndex]:
    model, root = view.model(), view.rootIndex()
    if isinstance(view, QListView):
        rows = range(min(model.rowCount(root), _MOST_ROWS))
        yield from (model.index(row, view.modelColumn(), root) for row in rows if not view.isRowHidden(row))
    elif isinstance(view, QTreeView):
        index, count = model.index(0, 0, root), 0
        while index.isValid() and count < _MOST_ROWS:
            for column in range(model.columnCount(index.parent())):
                if not view.isColumnHidden(column):
                    yield index.sibling(index.row(), column)
            index, count = view.indexBelow(index), count + 1
    else:
        for row in range(min(model.rowCount(root), _MOST_ROWS)):
            yield from (model.index(row, column, root) for column in range(model.columnCount(root)))


def _of_text(editor: QPlainTextEdit | QTextEdit) -> Iterator[Thing]:
    """The paragraphs in view, of the first and last one the part in view."""
    view = editor.viewport()
    if editor.document().isEmpty():
        yield Thing(_one_line(editor.placeholderText()), view, view.rect(), Kind.INPUT, editor.isEnabled())
        return
    first, last = editor.cursorForPosition(view.rect().topLeft()), editor.cursorForPosition(view.rect().bottomRight())
    block = first.block()
    while block.isValid() and block.position() <= last.position():
        start = max(0, first.position() - block.position())
        first.setPosition(block.position() + start)
        top = editor.cursorRect(first)
        text = _one_line(block.text()[start : last.position() - block.position() + 1])
        yield Thing(text, view, QRect(0, top.top(), view.width(), top.height()), Kind.INPUT, editor.isEnabled())
        block = block.next()


def _of_scene(view: QGraphicsView) -> Iterator[Thing]:
    for item in view.items(view.viewport().rect()):
        if isinstance(item, (QGraphicsTextItem, QGraphicsSimpleTextItem)) and item.isVisible():
            text = item.toPlainText() if isinstance(item, QGraphicsTextItem) else item.text()
            rect = view.mapFromScene(item.sceneBoundingRect()).boundingRect()
            yield Thing(_one_line(text), view.viewport(), rect)


def visible_part(widget: QWidget) -> QRect:
    """What the widgets around it, and the screen, leave of the widget, in the screen's coordinates. Its
    visibleRegion() would leave out what its children cover."""
    part, around = on_screen(widget, widget.rect()), widget
    while not around.isWindow() and (parent := around.parentWidget()) is not None:
        around = parent
        part = part.intersected(on_screen(around, around.rect()))
    return part
