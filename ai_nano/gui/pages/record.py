"""Step 2: a form for each class beside the live preview."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtCore import QTimer
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QFileDialog, QLabel, QSpinBox, QVBoxLayout

from ai_nano.core.errors import AiNanoError
from ai_nano.core.files import IMAGE_SUFFIXES
from ai_nano.core.texts import t
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.gui.thumbnails import Thumbnails
from ai_nano.gui.widgets.class_form import ClassForm
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.record import ImportOptions, RecordOptions

LOOK_MS = 400


class RecordPage(StepPage):
    file = "record"
    step = "record"
    steps = ("record", "import")
    formsLayout: QVBoxLayout
    preview: VideoView
    cameraNote: QLabel
    fps: QSpinBox
    advice: QLabel

    def __init__(self, session: Session, go: Callable[[str], None], cameras: CameraViews) -> None:
        super().__init__(session, go)
        self._cameras = cameras
        self.preview.keep_shape()
        self.cameraNote.hide()
        self._thumbnails = Thumbnails(session)
        self._forms: list[ClassForm] = []
        self._recorded: str | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look_at_recorded)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        if self.session.lab is not None and self.session.workspace is not None:
            self._cameras.show(self.session.lab, self.session.camera, self.preview, self.cameraNote)
            self._look_at_all()

    def left(self) -> None:
        """Looking ends; a recording goes on, since it has the camera for itself too."""
        self._cameras.stop()

    def retranslate(self) -> None:
        for form in self._forms:
            form.retranslate()
        super().retranslate()

    def reset(self) -> None:
        for form in self._forms:
            form.deleteLater()
        self._forms = []

    def redraw(self) -> None:
        super().redraw()
        workspace = self.session.workspace
        if workspace is None:
            return
        while len(self._forms) < max(2, workspace.planned_classes):
            self._add_form()
        for position, form in enumerate(self._forms):
            if position < len(workspace.classes) and form.class_name != workspace.classes[position]:
                form.show_class(workspace.classes[position])
        for form in self._forms:
            recording = self.active == "record" and form.class_name == self._recorded
            form.show_state(recording, form.class_name is not None and self.may_start)

    def _add_form(self) -> None:
        form = ClassForm(len(self._forms) + 1)
        form.create_wanted.connect(functools.partial(self._on_create, form))
        form.start_wanted.connect(functools.partial(self._on_start, form))
        form.stop_wanted.connect(lambda: self.session.cancel("record"))
        form.import_wanted.connect(functools.partial(self._on_import, form))
        self.formsLayout.insertWidget(len(self._forms), form)
        self._forms.append(form)

    def _look_at_all(self) -> None:
        for form in self._forms:
            self._look_at(form)

    def _look_at_recorded(self) -> None:
        for form in self._forms:
            if form.class_name == self._recorded:
                self._look_at(form)

    def _look_at(self, form: ClassForm) -> None:
        workspace, lab, name = self.session.workspace, self.session.lab, form.class_name
        if workspace is None or lab is None or name is None:
            return

        def done(total: int, images: Sequence[QImage]) -> None:
            if form.class_name == name and workspace is self.session.workspace:
                form.show_count(total)
                form.show_thumbnails(images)

        self._thumbnails.newest(name, lambda: workspace.image_paths(name), form.thumbnails.room, lab.images, done)

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_create(self, form: ClassForm, raw: str) -> None:
        workspace = self.session.workspace
        if workspace is None:
            return
        position = sum(1 for one in self._forms[:self._forms.index(form)] if one.class_name is not None)
        try:
            name = workspace.add_class(raw, position)
        except AiNanoError as error:
            form.show_trouble(error)
            return
        # The forms keep the places that the student gave them, as long as some are empty.
        self._forms.remove(form)
        self._forms.insert(position, form)
        self.formsLayout.insertWidget(position, form)
        for number, one in enumerate(self._forms, 1):
            one.number.setText(str(number))
        form.show_class(name)
        form.show_count(workspace.count(name))
        self.session.refresh()
        self.redraw()

    def _on_start(self, form: ClassForm) -> None:
        if form.class_name is not None:
            self._recorded = form.class_name
            self.begin("record", RecordOptions(form.class_name, self.session.camera, fps=float(self.fps.value())))

    def _on_import(self, form: ClassForm) -> None:
        patterns = " ".join(f"*{suffix} *{suffix.upper()}" for suffix in IMAGE_SUFFIXES)
        dialog = QFileDialog(self, t("window.class.import.title", name=form.class_name), str(Path.home()),
                             f"{t('unit.images')} ({patterns})")
        dialog.setFileMode(QFileDialog.ExistingFiles)
        dialog.filesSelected.connect(functools.partial(self._bring, form))
        dialog.open()

    def _bring(self, form: ClassForm, files: Sequence[str]) -> None:
        if form.class_name is not None and files:
            self._recorded = form.class_name
            self.begin("import", ImportOptions(form.class_name, tuple(Path(one) for one in files)))

    def begun(self, step: str) -> None:
        self.task.show_begun(lambda: t(f"window.doing.{step}.class", name=self._recorded), cancellable=step != "record")
        self._timer.start()

    def over(self, step: str, outcome: object) -> None:
        self._timer.stop()
        self._look_at_all()
