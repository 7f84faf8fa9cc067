"""Step 1: the workspace, the number of classes, the camera; or a model that is on a Nano already."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QComboBox, QFileDialog, QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QSpinBox, QTabBar

from ai_nano.cameras.listing import CameraList, list_cameras
from ai_nano.core import recent as recent_projects
from ai_nano.core.errors import AiNanoError
from ai_nano.core.files import user_path
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.recent import RecentProject
from ai_nano.core.texts import t
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.pages.base import Page
from ai_nano.gui.pages.project_classes import ProjectClasses
from ai_nano.gui.session import Session
from ai_nano.gui.settings import Settings
from ai_nano.gui.widgets.class_rows import ClassRows
from ai_nano.gui.widgets.recent_list import RecentList
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.project import ProjectOptions

REST_MS = 200
# Of many classes the first few say enough.
NAMED = 5
LOWER_TABS = ("classes", "nano")

UseModel = Callable[[str, str, Sequence[Mapping[str, Any]]], None]


class ProjectPage(Page):
    file = "project"
    workspace: QLineEdit
    browse: QPushButton
    classesLabel: QLabel
    classes: QSpinBox
    camera: QComboBox
    cameraRefresh: QPushButton
    found: QLabel
    ok: QPushButton
    another: QPushButton
    emptyBin: QPushButton
    lowerRow: QHBoxLayout
    undoClass: QPushButton
    classesCard: QFrame
    classRows: ClassRows
    newClass: QLineEdit
    addClass: QPushButton
    classTrouble: QLabel
    renameClass: QPushButton
    classUp: QPushButton
    classDown: QPushButton
    removeClass: QPushButton
    recentCard: QFrame
    recent: RecentList
    openRecent: QPushButton
    forgetRecent: QPushButton
    nanoCard: QFrame
    nano: QComboBox
    showModels: QPushButton
    model: QComboBox
    useModel: QPushButton
    modelsNote: QLabel
    preview: VideoView
    cameraNote: QLabel

    def __init__(self, session: Session, cameras: CameraViews, go: Callable[[str], None],
                 use_model: UseModel, settings: Settings) -> None:
        """`use_model` gets a Nano's name, a model on it, and all that are there. `settings` has the recent projects."""
        super().__init__(session)
        self._settings = settings
        self._cameras = cameras
        self._go = go
        self._use_model = use_model
        self._models: Sequence[Mapping[str, Any]] = []
        self._opening = False
        self._asked = 0
        self._wished = 0
        self._chosen = ""
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._look_at_folder)
        self.lowerTabs = QTabBar()
        self.lowerTabs.setDrawBase(False)
        for name in LOWER_TABS:
            self.lowerTabs.addTab(t(f"window.project.tab.{name}"))
        self.lowerRow.insertWidget(0, self.lowerTabs)
        self.lowerTabs.currentChanged.connect(lambda _index: self.redraw())
        self._classes = ProjectClasses(self)
        self.recent.open_wanted.connect(self._open_recent)
        self.recent.forget_wanted.connect(self._forget_recent)
        self.recent.chosen.connect(self._enable_recent)
        self.openRecent.clicked.connect(lambda: self._open_recent(self.recent.current))
        self.forgetRecent.clicked.connect(lambda: self._forget_recent(self.recent.current))
        self.another.clicked.connect(self._on_another)
        self._watch = CameraList(lambda _found: session.bridge.post(self._plugged))
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
        # By the name that lasts, unless this workspace knows the camera by its number.
        choices = [(one.uri if one.uri == wanted else one.choice, one.name) for one in own]
        for uri, name in [*choices, *self._cameras_of_nanos()]:
            self.camera.addItem(name, uri)
        index = self.camera.findData(wanted)
        if index < 0 and wanted:
            self.camera.insertItem(0, wanted, wanted)
            index = 0
        # Nobody has chosen: then the first one of this computer, and no Nano's.
        self.camera.setCurrentIndex(index if index >= 0 or not own else 0)
        self.camera.lineEdit().setCursorPosition(0)
        self._show_camera()

    def _plugged(self) -> None:
        if self.camera.count() and self.isVisible():
            self._list_cameras()

    def _cameras_of_nanos(self) -> list[tuple[str, str]]:
        nanos = self.session.config.filled_nanos if self.session.lab is not None else ()
        return [(f"nano://{nano.name}", f"nano://{nano.name}") for nano in nanos]

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        self._watch.start()
        self._show_camera()
        self._list_recent()

    def left(self) -> None:
        self._watch.stop()
        self._cameras.stop()

    def closing(self) -> None:
        self._watch.stop()

    def retranslate(self) -> None:
        for index, name in enumerate(LOWER_TABS):
            self.lowerTabs.setTabText(index, t(f"window.project.tab.{name}"))
        super().retranslate()
        self._classes.retranslate()
        self.recent.retranslate()
        self._look_at_folder()

    def redraw(self) -> None:
        if self.session.lab is None:
            return
        workspace = self.session.workspace
        chosen = str(workspace.settings.get("camera", "")) if workspace is not None else ""
        if chosen != self._chosen:
            self._chosen = chosen
            if chosen and chosen != self.camera_uri:  # by the menu
                self._list_cameras(chosen)
        names = [nano.name for nano in self.session.config.filled_nanos]
        if names != [self.nano.itemText(index) for index in range(self.nano.count())]:
            self.nano.clear()
            self.nano.addItems(names)
            self.model.clear()
            if self.camera.count():  # else nobody has proposed one yet, and the first in the list is nobody's choice
                self._list_cameras()
        opened = self.session.workspace is not None
        shows_nano = bool(names) and (not opened or self.lowerTabs.currentIndex() == 1)
        self.lowerTabs.setVisible(opened and bool(names))
        self.classesCard.setVisible(opened and not shows_nano)
        self.nanoCard.setVisible(shows_nano)
        if self.isVisible():
            self._classes.redraw()
        for widget in (self.model, self.useModel):
            widget.setVisible(self.model.count() > 0)
        self.modelsNote.setVisible(bool(self.modelsNote.text()))

    def _folder_changed(self) -> None:
        """Nothing is known of what is being typed; it is looked at when the typing rests."""
        self._asked += 1
        self.found.setText("")
        self._show_planned(None)
        self.ok.setEnabled(bool(self.workspace.text().strip()) and not self._opening)
        self._rest.start()

    def _show_planned(self, planned: int | None) -> None:
        """Of a project that is there it is told; of a new one, None, it is asked. A row that came and went would move the
        button from under somebody's pointer."""
        if self.classes.isEnabled():
            self._wished = self.classes.value()
        self.classes.setValue(self._wished if planned is None else planned)
        for widget in (self.classesLabel, self.classes):
            widget.setEnabled(planned is None)

    def _look_at_folder(self) -> None:
        """Say what Project OK will do."""
        text, asked = self.workspace.text(), self._asked
        if not text.strip():
            return

        def told(words: str, planned: int | None) -> None:
            if asked != self._asked:
                return
            self.found.setText(words)
            self._show_planned(planned)

        def found(workspace: Workspace) -> None:
            planned = workspace.planned_classes
            if self.session.workspace is not None and self.session.workspace.path == workspace.path:
                told(t("window.project.is_open"), planned)
                return
            names = [*workspace.classes[:NAMED], *(["…"] if len(workspace.classes) > NAMED else [])]
            told(t("window.project.found", count=len(workspace.classes), classes=names or "–"), planned)

        def failed(error: AiNanoError) -> None:
            fresh = error.code in ("workspace.none", "workspace.missing")
            told(t("window.project.fresh") if fresh else error.what, None)

        self.session.look(lambda: Workspace.open(user_path(text)), found, failed)

    def _show_camera(self) -> None:
        uri = self.camera_uri
        if self.session.lab is None or not uri or not self.isVisible():
            return
        self._cameras.show(self.session.lab, uri, self.preview, self.cameraNote, self.session.camera_options,
                           self.session.mirrored)

    # ---- recent projects -----------------------------------------------------------------------------------------------

    def _list_recent(self) -> None:
        """Beside the window: the folders may be on a network's disk."""
        told = self._settings.recent

        def listed(found: list[RecentProject]) -> None:
            if told == self._settings.recent:
                self.recent.show_projects(found)

        self._enable_recent(self.recent.current)
        self.session.look(lambda: recent_projects.look(told), listed)

    def _enable_recent(self, project: RecentProject | None) -> None:
        self.recentCard.setVisible(bool(self._settings.recent))
        self.openRecent.setEnabled(project is not None and project.problem is None and not self._opening)
        self.forgetRecent.setEnabled(project is not None)

    def _open_recent(self, project: RecentProject | None) -> None:
        """With the camera that it had."""
        if project is not None and not self._opening:
            self.workspace.setText(str(project.path))
            self._open(project.path, None)

    def _forget_recent(self, project: RecentProject | None) -> None:
        """Its folder stays as it is."""
        if project is not None:
            self._settings.forget(project.path)
            self._list_recent()

    def _on_another(self) -> None:
        """A folder that is not there yet, beside the one that is named now."""
        named = self.workspace.text().strip()
        beside = Path(named).expanduser().parent if named else Path.home() / "ai_nano"
        self.workspace.setText(str(free_folder(beside)))
        self.workspace.setFocus()
        self.workspace.selectAll()

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
        try:
            path = user_path(self.workspace.text())
        except AiNanoError as error:
            self.show_problem(error)
            return
        self._open(path, self.camera_uri)

    def _open(self, path: Path, camera: str | None) -> None:
        """`camera` None: the project's own."""
        self.dismiss()
        self._set_opening(True)

        def done(step: str) -> None:
            self._set_opening(False)
            self._look_at_folder()
            if camera is None:
                self._list_cameras(self.session.camera)
            self.lowerTabs.setCurrentIndex(0)
            self._go(step)

        def failed(error: AiNanoError) -> None:
            self._set_opening(False)
            self.show_problem(error)

        self.session.open(path, ProjectOptions((), camera=camera, planned=self.classes.value()), done, failed)

    def _set_opening(self, opening: bool) -> None:
        self._opening = opening
        self.ok.setEnabled(not opening)
        self._enable_recent(self.recent.current)

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


def free_folder(parent: Path) -> Path:
    """`project-1`, or the first number that is not taken."""
    return next(path for number in range(1, 10_000) if not (path := parent / f"project-{number}").exists())
