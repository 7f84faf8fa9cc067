"""Projects that were opened before: name, classes, images, when; and those whose folder has gone."""

import time
from collections.abc import Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent
from PyQt5.QtWidgets import QListWidget, QListWidgetItem, QWidget

from ai_nano.core.recent import RecentProject
from ai_nano.core.texts import t
from ai_nano.gui import style


class RecentList(QListWidget):
    """`open_wanted` and `forget_wanted` get a RecentProject, `chosen` too, or None."""

    open_wanted = pyqtSignal(object)
    forget_wanted = pyqtSignal(object)
    chosen = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._projects: list[RecentProject] = []
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.ElideRight)
        self.setMinimumHeight(56)
        style.set_role(self, "choice")
        self.itemActivated.connect(lambda _item: self._open())
        self.currentRowChanged.connect(lambda _row: self.chosen.emit(self.current))

    @property
    def current(self) -> RecentProject | None:
        return self._projects[self.currentRow()] if 0 <= self.currentRow() < len(self._projects) else None

    def show_projects(self, projects: Sequence[RecentProject]) -> None:
        """Newest first."""
        before = self.current.path if self.current is not None else None
        self.blockSignals(True)
        self.clear()
        self._projects = list(projects)
        for project in projects:
            title = project.name if project.used is None or project.gone else f"{project.name} · {when(project.used)}"
            item = QListWidgetItem(f"{title}\n{_line(project)}")
            item.setToolTip(style.plain(str(project.path)))
            self.addItem(item)
        self.setCurrentRow(next((row for row, project in enumerate(projects) if project.path == before), 0))
        self.blockSignals(False)
        self.chosen.emit(self.current)

    def retranslate(self) -> None:
        self.show_projects(self._projects)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Delete and self.current is not None:
            self.forget_wanted.emit(self.current)
        else:
            super().keyPressEvent(event)

    def _open(self) -> None:
        if self.current is not None and self.current.problem is None:
            self.open_wanted.emit(self.current)


def _line(project: RecentProject) -> str:
    if project.gone:
        return t("window.project.recent.gone")
    if project.problem is not None:
        return project.problem.what
    return t("window.project.recent.facts", classes=len(project.classes), images=project.images)


def when(at: float, now: float | None = None) -> str:
    """A unix time as a person says it."""
    today = time.localtime(now if now is not None else time.time())
    then = time.localtime(at)
    yesterday = time.localtime(time.mktime((today.tm_year, today.tm_mon, today.tm_mday - 1, 12, 0, 0, 0, 0, -1)))
    clock = time.strftime("%H:%M", then)
    if then[:3] == today[:3]:
        return t("window.when.today", time=clock)
    if then[:3] == yesterday[:3]:
        return t("window.when.yesterday", time=clock)
    return time.strftime("%Y-%m-%d", then)
