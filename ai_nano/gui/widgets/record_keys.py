"""The keys of the recording page: space held down, the digits, Escape; wherever the focus is, unless they are wanted there.

They are heard at the window, before they go to a widget: a page hears only of those that no widget in it has taken.
"""

from PyQt5.QtCore import QEvent, QObject, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QWindow
from PyQt5.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from ai_nano.gui.widgets.hold_button import HoldButton

# The X server repeats a held key as up and down again. Qt knows the pair where it reads both at once; under load it may not.
BOUNCE_MS = 20
# By the X server's clock: a repetition's up and down are of the same moment.
SAME_MS = 3
# The keys that are 1 to 9 elsewhere.
FRENCH_ROW = (Qt.Key_Ampersand, Qt.Key_Eacute, Qt.Key_QuoteDbl, Qt.Key_Apostrophe, Qt.Key_ParenLeft, Qt.Key_Minus,
              Qt.Key_Egrave, Qt.Key_Underscore, Qt.Key_Ccedilla)


class RecordKeys(QObject):
    """`pressed` and `released`: of space; `digit`: 1 to 9; `escaped`. Between `watch` and `unwatch`."""

    pressed = pyqtSignal()
    released = pyqtSignal()
    digit = pyqtSignal(int)
    escaped = pyqtSignal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._window: QWindow | None = None
        self._down = False
        self._up_at = 0
        self._bounce = QTimer(self)
        self._bounce.setSingleShot(True)
        self._bounce.setInterval(BOUNCE_MS)
        self._bounce.timeout.connect(self._let_go)

    def watch(self, page: QWidget) -> None:
        """The window that the page is in, which is shown by now."""
        self.unwatch()
        self._window = page.window().windowHandle()
        if self._window is not None:
            self._window.installEventFilter(self)

    def unwatch(self) -> None:
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None
        self.forget()

    def forget(self) -> None:
        """The key may be down still, but nobody will hear of its coming up: the window has lost the keys."""
        self._bounce.stop()
        if self._down:
            self._let_go()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent):
            if event.type() == QEvent.KeyPress:
                return self._on_press(event)
            if event.type() == QEvent.KeyRelease:
                return self._on_release(event)
        return False

    def _on_press(self, event: QKeyEvent) -> bool:
        key, held = event.key(), int(event.modifiers()) & ~int(Qt.KeypadModifier)
        digit = _digit(key, held)
        if held and not digit:
            return False
        if key == Qt.Key_Space:
            if self._down and self._bounce.isActive() and event.timestamp() - self._up_at > SAME_MS:
                self._bounce.stop()  # pressed anew, and both are read late
                self._let_go()
            if self._down:
                self._bounce.stop()
                return True
            if not _is_free():
                return False
            if not event.isAutoRepeat():
                self._down = True
                self.pressed.emit()
            return True
        if event.isAutoRepeat() or not _is_free():
            return False
        if digit:
            self.digit.emit(digit)
            return True
        if key == Qt.Key_Escape:
            self.escaped.emit()
            return True
        return False

    def _on_release(self, event: QKeyEvent) -> bool:
        if event.key() != Qt.Key_Space or not self._down:
            return False
        if not event.isAutoRepeat():
            self._up_at = event.timestamp()
            self._bounce.start()
        return True

    def _let_go(self) -> None:
        self._down = False
        self.released.emit()


def _digit(key: int, held: int) -> int:
    """1 to 9; 0 for another key. `held`: the modifiers; with Shift a French keyboard writes a digit."""
    if Qt.Key_1 <= key <= Qt.Key_9 and held in (0, int(Qt.ShiftModifier)):
        return key - int(Qt.Key_0)
    return FRENCH_ROW.index(key) + 1 if key in FRENCH_ROW and not held else 0


def _is_free() -> bool:
    """Whether what has the focus leaves these keys to the page."""
    if QApplication.activePopupWidget() is not None or QApplication.activeModalWidget() is not None:
        return False
    focus = QApplication.focusWidget()
    if isinstance(focus, (QLineEdit, QPlainTextEdit, QTextEdit)):
        return focus.isReadOnly()
    if isinstance(focus, (QAbstractSpinBox, QComboBox, QAbstractItemView)):
        return False
    return not isinstance(focus, QAbstractButton) or isinstance(focus, HoldButton)
