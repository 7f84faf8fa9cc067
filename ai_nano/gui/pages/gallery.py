"""All images of a class: looked at, deleted, brought back, put under the class that they really show."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QKeySequence
from PyQt5.QtWidgets import QLabel, QMenu, QPushButton, QStackedWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.project import image_bin as workspace_bin
from ai_nano.core.project import reclassify
from ai_nano.core.project.class_pictures import ClassPicture, newest_first
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.texts import t
from ai_nano.core.workflow import Workflow
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.thumbnails import Thumbnails
from ai_nano.gui.widgets.gallery import Gallery
from ai_nano.gui.widgets.zoom_view import ZoomView, when


class Bin(Protocol):
    """core/image_bin, as far as it is wanted here."""

    def remove(self, workspace: Workspace, keys: Sequence[str]) -> Any:
        """Into the workspace's bin; the removal has an `id`."""

    def restore(self, workspace: Workspace, removal_id: str) -> Sequence[str]:
        """The keys of those that came back."""


# How what was done is taken back; gives the keys that are here again.
_Back = Callable[[], Sequence[str]]


class GalleryView(Page):
    """A sheet over the page of step 2, which opens it with `show_class` and hides it when it is `closed`.

    `images_changed`: some of this class were deleted, came back, or went to another class.
    """

    file = "gallery"
    closed = pyqtSignal()
    images_changed = pyqtSignal(str)

    counts: QLabel
    none: QLabel
    said: QLabel
    undo: QPushButton
    removeTake: QPushButton
    really: QPushButton
    remove: QPushButton
    back: QPushButton
    body: QStackedWidget
    gallery: Gallery
    zoom: ZoomView

    def __init__(self, session: Session, thumbnails: Thumbnails | None = None, image_bin: Bin | None = None) -> None:
        """`thumbnails`: those of the page below, to be shared. `image_bin`: a test's own."""
        super().__init__(session)
        self._bin = image_bin or cast(Bin, workspace_bin)
        self.class_name = ""
        self._workspace: Workspace | None = None
        self._pictures: list[ClassPicture] = []
        self._loading = self._again = self._working = False
        self._backs: list[_Back] = []
        self._words: Callable[[], str] | None = None
        self.setAttribute(Qt.WA_StyledBackground)
        shared = thumbnails or Thumbnails(session)
        self.gallery.use(shared)
        self.zoom.use(session, shared)
        self.gallery.remove_wanted.connect(self._remove)
        self.gallery.open_wanted.connect(self._enlarge)
        self.gallery.chosen.connect(lambda _count: self._show_chosen())
        self.zoom.closed.connect(self._reduce)
        self.zoom.remove_wanted.connect(lambda path: self._remove([path]))
        self.back.clicked.connect(self._on_back)
        self.remove.clicked.connect(lambda: self._remove(self._chosen_paths()))
        self.removeTake.clicked.connect(self._remove_take)
        self.undo.clicked.connect(self._take_back)
        self.setFocusProxy(self.gallery)
        self._menu = QMenu(self.really)
        self._menu.aboutToShow.connect(self._list_classes)
        self.really.setMenu(self._menu)
        session.changed.connect(self._on_changed)
        self._show_chosen()

    # ---- showing -----------------------------------------------------------------------------------------------------

    def show_class(self, name: str) -> None:
        """The images of that class of the open workspace."""
        self.class_name, self._workspace = name, self.session.workspace
        self._pictures, self._backs, self._words = [], [], None
        self.body.setCurrentWidget(self.gallery)
        self.gallery.show_images([])
        self.none.hide()
        self.dismiss()
        self.retranslate()
        self.gallery.setFocus()
        self._load()

    def redraw(self) -> None:
        self.title.setText(self.class_name)
        self.gallery.show_images([one.path for one in self._pictures], self._marks())
        self.zoom.retranslate()
        self._show_chosen()

    def _on_changed(self) -> None:
        if self.isVisible():
            if self.session.workspace is not self._workspace or self._workspace is None \
                    or self.class_name not in self._workspace.classes:
                self.closed.emit()
            else:
                self._load()

    def _load(self) -> None:
        """List the images beside the window; asked again meanwhile, once more after it."""
        workspace, name = self._workspace, self.class_name
        if workspace is None:
            return
        if self._loading:
            self._again = True
            return
        self._loading = True

        def over(pictures: list[ClassPicture] | None) -> None:
            self._loading = False
            if pictures is not None and (workspace, name) == (self._workspace, self.class_name):
                self._show(pictures)
            if self._again:
                self._again = False
                self._load()

        def failed(error: AiNanoError) -> None:
            over(None)
            self.show_problem(error)

        self.session.look(lambda: newest_first(workspace, name), over, failed)

    def _show(self, pictures: list[ClassPicture]) -> None:
        self._pictures = pictures
        self.none.setVisible(not pictures)
        if self._enlarged:
            if pictures:
                self.zoom.show_picture(pictures, self._row_of(self.zoom.path, self.zoom.current))
            else:
                self._reduce(None)
        self.redraw()

    def _marks(self) -> dict[Path, str]:
        """Words above the first image of each take."""
        counts = Counter(one.take for one in self._pictures)
        marks: dict[Path, str] = {}
        before: str | None = None
        for one in self._pictures:
            if one.take != before:
                before = one.take
                code = "window.gallery.take" if one.take else "window.gallery.no_take"
                marks[one.path] = t(code, when=when(one.began), count=counts[one.take])
        return marks

    def _row_of(self, path: Path | None, otherwise: int) -> int:
        return next((row for row, one in enumerate(self._pictures) if one.path == path), otherwise)

    # ---- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def _enlarged(self) -> bool:
        return self.body.currentWidget() is self.zoom

    def _chosen_paths(self) -> list[Path]:
        if self._enlarged:
            return [self.zoom.path] if self.zoom.path is not None else []
        return self.gallery.selected()

    def _of_takes(self, paths: Sequence[Path]) -> list[ClassPicture]:
        """All images of the take that these belong to; none where they belong to several."""
        chosen = set(paths)
        takes = {one.take for one in self._pictures if one.path in chosen}
        return [one for one in self._pictures if one.take in takes] if len(takes) == 1 else []

    def _show_chosen(self) -> None:
        count = len(self._pictures)
        chosen = self._chosen_paths()
        self.counts.setText(t("window.gallery.counts", count=count, chosen=len(chosen)) if chosen and not self._enlarged
                            else t("window.gallery.count", count=count))
        take = self._of_takes(chosen)
        free = not self._working
        self.remove.setEnabled(free and bool(chosen))
        self.removeTake.setEnabled(free and bool(take))
        self.removeTake.setText(t("window.gallery.remove_take.count", count=len(take)) if take
                                else t("window.gallery.remove_take"))
        self.really.setEnabled(free and bool(chosen) and self._workspace is not None and len(self._workspace.classes) > 1)
        self.undo.setVisible(bool(self._backs))
        self.undo.setEnabled(free)
        self.said.setText(self._words() if self._words is not None else "")

    def _enlarge(self, path: Path) -> None:
        self.body.setCurrentWidget(self.zoom)
        self.zoom.show_picture(self._pictures, self._row_of(path, 0))
        self.zoom.setFocus()
        self._show_chosen()

    def _reduce(self, path: Path | None) -> None:
        self.body.setCurrentWidget(self.gallery)
        if path is not None:
            self.gallery.go_to(path)
        self.gallery.setFocus()
        self._show_chosen()

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _remove(self, paths: Sequence[Path]) -> None:
        workspace, chosen = self._workspace, set(paths)
        keys = [one.key for one in self._pictures if one.path in chosen]
        if workspace is None or not keys:
            return
        image_bin = self._bin

        def work() -> _Back:
            removal = image_bin.remove(workspace, keys)
            return lambda: image_bin.restore(workspace, removal.id)

        self._do(work, lambda: t("window.gallery.removed", count=len(keys)))

    def _remove_take(self) -> None:
        self._remove([one.path for one in self._of_takes(self._chosen_paths())])

    def _list_classes(self) -> None:
        self._menu.clear()
        for name in self._workspace.classes if self._workspace is not None else ():
            if name != self.class_name:
                self._menu.addAction(name.replace("&", "&&")).triggered.connect(functools.partial(self._move, name))

    def _move(self, to: str, _checked: bool = False) -> None:
        workspace, chosen, before = self._workspace, set(self._chosen_paths()), self.class_name
        keys = [one.key for one in self._pictures if one.path in chosen]
        if workspace is None or not keys:
            return

        def work() -> _Back:
            moved = reclassify.move(workspace, keys, to)
            return lambda: reclassify.move(workspace, moved, before)

        self._do(work, lambda: t("window.gallery.moved", count=len(keys), name=to))

    def _take_back(self) -> None:
        if self._backs and not self._working:
            back, came = self._backs[-1], 0

            def work() -> None:
                nonlocal came
                came = len(back())

            self._do(work, lambda: t("window.gallery.came_back", count=came))

    def _do(self, work: Callable[[], _Back | None], words: Callable[[], str]) -> None:
        """One change at a time, beside the window, and not while a split reads the images. `work` returns how it is taken back;
        None: it has taken back the last one."""
        workflow = self.session.workflow
        if self._working or workflow is None or workflow.workspace is not self._workspace:
            return
        self._working = True
        self._show_chosen()
        name = self.class_name

        def over(back: _Back | None) -> None:
            self._working = False
            if name == self.class_name:
                self._backs = [*self._backs, back] if back is not None else self._backs[:-1]
                self._words = words
            self._changed(name)

        def failed(error: AiNanoError) -> None:
            self._working = False
            self.show_problem(error)
            self._changed(name)

        self.dismiss()
        self.session.look(lambda: _undisturbed(workflow, work), over, failed)

    def _changed(self, name: str) -> None:
        self._load()
        self.session.refresh()
        self.images_changed.emit(name)
        self._show_chosen()
        if self.isVisible():
            # Not on the button that was pushed: the arrows are to go on from here.
            self.body.currentWidget().setFocus()

    # ---- leaving -----------------------------------------------------------------------------------------------------

    def _on_back(self) -> None:
        if self._enlarged:
            self._reduce(self.zoom.path)
        else:
            self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Escape:
            self._on_back()
        elif event.matches(QKeySequence.Undo):
            self._take_back()
        else:
            super().keyPressEvent(event)


def _undisturbed(workflow: Workflow, work: Callable[[], _Back | None]) -> _Back | None:
    with workflow.changing("bin"):
        return work()
