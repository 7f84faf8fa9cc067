"""A project taken home, and one opened, by the window's menu: dialogs, and the work beside the window."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QFileDialog, QMessageBox, QProgressDialog, QWidget

from ai_nano.core import names
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled
from ai_nano.core.figures import amount
from ai_nano.core.project import opening, pack
from ai_nano.core.project.pack import Saved, Tell
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.texts import t
from ai_nano.gui.session import Session
from ai_nano.steps.report import make_pages

T = TypeVar("T")

SCALE = 1000
TELL_EVERY_S = 0.1


class TakingHome:
    """`problem` shows an error in the page; `opened` gets the folder of a project that has been unpacked."""

    def __init__(self, session: Session, parent: QWidget, problem: Callable[[AiNanoError], object],
                 opened: Callable[[Path], object]) -> None:
        self._session = session
        self._parent = parent
        self._problem = problem
        self._opened = opened
        self._cancel: CancelToken | None = None

    @property
    def busy(self) -> bool:
        return self._cancel is not None

    def close(self) -> None:
        """The window is about to close."""
        if self._cancel is not None:
            self._cancel.cancel()

    # ---- saving ------------------------------------------------------------------------------------------------------

    def ask_where_to_save(self) -> None:
        workspace = self._session.workspace
        if workspace is None or self.busy:
            return
        proposed = Path.home() / f"{names.slug(workspace.name, 'project')}{pack.SUFFIX}"
        dialog = QFileDialog(self._parent, t("window.home.save"), str(proposed), t("window.home.files"))
        dialog.setAcceptMode(QFileDialog.AcceptSave)  # it asks itself before it replaces a file
        dialog.setDefaultSuffix(pack.SUFFIX)
        dialog.selectFile(str(proposed))
        dialog.fileSelected.connect(lambda file: self.save(workspace, Path(file)))
        dialog.open()

    def save(self, workspace: Workspace, file: Path) -> None:
        def done(saved: Saved) -> None:
            self._say(t("project_pack.saved", file=saved.file, images=saved.images, models=saved.models,
                        size=amount(saved.bytes, "bytes")))

        self._carry_out("window.home.saving", lambda tell, cancel: pack.save(workspace, file, tell, cancel), done)

    # ---- opening -----------------------------------------------------------------------------------------------------

    def ask_what_to_open(self) -> None:
        if self.busy:
            return
        dialog = QFileDialog(self._parent, t("window.home.open"), str(Path.home()), t("window.home.files"))
        dialog.setFileMode(QFileDialog.ExistingFile)
        dialog.fileSelected.connect(lambda file: self._ask_where_to_open(Path(file)))
        dialog.open()

    def _ask_where_to_open(self, file: Path) -> None:
        dialog = QFileDialog(self._parent, t("window.home.where"), str(Path.home()))
        dialog.setFileMode(QFileDialog.Directory)
        dialog.setOption(QFileDialog.ShowDirsOnly)
        dialog.fileSelected.connect(lambda folder: self.open(file, Path(folder)))
        dialog.open()

    def open(self, file: Path, parent: Path) -> None:
        """Into a new folder in `parent`, named after the project."""
        lab = self._session.lab
        if lab is None:
            return
        images = lab.images

        def work(tell: Tell, cancel: CancelToken) -> Path:
            workspace = opening.open_project(file, None, tell, cancel, parent)
            make_pages(workspace, images)
            return workspace.path

        self._carry_out("window.home.opening", work, self._opened)

    # ---- both --------------------------------------------------------------------------------------------------------

    def _carry_out(self, words: str, work: Callable[[Tell, CancelToken], T], done: Callable[[T], object]) -> None:
        """Beside the window, with a bar and a button that cancels."""
        if self.busy:
            return
        cancel = self._cancel = CancelToken()
        bar = QProgressDialog(t(words), t("window.cancel"), 0, SCALE, self._parent)
        bar.setWindowModality(Qt.WindowModal)
        bar.setMinimumDuration(400)
        bar.setAutoClose(False)
        bar.canceled.connect(cancel.cancel)
        last = 0.0

        def tell(done_bytes: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > TELL_EVERY_S:
                last = now
                share = round(SCALE * done_bytes / max(1, total))
                self._session.bridge.post(lambda: bar.setValue(share) if self._cancel is cancel else None)

        def over() -> None:
            self._cancel = None
            bar.canceled.disconnect()
            bar.close()
            bar.deleteLater()

        def arrived(result: T) -> None:
            over()
            done(result)

        def failed(error: AiNanoError) -> None:
            over()
            if not isinstance(error, Cancelled):
                self._problem(error)

        self._session.look(lambda: work(tell, cancel), arrived, failed)

    def _say(self, words: str) -> None:
        box = QMessageBox(QMessageBox.Information, t("window.home.save"), words, QMessageBox.Ok, self._parent)
        box.setTextFormat(Qt.PlainText)
        box.open()
