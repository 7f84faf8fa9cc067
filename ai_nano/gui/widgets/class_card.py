"""The card of one class: its name, how many images of how many it has, the newest of them, and all ways to more."""

from collections.abc import Sequence
from pathlib import Path

from PyQt5.QtCore import QMimeData, Qt, pyqtSignal
from PyQt5.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
)
from PyQt5.QtWidgets import QAction, QFrame, QLabel, QLineEdit, QMenu, QPushButton, QToolButton, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.texts import t
from ai_nano.gui import style, ui_files
from ai_nano.gui.takes import HOLD
from ai_nano.gui.widgets.count_ring import CountRing
from ai_nano.gui.widgets.hold_button import HoldButton
from ai_nano.gui.widgets.thumbnails import ThumbnailStrip

# Pixels beside the words of the large button.
HOLD_EDGE = 36


class ClassCard(QFrame):
    """Tells its page what was pushed; knows nothing of cameras or files. Without a class it asks for the name of a new one.

    `import_wanted`: False for files, True for a folder. `dropped`: a list of Path. `thrown_away`: the image's place, 0 the
    newest.
    """

    create_wanted = pyqtSignal(str)
    rename_wanted = pyqtSignal(str)
    chosen = pyqtSignal()
    held = pyqtSignal()
    let_go = pyqtSignal()
    toggled = pyqtSignal()
    import_wanted = pyqtSignal(bool)
    dropped = pyqtSignal(list)
    take_thrown_away = pyqtSignal()
    thrown_away = pyqtSignal(int)
    show_all_wanted = pyqtSignal()

    ring: CountRing
    name: QLineEdit
    count: QLabel
    showAll: QPushButton
    more: QToolButton
    createButton: QPushButton
    hold: HoldButton
    toggle: QPushButton
    thumbnails: ThumbnailStrip
    trouble: QLabel

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        ui_files.load("class_card", self)
        self.class_name: str | None = None
        self.images = 0
        # The newest of them, as far as they are shown; empty while that is not known.
        self.newest: Sequence[Path] = ()
        self._number, self._target = number, 1
        self._asked: str | None = None
        self._take_kind: str | None = None
        self._actions = {kind: QAction(self) for kind in ("import", "folder", "last_take")}
        menu = QMenu(self)
        for action in self._actions.values():
            menu.addAction(action)
        self.more.setMenu(menu)
        self._actions["import"].triggered.connect(lambda: self.import_wanted.emit(False))
        self._actions["folder"].triggered.connect(lambda: self.import_wanted.emit(True))
        self._actions["last_take"].triggered.connect(self.take_thrown_away)
        self.createButton.clicked.connect(self._on_create)
        self.name.returnPressed.connect(self._on_return)
        self.name.editingFinished.connect(self._on_edited)
        self.name.textEdited.connect(lambda _text: self.show_trouble(None))
        self.hold.held.connect(self._on_held)
        self.hold.let_go.connect(self.let_go)
        self.hold.clicked.connect(self.toggled)
        self.toggle.clicked.connect(self.toggled)
        self.showAll.clicked.connect(self.show_all_wanted)
        self.thumbnails.opened.connect(self.show_all_wanted)
        self.thumbnails.remove_wanted.connect(self._on_remove)
        self.trouble.hide()
        self.set_number(number)
        self.show_class(None)
        self._say_in_language()

    # ---- showing -----------------------------------------------------------------------------------------------------

    def retranslate(self) -> None:
        ui_files.retranslate("class_card", self)
        self._say_in_language()

    def _say_in_language(self) -> None:
        """What the file does not know."""
        for kind, action in self._actions.items():
            action.setText(t(f"window.class.{kind}"))
        self.thumbnails.retranslate()
        # Whatever it says, its neighbours stay where they are.
        self.hold.ensurePolished()
        words = (t("window.class.hold"), t("window.class.let_go"))
        self.hold.setMinimumWidth(max(self.hold.fontMetrics().horizontalAdvance(one) for one in words) + HOLD_EDGE)
        self._show_toggle()
        self._show_count()

    def set_number(self, number: int) -> None:
        self._number = number
        self.ring.set_number(number)
        self._show_count()

    def show_class(self, name: str | None) -> None:
        """The class that it stands for; None: not created yet."""
        self.class_name, self._asked = name, None
        created = name is not None
        self.name.setText(name or "")
        self.name.setCursorPosition(0)
        self.name.setToolTip(style.plain(name) if name is not None else "")
        style.set_role(self.name, "classname" if created else "")
        self.setFocusPolicy(Qt.StrongFocus if created else Qt.NoFocus)
        self.setAcceptDrops(created)
        self.createButton.setVisible(not created)
        self.createButton.setEnabled(True)
        for widget in (self.count, self.more, self.hold, self.toggle, self.thumbnails):
            widget.setVisible(created)
        self.images, self.newest = 0, ()
        self.thumbnails.set_images(())
        self.show_trouble(None)
        self._show_count()
        if not created:
            self.show_chosen(False)

    def show_state(self, take_kind: str | None, may_start: bool, may_rename: bool) -> None:
        """`take_kind`: how this class is being recorded just now; None: it is not."""
        if take_kind != self._take_kind:
            self._take_kind = take_kind
            style.set_property(self, "recording", take_kind is not None)
            style.set_property(self.hold, "recording", take_kind == HOLD)
        self._show_toggle()
        self.hold.setEnabled(may_start and take_kind in (None, HOLD))
        self.toggle.setEnabled(may_start)
        self.more.setEnabled(may_start)
        if self.class_name is not None:
            self.name.setReadOnly(not may_rename)

    def show_chosen(self, chosen: bool) -> None:
        """The one that the space bar records."""
        style.set_property(self, "chosen", chosen)

    def show_target(self, target: int) -> None:
        self._target = max(1, target)
        self._show_count()

    def show_count(self, images: int) -> None:
        if images != self.images:
            self.images = images
            self._show_count()

    def show_images(self, total: int, pictures: Sequence[QImage], newest: Sequence[Path]) -> None:
        """`newest`: the files of the pictures, one for each; empty where that is not sure."""
        self.newest = newest
        self.thumbnails.set_images(pictures, removable=bool(newest))
        self.show_count(total)

    def show_trouble(self, error: AiNanoError | None) -> None:
        """At the field, since it is about the field."""
        self.createButton.setEnabled(True)
        self.trouble.setVisible(error is not None)
        self.trouble.setText("" if error is None else f"{error.what} {error.hint}")

    def show_old_name(self) -> None:
        """What was typed instead is forgotten."""
        self._asked = None
        if self.class_name is not None:
            self.name.setText(self.class_name)
            self.name.setCursorPosition(0)

    def _show_toggle(self) -> None:
        running = self._take_kind not in (None, HOLD)
        self.toggle.setText(t("window.class.stop" if running else "window.class.start"))
        style.set_role(self.toggle, "danger" if running else "")
        self.hold.setText(t("window.class.let_go" if self._take_kind == HOLD else "window.class.hold"))

    def _show_count(self) -> None:
        self.count.setText(t("window.class.count_of", count=self.images, target=self._target))
        self.ring.set_share(self.images / self._target if self.class_name is not None else 0.0)
        self.showAll.setVisible(self.class_name is not None and self.images > 0)
        self._actions["last_take"].setEnabled(self.images > 0)
        name = self.class_name
        said = t("window.class.spoken", number=self._number, name=name, count=self.images, target=self._target) if name else ""
        self.setAccessibleName(said)
        self.hold.setAccessibleName(t("window.class.hold.spoken", name=name) if name else "")
        self.name.setAccessibleName(t("window.class.name"))

    # ---- pushing -----------------------------------------------------------------------------------------------------

    def _on_create(self) -> None:
        self.createButton.setEnabled(False)
        self.create_wanted.emit(self.name.text())

    def _on_return(self) -> None:
        if self.class_name is None:
            if self.createButton.isEnabled():
                self._on_create()
        else:
            self.setFocus()  # and the name is finished by losing it

    def _on_edited(self) -> None:
        """Return, or the focus has gone elsewhere: both come after Return."""
        name = self.name.text().strip()
        if self.class_name is None or name == self._asked:
            return
        if name in ("", self.class_name):
            self.show_old_name()
        else:
            self._asked = name
            self.rename_wanted.emit(name)

    def _on_held(self) -> None:
        self.chosen.emit()
        self.held.emit()

    def _on_remove(self, place: int) -> None:
        if place < len(self.newest):
            self.thumbnails.drop(place)
            self.thrown_away.emit(place)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Escape and self.class_name is not None and self.name.hasFocus():
            self.show_old_name()
            self.show_trouble(None)
            self.setFocus()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.chosen.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.class_name is not None:
            self.chosen.emit()
            self.setFocus()
        super().mousePressEvent(event)

    # ---- dropping ----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self.more.isEnabled() and dropped_paths(event.mimeData()):
            style.set_property(self, "drop", True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        style.set_property(self, "drop", False)

    def dropEvent(self, event: QDropEvent) -> None:
        style.set_property(self, "drop", False)
        paths = dropped_paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)


def dropped_paths(data: QMimeData) -> list[Path]:
    """Files and folders of this computer that are dragged. Looks at no disk: whether they are there, the import says."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
