"""The exported model on this computer's camera, before anything is deployed: a picture, and a bar for each class."""

import re
import time
from collections.abc import Callable

from PyQt5.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Prediction
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.texts import t
from ai_nano.core.workflow import newest_bundle
from ai_nano.gui import live, style
from ai_nano.gui.inbox import Batch
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.class_bars import ClassBars
from ai_nano.gui.widgets.correcting import Correcting
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.infer import TryOptions

STEP = "try"
# Words change with the picture, and a person reads no faster.
SAY_EVERY_S = 0.15


class TryPanel(QWidget):
    """`changed` is called when the page has to look again at what can be done."""

    def __init__(self, session: Session, changed: Callable[[], object], go: Callable[[str], object]) -> None:
        super().__init__()
        self._session = session
        self._changed = changed
        self._mailbox: Mailbox[live.LiveFrame] = Mailbox(lambda: session.bridge.post(self._deliver))
        self._said_at = 0.0
        self.picture, self.bars = VideoView(), ClassBars()
        self.start, self.stop, self.camera, self.seen = QPushButton(), QPushButton(), QLabel(), QLabel()
        self.wrong = QPushButton()
        style.set_role(self.start, "primary")
        style.set_role(self.camera, "note")
        style.set_role(self.seen, "big")
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        for widget in (self.start, self.stop, self.wrong):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        self.correcting = Correcting(session, go, self.wrong, self.picture, (self.bars,))
        self.correcting.changed.connect(self._on_question)
        self.correcting.trouble.connect(self._on_trouble)
        right = QVBoxLayout()
        right.setSpacing(10)
        right.addLayout(buttons)
        right.addWidget(self.camera)
        right.addWidget(self.seen)
        right.addWidget(self.bars)
        right.addWidget(self.correcting, 4)
        right.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        column.addLayout(row, 1)
        column.addWidget(self.correcting.afterwards)
        row.setSpacing(18)
        row.addWidget(self.picture, 3)
        row.addLayout(right, 2)
        for label in (self.camera, self.seen):
            label.setWordWrap(True)
        self.start.clicked.connect(self._on_start)
        self.stop.clicked.connect(lambda: session.cancel(STEP))
        session.started.connect(self._on_started)
        session.ended.connect(self._on_ended)
        self.retranslate()

    @property
    def running(self) -> bool:
        return self._session.is_running(STEP)

    def retranslate(self) -> None:
        self.start.setText(t("window.try.start"))
        self.stop.setText(t("window.try.stop"))
        self.wrong.setText(t("window.correct.wrong"))
        self.wrong.setToolTip(t("window.correct.wrong.tip"))
        self.correcting.retranslate()
        self.start.setAccessibleName(t("window.try"))
        self.redraw()
        if not self.running:
            self._clear()

    def redraw(self) -> None:
        workspace = self._session.workspace
        model = newest_bundle(workspace) if workspace is not None else None
        self.start.setEnabled(model is not None and not self.running and not self._session.is_running("export"))
        self.stop.setEnabled(self.running)
        known = workspace is not None and self._session.lab is not None
        # Without a login, which a stream's address may hold.
        shown = re.sub("//[^/@]*@", "//", self._session.camera) if known else ""
        self.camera.setText(t("window.try.camera", camera=shown) if known else "")
        receipt = workspace.done("export") if workspace is not None else None
        if not self.running:
            classes = [str(name) for name in receipt.facts["classes"]] if receipt is not None and model is not None else []
            self.bars.set_classes(classes, self._threshold)

    @property
    def _threshold(self) -> float:
        if self._session.lab is None:
            return 0.6
        nanos = self._session.config.nanos
        return nanos[0].threshold if nanos else 0.6

    def take(self, batch: Batch) -> None:
        """Predictions of the laptop itself; those of a Nano are another page's."""
        if self.running:
            self.correcting.hear(batch, laptop=True)
        event = batch.predictions.get("laptop")
        if event is not None and self.running and time.monotonic() - self._said_at > SAY_EVERY_S:
            self._said_at = time.monotonic()
            self._show(event)

    def _show(self, event: Prediction) -> None:
        self.bars.show_values(event.shares, event.class_name)
        if not self.correcting.frozen:
            self.seen.setText(live.seen(event))

    def _on_question(self) -> None:
        if self.correcting.frozen:
            self.seen.setText(self.correcting.said or "")
        elif not self.running:
            self._clear()

    def _on_trouble(self, error: AiNanoError) -> None:
        self._session.errors[STEP] = error
        self._changed()

    def _clear(self) -> None:
        self.bars.clear_values()
        if self.correcting.frozen:
            return
        self.seen.setText("")
        self.picture.show_words(t("window.try.no_picture" if self.start.isEnabled() else "window.try.blocked"))

    def _deliver(self) -> None:
        frame = self._mailbox.take()
        if frame is not None and self.running and not self.correcting.frozen:
            self.picture.show_bitmap(frame.bitmap)
            self.correcting.show_picture(frame.picture)

    def _on_start(self) -> None:
        lab, workspace = self._session.lab, self._session.workspace
        if lab is None or workspace is None:
            return
        camera = self._session.camera
        self._session.start(STEP, TryOptions(camera=camera, on_picture=live.frames_into(self._mailbox, lab.images),
                                             watching=self.correcting.begin(newest_bundle(workspace) or "", camera)))

    def stop_trying(self) -> None:
        """The page is left: the camera's lamp goes out."""
        self._session.cancel(STEP)

    def _on_started(self, step: str) -> None:
        if step == STEP:
            self.redraw()
            self.picture.show_words(t("window.try.starting"))

    def _on_ended(self, step: str, _outcome: object) -> None:
        if step == STEP:
            self.correcting.end()
            self.redraw()
            self._clear()
            self._changed()
