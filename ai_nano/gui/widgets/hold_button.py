"""A button that does something as long as it is held down."""

from PyQt5.QtCore import QEvent, Qt, pyqtSignal
from PyQt5.QtGui import QHideEvent, QKeyEvent, QMouseEvent
from PyQt5.QtWidgets import QPushButton, QWidget


class HoldButton(QPushButton):
    """`held` when the mouse goes down on it, `let_go` when it goes up, wherever the pointer is by then.

    `clicked` is left to those who push it without a mouse (a screen reader): they cannot hold. Space is the page's to hear.
    """

    held = pyqtSignal()
    let_go = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._held = False

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.LeftButton:
            event.ignore()
            return
        self._held = True
        self.setDown(True)
        self.held.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A hand that trembles does not let go."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.LeftButton:
            self._end()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Space:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Space:
            event.ignore()
        else:
            super().keyReleaseEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        # A disabled widget would not hear of the mouse going up.
        if event.type() == QEvent.EnabledChange and not self.isEnabled():
            self._end()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._end()

    def _end(self) -> None:
        if self._held:
            self._held = False
            self.setDown(False)
            self.let_go.emit()
