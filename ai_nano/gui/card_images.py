"""The images behind the cards: looked at, thrown away and brought back, all beside the window."""

import functools
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtGui import QImage

from ai_nano.core.errors import AiNanoError
from ai_nano.core.project import image_bin
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.texts import t
from ai_nano.core.workflow import Workflow
from ai_nano.gui.session import Session
from ai_nano.gui.thumbnails import Thumbnails
from ai_nano.gui.widgets.class_card import ClassCard

Undo = Callable[[], object]


class CardImages(QObject):
    """Signals: `changed` (the classes' names), when images have gone or come back; `said`, a function that makes the sentence
    for it, and what undoes it (None: nothing does); `trouble`, an AiNanoError for the page."""

    changed = pyqtSignal(object)
    said = pyqtSignal(object, object)
    trouble = pyqtSignal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.thumbnails = Thumbnails(session)
        self._since = time.time()
        self._tasks: deque[Callable[[], None]] = deque()
        self._busy = False

    def reset(self) -> None:
        """Another workspace; what was thrown away before is not brought back from here."""
        self._since = time.time()
        self._tasks.clear()

    def look_at(self, card: ClassCard) -> None:
        workspace, lab, name = self._session.workspace, self._session.lab, card.class_name
        if workspace is None or lab is None or name is None:
            return
        room, listed = card.thumbnails.room, list[Path]()

        def list_paths() -> list[Path]:
            listed[:] = workspace.image_paths(name)
            return listed

        def done(total: int, pictures: Sequence[QImage]) -> None:
            if card.class_name == name and workspace is self._session.workspace:
                newest = listed[:-room - 1:-1]
                # A file that is no picture is not shown: then nobody knows which is which.
                card.show_images(total, pictures, newest if len(newest) == len(pictures) else ())

        self.thumbnails.newest(name, list_paths, room, lab.images, done)

    # ---- throwing away -----------------------------------------------------------------------------------------------

    def remove(self, class_name: str, paths: Sequence[Path]) -> None:
        keys = [f"{class_name}/{path.name}" for path in paths]
        self._remove(class_name, lambda _workspace: keys)

    def remove_last_take(self, class_name: str) -> None:
        self._remove(class_name, lambda workspace: image_bin.last_take(workspace, class_name))

    def undo(self) -> None:
        """Bring back what was thrown away last, here or in the gallery."""
        self._bring_back(self._newest_removal)

    def _newest_removal(self, workspace: Workspace) -> str | None:
        """Of images, not of a whole class."""
        since = [one for one in image_bin.removals(workspace) if one.class_name is None and one.at >= self._since]
        return since[-1].id if since else None

    def _remove(self, class_name: str, choose: Callable[[Workspace], Sequence[str]]) -> None:
        def work(workspace: Workspace) -> tuple[str, int]:
            keys = choose(workspace)
            return (image_bin.remove(workspace, keys).id, len(keys)) if keys else ("", 0)

        def done(result: tuple[str, int]) -> None:
            removal, count = result
            self.changed.emit([class_name])
            if count:
                words = functools.partial(t, "window.record.removed", name=class_name, count=count)
                self.said.emit(words, lambda: self._bring_back(lambda _workspace: removal))

        self._later(work, done, [class_name])

    def _bring_back(self, choose: Callable[[Workspace], str | None]) -> None:
        def work(workspace: Workspace) -> tuple[str, ...]:
            removal = choose(workspace)
            return image_bin.restore(workspace, removal) if removal else ()

        def done(keys: tuple[str, ...]) -> None:
            if not keys:
                self.said.emit(functools.partial(t, "window.record.nothing_to_undo"), None)
                return
            names = sorted({key.rpartition("/")[0] for key in keys})
            self.changed.emit(names)
            self.said.emit(functools.partial(t, "window.record.restored", names=names, count=len(keys)), None)

        self._later(work, done, [])

    def _later(self, work: Callable[[Workspace], object], done: Callable[..., object], names: list[str]) -> None:
        """One after the other: the second may be about what the first has left."""
        workflow = self._session.workflow
        if workflow is None:
            return
        self._tasks.append(functools.partial(self._do, workflow, work, done, names))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._tasks)
        if self._tasks:
            self._tasks.popleft()()

    def _do(self, workflow: Workflow, work: Callable[[Workspace], object], done: Callable[..., object],
            names: list[str]) -> None:
        def carry_out() -> object:
            with workflow.changing("bin"):
                return work(workflow.workspace)

        def arrived(result: object) -> None:
            if workflow is self._session.workflow:
                done(result)
                self._session.refresh()
            self._next()

        def failed(error: AiNanoError) -> None:
            if workflow is self._session.workflow:
                self.trouble.emit(error)
                self.changed.emit(names)
            self._next()

        self._session.look(carry_out, arrived, failed)
