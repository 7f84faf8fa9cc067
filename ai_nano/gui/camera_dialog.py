"""The camera of this project, from the window's menu: what is chosen holds at once."""

from PyQt5.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ai_nano.core.ports import CameraOptions
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.recording import camera_options
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.camera_panel import CameraPanel
from ai_nano.gui.widgets.error_box import ErrorBox

WIDTH = 460
EDGE = 24


def choose_camera(workspace: Workspace, uri: str, options: CameraOptions, mirror: bool) -> None:
    """Note it in the workspace. MissingPrerequisite when it is open elsewhere."""
    with workspace.writing():
        workspace.settings["camera"] = uri
        workspace.settings[camera_options.KEY] = camera_options.to_settings(options, mirror)


class CameraDialog(QDialog):
    """One for the window, shown again each time: a list of cameras may come when it has been closed."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self._panel = CameraPanel(session.bridge)
        self._panel.changed.connect(self._on_changed)
        self._problem = ErrorBox()
        self._problem.dismissed.connect(lambda: self._problem.show_error(None))
        self._note, self._close = QLabel(), QPushButton()
        self._note.setWordWrap(True)
        style.set_role(self._note, "note")
        self._close.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self._close)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        for widget in (self._panel, self._note, self._problem):
            column.addWidget(widget)
        column.addLayout(row)
        self.setMinimumWidth(WIDTH)

    def ask(self) -> None:
        session = self._session
        self.setWindowTitle(t("window.camera.title"))
        self._note.setText(t("window.camera.note"))
        self._close.setText(t("window.bench.close"))
        self._problem.retranslate()
        self._problem.show_error(None)
        self._panel.show_choice(session.camera, session.camera_options, session.mirrored,
                                [nano.name for nano in session.config.filled_nanos])
        self.adjustSize()
        around = self.parentWidget().frameGeometry()
        # At the left, since the page's picture shows at once what comes of a choice.
        self.move(around.left() + EDGE, around.center().y() - self.height() // 2)
        self.open()

    def _on_changed(self) -> None:
        workspace, panel, session = self._session.workspace, self._panel, self._session
        if workspace is None:
            return
        uri, options, mirror = panel.uri, panel.options, panel.mirror
        self._problem.show_error(None)
        session.look(lambda: choose_camera(workspace, uri, options, mirror), lambda _none: session.changed.emit(),
                     self._problem.show_error)
