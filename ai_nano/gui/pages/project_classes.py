"""The part of step 1's page that shows the open project's classes and changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from PyQt5.QtCore import QObject, Qt
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QShortcut, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import amount
from ai_nano.core.project import class_list, image_bin
from ai_nano.core.project.image_bin import Removal
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.recent import class_counts
from ai_nano.core.texts import t
from ai_nano.gui.confirm import confirm
from ai_nano.gui.widgets.class_rows import ClassRow

if TYPE_CHECKING:
    from ai_nano.gui.pages.project import ProjectPage

T = TypeVar("T")

# From here on the bin is worth a word.
LARGE_BYTES = 100_000_000


class ProjectClasses(QObject):
    """Fills the rows and carries out what is asked for, one change at a time; what is wrong stands below the rows."""

    def __init__(self, page: ProjectPage) -> None:
        super().__init__(page)
        self._page, self._session = page, page.session
        self._workspace: Workspace | None = None
        # What was removed since the project was opened, the last one last.
        self._removed: list[Removal] = []
        self._held = 0
        self._looking = self._look_again = self._changing = False
        rows = page.classRows
        rows.classes.rename_wanted.connect(self._rename)
        rows.classes.moved.connect(self._reorder)
        rows.selectionModel().currentChanged.connect(lambda *_: self._enable())
        page.addClass.clicked.connect(self._add)
        page.newClass.returnPressed.connect(self._add)
        page.newClass.textEdited.connect(lambda _text: self._trouble(None))
        page.renameClass.clicked.connect(rows.begin_rename)
        page.classUp.clicked.connect(lambda: rows.move_chosen(-1))
        page.classDown.clicked.connect(lambda: rows.move_chosen(1))
        page.removeClass.clicked.connect(self._remove)
        page.undoClass.clicked.connect(self._undo)
        page.emptyBin.clicked.connect(self._ask_to_empty)
        for keys, do in ((Qt.Key_Delete, self._remove), (Qt.ALT + Qt.Key_Up, lambda: rows.move_chosen(-1)),
                         (Qt.ALT + Qt.Key_Down, lambda: rows.move_chosen(1))):
            shortcut = QShortcut(QKeySequence(keys), rows)
            shortcut.setContext(Qt.WidgetShortcut)
            shortcut.activated.connect(do)
        self._trouble(None)

    def redraw(self) -> None:
        """What the session knows now; the disk is looked at beside the window."""
        workspace = self._session.workspace
        if workspace is not self._workspace:
            self._workspace, self._removed, self._held = workspace, [], 0
            self._page.classRows.show_rows([])
            self._trouble(None)
        self._enable()
        if workspace is None:
            return
        if self._looking:
            self._look_again = True
            return
        self._looking = True

        def look() -> tuple[list[ClassRow], int]:
            return [ClassRow(*one) for one in class_counts(workspace).items()], image_bin.size(workspace)

        def over(found: tuple[list[ClassRow], int] | None) -> None:
            self._looking = False
            if found is not None and workspace is self._session.workspace and not self._changing:
                rows, self._held = found
                self._page.classRows.show_rows(rows)
                self._enable()
            if self._look_again:
                self._look_again = False
                self.redraw()

        self._session.look(look, over, lambda _error: over(None))

    def retranslate(self) -> None:
        self._trouble(None)
        self._page.classRows.viewport().update()
        self._enable()

    def _enable(self) -> None:
        page, rows = self._page, self._page.classRows
        row, count, free = rows.currentIndex().row(), len(rows.classes.rows), not self._changing
        for widget in (rows, page.newClass, page.addClass, page.undoClass, page.emptyBin):
            widget.setEnabled(free)
        for widget, able in ((page.renameClass, row >= 0), (page.removeClass, row >= 0), (page.classUp, row > 0),
                             (page.classDown, 0 <= row < count - 1)):
            widget.setEnabled(free and able)
        rows.setAccessibleName(t("window.project.tab.classes"))
        last = self._removed[-1].class_name if self._removed else None
        page.undoClass.setVisible(last is not None and self._workspace is not None)
        page.undoClass.setText(t("window.project.class.undo", name=last))
        page.emptyBin.setVisible(self._workspace is not None and self._held >= LARGE_BYTES and page.undoClass.isHidden())
        page.emptyBin.setText(t("window.project.bin", size=amount(self._held, "bytes")))

    def _trouble(self, error: AiNanoError | None) -> None:
        self._page.classTrouble.setVisible(error is not None)
        self._page.classTrouble.setText("" if error is None else f"{error.what} {error.hint}")

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _change(self, work: Callable[[Workspace], T], done: Callable[[T], object], then: QWidget | None = None) -> None:
        """What may not be is said, and the rows go back to what is there. `then` gets the keys, else the rows."""
        if self._changing or self._session.workspace is None:
            return
        self._changing = True
        self._trouble(None)
        self._enable()

        def over() -> None:
            self._changing = False
            self._enable()
            (then or self._page.classRows).setFocus()
            self.redraw()

        def carried_out(result: T) -> None:
            done(result)
            over()

        def failed(error: AiNanoError) -> None:
            over()
            self._trouble(error)

        self._session.change("classes", work, carried_out, failed)

    def _rename(self, old: str, new: str) -> None:
        def done(name: str) -> None:
            rows = self._page.classRows
            rows.show_rows([row._replace(name=name) if row.name == old else row for row in rows.classes.rows])
            rows.choose(name)

        self._change(lambda workspace: class_list.rename(workspace, old, new), done)

    def _reorder(self, names: list[str]) -> None:
        self._change(lambda workspace: class_list.reorder(workspace, names), lambda _none: None)

    def _add(self) -> None:
        def done(name: str) -> None:
            rows = self._page.classRows
            self._page.newClass.clear()
            rows.show_rows([*rows.classes.rows, ClassRow(name, 0)])
            rows.choose(name)

        raw = self._page.newClass.text()
        self._change(lambda workspace: workspace.add_class(raw), done, self._page.newClass)

    def _remove(self) -> None:
        name = self._page.classRows.chosen
        if name is None:
            return

        def done(removal: Removal) -> None:
            self._removed.append(removal)
            rows = self._page.classRows
            rows.show_rows([row for row in rows.classes.rows if row.name != name])

        self._change(lambda workspace: class_list.remove(workspace, name), done)

    def _undo(self) -> None:
        if not self._removed:
            return
        removal = self._removed[-1]

        def done(_keys: object) -> None:
            self._removed.remove(removal)

        self._change(lambda workspace: image_bin.restore(workspace, removal.id), done)

    def _ask_to_empty(self) -> None:
        def empty() -> None:
            def done(_freed: int) -> None:
                self._removed = []

            self._change(image_bin.empty, done)

        confirm(self._page, t("window.project.bin.title"), t("classes.empty_bin?", size=amount(self._held, "bytes")),
                t("window.project.bin.yes"), empty)
