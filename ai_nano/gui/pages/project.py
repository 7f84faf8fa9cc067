"""Step 1: the workspace, the number of classes, the camera; or a model that is on a Nano already."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QComboBox, QFileDialog, QFrame, QLabel, QLineEdit, QPushButton, QSpinBox

from ai_nano.cameras.listing import list_cameras
from ai_nano.core.errors import AiNanoError
from ai_nano.core.files import user_path
from ai_nano.core.texts import t
from ai_nano.core.workspace import Workspace
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.project import ProjectOptions

REST_MS = 200
# Of many classes the first few say enough.
NAMED = 5

UseModel = Callable[[str, str, Sequence[Mapping[str, Any]]], None]


class ProjectPage(Page):
    file = "project"
    workspace: QLineEdit
    browse: QPushButton
    classes: QSpinBox
    camera: QComboBox
    cameraRefresh: QPushButton
    found: QLabel
    ok: QPushButton
    nanoCard: QFrame
    nano: QComboBox
    showModels: QPushButton
    model: QComboBox
    useModel: QPushButton
    modelsNote: QLabel
    preview: VideoView
    cameraNote: QLabel

    def __init__(self, session: Session, cameras: CameraViews, go: Callable[[str], None],
                 use_model: UseModel) -> None:
        """`use_model` gets a Nano's name, a model on it, and all that are there."""
        super().__init__(session)
        self._cameras = cameras
        self._go = go
        self._use_model = use_model
        self._models: Sequence[Mapping[str, Any]] = []
        self._opening = False
        self._asked = 0
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._look_at_folder)
        self.preview.keep_shape()
        self.cameraNote.hide()
        self.browse.clicked.connect(self._on_browse)
        self.workspace.textChanged.connect(self._folder_changed)
        self.workspace.returnPressed.connect(self._on_ok)
        self.cameraRefresh.clicked.connect(self._list_cameras)
        self.camera.activated.connect(lambda _index: self._show_camera())
        self.camera.lineEdit().editingFinished.connect(self._show_camera)
        self.ok.clicked.connect(self._on_ok)
        self.showModels.clicked.connect(self._on_show_models)
        self.useModel.clicked.connect(self._on_use_model)
        session.changed.connect(self.redraw)

    # ---- what it proposes --------------------------------------------------------------------------------------------

    def propose(self, workspace: Path, classes: int, camera: str) -> None:
        self.workspace.setText(str(workspace))
        self.classes.setValue(classes)
        self._list_cameras(camera)
        self._look_at_folder()

    @property
    def camera_uri(self) -> str:
        index = self.camera.findText(self.camera.currentText())
        return str(self.camera.itemData(index)) if index >= 0 else self.camera.currentText().strip()

    def _list_cameras(self, chosen: object = None) -> None:
        """`chosen`: a URI to select; by the button, the one that is selected stays."""
        wanted = chosen if isinstance(chosen, str) else self.camera_uri
        self.camera.clear()
        own = list_cameras()
        for uri, name in [*own, *self._cameras_of_nanos()]:
            self.camera.addItem(name, uri)
        index = self.camera.findData(wanted)
        if index < 0 and wanted:
            self.camera.insertItem(0, wanted, wanted)
            index = 0
        # Nobody has chosen: then the first one of this computer, and no Nano's.
        self.camera.setCurrentIndex(index if index >= 0 or not own else 0)
        self.camera.lineEdit().setCursorPosition(0)
        self._show_camera()

    def _cameras_of_nanos(self) -> list[tuple[str, str]]:
        nanos = self.session.config.filled_nanos if self.session.lab is not None else ()
        return [(f"nano://{nano.name}", f"nano://{nano.name}") for nano in nanos]

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        self._show_camera()

    def left(self) -> None:
        self._cameras.stop()

    def retranslate(self) -> None:
        super().retranslate()
        self._look_at_folder()

    def redraw(self) -> None:
        if self.session.lab is None:
            return
        names = [nano.name for nano in self.session.config.filled_nanos]
        if names != [self.nano.itemText(index) for index in range(self.nano.count())]:
            self.nano.clear()
            self.nano.addItems(names)
            self.model.clear()
            if self.camera.count():  # else nobody has proposed one yet, and the first in the list is nobody's choice
                self._list_cameras()
        self.nanoCard.setVisible(bool(names))
        for widget in (self.model, self.useModel):
            widget.setVisible(self.model.count() > 0)
        self.modelsNote.setVisible(bool(self.modelsNote.text()))

    def _folder_changed(self) -> None:
        """Nothing is known of what is being typed; it is looked at when the typing rests."""
        self._asked += 1
        self.found.setText("")
        self.ok.setEnabled(bool(self.workspace.text().strip()) and not self._opening)
        self._rest.start()

    def _look_at_folder(self) -> None:
        """Say what Project OK will do."""
        text, asked = self.workspace.text(), self._asked
        if not text.strip():
            return

        def told(words: str, opens: bool) -> None:
            if asked == self._asked:
                self.found.setText(words)
                self.classes.setEnabled(not opens)

        def found(workspace: Workspace) -> None:
            names = [*workspace.classes[:NAMED], *(["…"] if len(workspace.classes) > NAMED else [])]
            told(t("window.project.found", count=len(workspace.classes), classes=names or "–"), True)

        def failed(error: AiNanoError) -> None:
            fresh = error.code in ("workspace.none", "workspace.missing")
            told(t("window.project.fresh") if fresh else error.what, False)

        self.session.look(lambda: Workspace.open(user_path(text)), found, failed)

    def _show_camera(self) -> None:
        uri = self.camera_uri
        if self.session.lab is None or not uri or not self.isVisible():
            return
        self._cameras.show(self.session.lab, uri, self.preview, self.cameraNote)

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_browse(self) -> None:
        dialog = QFileDialog(self, t("window.project.workspace"), str(Path(self.workspace.text() or ".").expanduser().parent))
        dialog.setFileMode(QFileDialog.Directory)
        dialog.setOption(QFileDialog.ShowDirsOnly)
        dialog.fileSelected.connect(self.workspace.setText)
        dialog.open()

    def _on_ok(self) -> None:
        if not self.workspace.text().strip() or self.session.lab is None or self._opening:
            return
        self.dismiss()
        try:
            path = user_path(self.workspace.text())
        except AiNanoError as error:
            self.show_problem(error)
            return
        self._set_opening(True)

        def done(step: str) -> None:
            self._set_opening(False)
            self._look_at_folder()
            self._go(step)

        def failed(error: AiNanoError) -> None:
            self._set_opening(False)
            self.show_problem(error)

        self.session.open(path, ProjectOptions((), camera=self.camera_uri, planned=self.classes.value()), done, failed)

    def _set_opening(self, opening: bool) -> None:
        self._opening = opening
        self.ok.setEnabled(not opening)

    def _on_show_models(self) -> None:
        name = self.nano.currentText()
        if not name:
            return
        self.dismiss()
        self.showModels.setEnabled(False)
        self.modelsNote.setText(t("window.models.asking", machine=name))
        self.redraw()

        def done(models: Sequence[Mapping[str, Any]]) -> None:
            self.showModels.setEnabled(True)
            self._models = models
            self.model.clear()
            self.model.addItems([str(one["model"]) for one in models])
            self.modelsNote.setText("" if models else t("models.none", machine=name))
            self.redraw()

        def failed(error: AiNanoError) -> None:
            self.showModels.setEnabled(True)
            self.modelsNote.setText("")
            self.show_problem(error)
            self.redraw()

        self.session.models_on(name, done, failed)

    def _on_use_model(self) -> None:
        if self.model.currentText():
            self._use_model(self.nano.currentText(), self.model.currentText(), self._models)
