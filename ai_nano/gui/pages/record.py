"""Step 2: the live preview, and a card for each class. Hold a button or the space bar, and each moment becomes an image."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtCore import QEvent, Qt, QTimer
from PyQt5.QtGui import QDragEnterEvent, QDropEvent, QHideEvent, QKeySequence, QResizeEvent, QShowEvent
from PyQt5.QtWidgets import QApplication, QFileDialog, QLabel, QPushButton, QScrollArea, QShortcut, QVBoxLayout

from ai_nano.core.errors import MissingPrerequisite
from ai_nano.core.importing.find import PICTURES, ZIP
from ai_nano.core.recording.settings import KEY, RecordSettings
from ai_nano.core.running import Status
from ai_nano.core.texts import t
from ai_nano.gui.camera_dialog import CameraDialog
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.card_column import CardColumn
from ai_nano.gui.card_images import CardImages
from ai_nano.gui.hinting import Hinting
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.pages.gallery import GalleryView
from ai_nano.gui.session import Session
from ai_nano.gui.takes import BURST, CLICK, Take, Takes
from ai_nano.gui.widgets.class_card import dropped_paths
from ai_nano.gui.widgets.hint_box import HintBox
from ai_nano.gui.widgets.preview_overlay import PreviewOverlay
from ai_nano.gui.widgets.record_keys import RecordKeys
from ai_nano.gui.widgets.record_popover import RecordPopover
from ai_nano.gui.widgets.toast import Toast
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.import_images import ImportOptions
from ai_nano.steps.record import RecordOptions

LOOK_MS = 400


class RecordPage(StepPage):
    file = "record"
    step = "record"
    steps = ("record", "import")
    hintsLayout: QVBoxLayout
    cardsLayout: QVBoxLayout
    cardsArea: QScrollArea
    preview: VideoView
    cameraNote: QLabel
    advice: QLabel
    burst: QPushButton
    settings: QPushButton
    addClass: QPushButton
    chooseCamera: QPushButton

    def __init__(self, session: Session, go: Callable[[str], None], cameras: CameraViews) -> None:
        super().__init__(session, go)
        self._cameras = cameras
        self._settings = RecordSettings()
        # What is recorded, or was last, and how many images that class had before; into what is imported (None: several).
        self._recorded: str | None = None
        self._imported: str | None = None
        self._before = self._saved = 0
        self._gallery: GalleryView | None = None
        self._camera_dialog: CameraDialog | None = None
        self.preview.keep_shape()
        self.cameraNote.hide()
        self._hint_box = HintBox()
        self.hintsLayout.addWidget(self._hint_box)
        self._hint_box.filled.connect(self.advice.setHidden)
        self._hints = Hinting(session, self._hint_box)
        self._overlay = PreviewOverlay(self.preview)
        self._toast = Toast(self)
        self._popover = RecordPopover(self)
        self._takes = Takes(self._begin_take, lambda: self.session.cancel("record"), self)
        self._images = CardImages(session, self)
        self._cards = CardColumn(session, self._images, self.cardsArea, self.cardsLayout, self.addClass)
        self._keys = RecordKeys(self)
        self._undo = QShortcut(QKeySequence.Undo, self)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self.setAcceptDrops(True)
        self._connect()

    def _connect(self) -> None:
        takes, images, cards, keys = self._takes, self._images, self._cards, self._keys
        takes.changed.connect(self._show_takes)
        takes.counted.connect(self._overlay.show_seconds)
        images.changed.connect(cards.look)
        images.said.connect(self._toast.say)
        images.trouble.connect(self.show_problem)
        cards.choice_changed.connect(self._show_burst)
        cards.classes_changed.connect(self._show_takes)
        cards.held.connect(takes.hold)
        cards.let_go.connect(takes.let_go)
        cards.toggled.connect(takes.toggle)
        cards.import_wanted.connect(self._ask_for_files)
        cards.dropped.connect(self._bring)
        cards.show_all_wanted.connect(self.open_gallery)
        keys.pressed.connect(self._on_space)
        keys.released.connect(takes.let_go)
        keys.digit.connect(cards.choose_number)
        keys.escaped.connect(takes.stop)
        self._timer.timeout.connect(lambda: cards.look([self._recorded]))
        self._popover.changed.connect(self._on_settings)
        self.burst.clicked.connect(self._on_burst)
        self.chooseCamera.clicked.connect(self._on_choose_camera)
        self.settings.clicked.connect(lambda: self._popover.open_at(self.settings, self._settings))
        self._undo.setContext(Qt.WidgetWithChildrenShortcut)
        self._undo.activated.connect(images.undo)

    # ---- coming and going --------------------------------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        if self.session.workspace is not None:
            self._show_camera()
            self._hints.start()
            self._cards.look()
            # Not where it was: on a button of the page before, which space would push. A card may not be shown yet.
            self.setFocus()

    def _show_camera(self) -> None:
        if self.session.lab is not None:
            self._cameras.show(self.session.lab, self.session.camera, self.preview, self.cameraNote,
                               self.session.camera_options, self.session.mirrored, self._hints.see)

    def left(self) -> None:
        """Looking ends. A recording that was started by a click goes on, since it has the camera for itself too."""
        self._takes.stop_counting()
        self._takes.let_go()
        self._cameras.stop()
        self._hints.stop()

    def closing(self) -> None:
        self._takes.stop()
        self._hints.stop()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._keys.watch(self)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._keys.unwatch()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.WindowDeactivate:
            # Of the mouse or key that comes up now, another window hears.
            self._keys.forget()
            self._takes.let_go()
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._gallery is not None:
            self._gallery.setGeometry(self.rect())

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def retranslate(self) -> None:
        self._cards.retranslate()
        self._hint_box.retranslate()
        self._popover.retranslate()
        self._toast.retranslate()
        if self._gallery is not None:
            self._gallery.retranslate()
        super().retranslate()

    def reset(self) -> None:
        self._takes.stop()
        self._images.reset()
        self._cards.reset()
        self._toast.hide()
        workspace = self.session.workspace
        self._settings = RecordSettings.of(workspace.settings if workspace is not None else {})
        self._cards.show_target(self._settings.target)

    def redraw(self) -> None:
        super().redraw()
        if self.session.workspace is not None:
            self._cards.arrange()
            self._show_takes()
            if self._cameras.shows_in(self.preview):  # its options may have changed
                self._show_camera()
        if self.active is None:
            self._hints.look_again()

    @property
    def may_record(self) -> bool:
        """Also while a take is recorded, which ends for the next one. `may_start` would not do: for a moment after a take it
        still says that it runs."""
        return self.active in (None, "record") and self.session.status("record").status is not Status.BLOCKED

    def _show_takes(self) -> None:
        """Which class is recorded, how, and what may be begun."""
        now = self._takes.now
        self._cards.show_state(now, self.may_record)
        self._show_overlay()
        self._show_burst()

    def _show_overlay(self) -> None:
        now = self._takes.now
        words = t("window.record.overlay", name=now.class_name, count=self._saved) if now is not None else ""
        self._overlay.show_recording(words)

    def _show_burst(self) -> None:
        now, name, settings = self._takes.now, self._cards.chosen_class, self._settings
        ends = self._takes.counting is not None or (now is not None and now.kind == BURST)
        self.burst.setText(t("window.record.burst.stop") if ends else t("window.record.burst", count=settings.count))
        self.burst.setEnabled(ends or (name is not None and self.may_record))
        self.burst.setToolTip("" if name is None else t("window.record.burst.tip", name=name, count=settings.count,
                                                        seconds=settings.countdown_s))

    def take(self, batch: Batch) -> None:
        super().take(batch)
        progress, card = batch.progress.get("record"), self._cards.of_class(self._recorded)
        if progress is not None and progress.unit == "images" and card is not None and self.session.is_running("record"):
            # What the disk says may be newer: the count never goes back while it is recorded.
            self._saved = int(progress.done)
            card.show_count(max(card.images, self._before + self._saved))
            self._show_overlay()

    # ---- recording ---------------------------------------------------------------------------------------------------

    def _begin_take(self, take: Take) -> bool:
        if self.active is not None or not self.may_record:
            return False
        card = self._cards.of_class(take.class_name)
        self._recorded, self._before, self._saved = take.class_name, card.images if card is not None else 0, 0
        count = self._settings.count if take.kind == BURST else None
        self.begin("record", RecordOptions(take.class_name, self.session.camera, count=count, fps=float(self._settings.fps)))
        return self.session.is_running("record")

    def _on_burst(self) -> None:
        name = self._cards.chosen_class
        if name is not None:
            self._takes.burst(name, self._settings.countdown_s)

    def _on_space(self) -> None:
        self._cards.choose_focused(QApplication.focusWidget())
        now, name = self._takes.now, self._cards.chosen_class
        if self._takes.counting is not None or (now is not None and now.kind in (CLICK, BURST)):
            self._takes.stop()
        elif name is not None and self.may_record:
            self._takes.hold(name)

    def _on_settings(self, settings: RecordSettings) -> None:
        workspace = self.session.workspace
        if workspace is None:
            return
        self._settings = settings
        self._cards.show_target(settings.target)
        self._show_burst()

        def save() -> None:
            with workspace.writing():
                workspace.settings[KEY] = settings.to_json()

        self.session.look(save, lambda _saved: None, self.show_problem)

    def _on_choose_camera(self) -> None:
        self._camera_dialog = self._camera_dialog or CameraDialog(self.session, self)
        self._camera_dialog.ask()

    # ---- images from elsewhere, and all of them ----------------------------------------------------------------------

    def _ask_for_files(self, name: str, folder: bool) -> None:
        dialog = QFileDialog(self, t("window.class.import.title", name=name), str(Path.home()))
        dialog.setAttribute(Qt.WA_DeleteOnClose)
        if folder:
            dialog.setFileMode(QFileDialog.Directory)
        else:
            patterns = " ".join(f"*{suffix} *{suffix.upper()}" for suffix in (*PICTURES, ZIP))
            dialog.setNameFilters([f"{t('unit.images')} ({patterns})", f"{t('window.class.import.all')} (*)"])
            dialog.setFileMode(QFileDialog.ExistingFiles)
        dialog.filesSelected.connect(lambda files: self._bring(name, [Path(one) for one in files]))
        dialog.open()

    def _bring(self, name: str | None, paths: Sequence[Path]) -> None:
        """`name` None: folders named by class."""
        if self.active is not None:
            self.session.errors["import"] = MissingPrerequisite("step.busy", step="import", other=self.active)
            self.redraw()
        elif paths:
            self._imported = name
            self.begin("import", ImportOptions(name, tuple(paths), new_classes=name is None))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self.active is None and dropped_paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self._bring(None, dropped_paths(event.mimeData()))

    def open_gallery(self, name: str) -> None:
        """All images of a class, over the page; the keys are the gallery's meanwhile."""
        if self._gallery is None:
            self._gallery = GalleryView(self.session, self._images.thumbnails)
            self._gallery.setParent(self)
            self._gallery.closed.connect(self._on_gallery_closed)
        self._takes.stop()
        self._keys.unwatch()
        self._undo.setEnabled(False)  # the gallery may have its own
        self._gallery.setGeometry(self.rect())
        self._gallery.show_class(name)
        self._gallery.show()
        self._gallery.raise_()
        self._gallery.setFocus()

    def _on_gallery_closed(self) -> None:
        if self._gallery is not None:
            self._gallery.hide()
        self._keys.watch(self)
        self._undo.setEnabled(True)
        (self._cards.chosen or self).setFocus()
        self.session.refresh()
        self._cards.look()

    # ---- the steps ---------------------------------------------------------------------------------------------------

    def begun(self, step: str) -> None:
        super().begun(step)
        take, name = self._takes.now, self._imported
        self._hints.pause(take.class_name if step == "record" and take is not None else name)
        if step == "import":
            self._timer.stop()
            self.task.show_begun(lambda: t("window.doing.import.class", name=name) if name is not None
                                 else t("window.doing.import.folders"))
        elif take is not None:
            code = f"window.doing.record.{take.kind}"
            self.task.show_begun(lambda: t(code, name=take.class_name), cancellable=take.kind == BURST)
            self._timer.start()

    def over(self, step: str, outcome: object) -> None:
        if step == "record":
            self._timer.stop()
            self._cards.look([self._recorded])
            self._takes.over(outcome)
        else:
            self._cards.look(None if self._imported is None else [self._imported])
