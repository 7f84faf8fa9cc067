"""One image, as large as there is room, with what is known of it; left and right lead to its neighbours."""

import time
from collections.abc import Sequence
from pathlib import Path

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ai_nano.core.ports import Images
from ai_nano.core.project.class_pictures import ClassPicture
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.session import Session
from ai_nano.gui.thumbnails import Thumbnails, decoded
from ai_nano.gui.widgets.gallery import draw_image

# A person sees no more, and more costs its moment.
MOST_WIDTH = 1280


class ZoomView(QWidget):
    """`closed`: back to the grid, at that path. `remove_wanted`: the path. `current` is the row of the one that is shown."""

    closed = pyqtSignal(object)
    remove_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session: Session | None = None
        self._thumbnails: Thumbnails | None = None
        self._pictures: Sequence[ClassPicture] = ()
        self.current = 0
        self._loading = False
        self._canvas = _Canvas()
        self._facts, self._place = QLabel(), QLabel()
        self._before, self._after, self._close = QPushButton(), QPushButton(), QPushButton()
        for label in (self._facts, self._place):
            label.setTextFormat(Qt.PlainText)
        self._facts.setWordWrap(True)
        style.set_role(self._facts, "note")
        self._before.clicked.connect(lambda: self.turn(-1))
        self._after.clicked.connect(lambda: self.turn(1))
        self._close.clicked.connect(lambda: self.closed.emit(self.path))
        for button in (self._before, self._after, self._close):
            button.setFocusPolicy(Qt.NoFocus)
        below = QHBoxLayout()
        below.setSpacing(10)
        for widget in (self._before, self._place, self._after):
            below.addWidget(widget)
        below.addWidget(self._facts, 1)
        below.addWidget(self._close)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._canvas, 1)
        column.addLayout(below)
        self.setFocusPolicy(Qt.StrongFocus)
        self.retranslate()

    def use(self, session: Session, thumbnails: Thumbnails) -> None:
        self._session, self._thumbnails = session, thumbnails

    @property
    def path(self) -> Path | None:
        return self._pictures[self.current].path if self._pictures else None

    def show_picture(self, pictures: Sequence[ClassPicture], row: int) -> None:
        """The row's, and all others to go to."""
        before = self.path
        self._pictures, self.current = pictures, min(max(row, 0), max(0, len(pictures) - 1))
        self.retranslate()
        if self.path != before:
            thumbnail = self._thumbnails.image(self.path) if self._thumbnails is not None and self.path is not None else None
            self._canvas.show_image(thumbnail)
            self._load()

    def turn(self, by: int) -> None:
        if 0 <= self.current + by < len(self._pictures):
            self.show_picture(self._pictures, self.current + by)

    def _load(self) -> None:
        """One at a time: whoever holds the arrow down is shown the thumbnails, and the image where it ends."""
        session, path = self._session, self.path
        if self._loading or session is None or session.lab is None or path is None:
            return
        self._loading = True
        images: Images = session.lab.images

        def over(image: QImage | None) -> None:
            self._loading = False
            if path != self.path:
                self._load()
            elif image is not None:
                self._canvas.show_image(image)

        session.look(lambda: decoded(images.thumbnail(path, MOST_WIDTH)), over, lambda _error: over(None))

    def retranslate(self) -> None:
        self._before.setText("‹")
        self._after.setText("›")
        self._close.setText(t("window.gallery.all"))
        self._before.setToolTip(t("window.gallery.newer"))
        self._after.setToolTip(t("window.gallery.older"))
        self._before.setEnabled(self.current > 0)
        self._after.setEnabled(self.current + 1 < len(self._pictures))
        if self._pictures:
            self._place.setText(t("window.gallery.place", number=self.current + 1, count=len(self._pictures)))
            self._facts.setText(facts(self._pictures[self.current]))
            self._canvas.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key_Left, Qt.Key_Right):
            self.turn(-1 if key == Qt.Key_Left else 1)
        elif key in (Qt.Key_Return, Qt.Key_Enter, Qt.Key_Escape):
            self.closed.emit(self.path)
        elif event.matches(QKeySequence.Delete) or key == Qt.Key_Backspace:
            if self.path is not None and not event.isAutoRepeat():
                self.remove_wanted.emit(self.path)
        else:
            super().keyPressEvent(event)


def facts(picture: ClassPicture) -> str:
    """When, with what camera, how large, of which recording."""
    told = [time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(picture.t))]
    if picture.camera is not None:
        told.append(picture.camera)
    if picture.width is not None and picture.height is not None:
        told.append(f"{picture.width} × {picture.height}")
    if picture.take:
        told.append(t("window.gallery.of_take", when=when(picture.began)))
    return " · ".join(told)


def when(at: float) -> str:
    """A recording's day and time; of today the time alone."""
    then = time.localtime(at)
    return time.strftime("%H:%M" if then[:3] == time.localtime()[:3] else "%d.%m. %H:%M", then)


class _Canvas(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None

    def show_image(self, image: QImage | None) -> None:
        """None: it is on its way. A null image: it cannot be read."""
        self._image = image
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(style.tokens().screen))
        if self._image is not None and not self._image.isNull():
            draw_image(painter, self.rect(), self._image)
        elif self._image is not None:
            painter.setPen(QColor(style.tokens().on_screen))
            painter.drawText(self.rect(), Qt.AlignCenter, t("window.gallery.unreadable"))
