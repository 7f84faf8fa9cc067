"""Step 8: inference on the Nano, live: the frames, a bar for each class, the LEDs, the results in the log."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QComboBox, QLabel, QPushButton, QSpinBox

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Log, Prediction
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap
from ai_nano.core.texts import t
from ai_nano.gui import live
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.class_bars import ClassBars
from ai_nano.gui.widgets.led_board import LedBoard
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.infer import InferOptions

RATE_OVER_S = 2.0
# Nothing heard for so long: what was shown is no longer what the pins do.
SILENT_MS = 1500
# A Nano that names other classes with each frame must not keep the window busy with rows.
RENAMED_AGAIN_S = 2.0
MOST_SHOWN = 100


class InferPage(StepPage):
    file = "infer"
    step = "infer"
    nano: QComboBox
    model: QComboBox
    showModels: QPushButton
    threshold: QSpinBox
    start: QPushButton
    stop: QPushButton
    picture: VideoView
    seen: QLabel
    figures: QLabel
    bars: ClassBars
    leds: LedBoard

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._mailbox: Mailbox[Bitmap] = Mailbox(lambda: session.bridge.post(self._deliver))
        self._there: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._counted: list[tuple[float, int]] = []
        self._named_at = 0.0
        self._proposed: object = None
        self.start.clicked.connect(self._on_start)
        self.stop.clicked.connect(lambda: session.cancel("infer"))
        self.showModels.clicked.connect(self._on_show_models)
        self.nano.currentIndexChanged.connect(lambda _index: self._nano_changed())
        self.threshold.valueChanged.connect(self._on_threshold)
        self.picture.keep_shape()
        self._silence = QTimer(self)
        self._silence.setSingleShot(True)
        self._silence.setInterval(SILENT_MS)
        self._silence.timeout.connect(lambda: self._on_silence())
        self._silent = False
        self._clear()

    # ---- what can be run ---------------------------------------------------------------------------------------------

    def propose(self, nano: str, model: str, there: Sequence[Mapping[str, Any]] = ()) -> None:
        """A model that is on a Nano, chosen elsewhere."""
        self._list_nanos()
        self.nano.setCurrentText(nano)
        if there:
            self._there[nano] = there
        self._list_models(model)
        self.redraw()

    def _list_nanos(self) -> None:
        names = [nano.name for nano in self.session.config.filled_nanos]
        if names != [self.nano.itemText(index) for index in range(self.nano.count())]:
            self._there, self._proposed = {}, None
            self.nano.clear()
            self.nano.addItems(names)

    def _propose_deployed(self) -> None:
        """The model that this workspace has pushed, on the Nano to which it was pushed; proposed once."""
        workspace = self.session.workspace
        receipt = workspace.done("deploy") if workspace is not None else None
        if receipt is None or self.active is not None or not receipt.facts["nanos"]:
            return
        key = (workspace, receipt.at)
        if key != self._proposed:
            self._proposed = key
            self.nano.setCurrentText(str(receipt.facts["nanos"][0]))
            self._there.pop(self.nano.currentText(), None)
            self._list_models(str(receipt.facts["model"]))

    def _list_models(self, chosen: str = "") -> None:
        chosen = chosen or self.model.currentText()
        names = [str(one["model"]) for one in self._there.get(self.nano.currentText(), ())]
        if chosen and chosen not in names:
            names.insert(0, chosen)
        self.model.clear()
        self.model.addItems(names)
        self.model.setCurrentText(chosen)

    def _nano_changed(self) -> None:
        if self.session.lab is not None and self.nano.currentText():
            self.threshold.setValue(round(100 * self.session.config.nano(self.nano.currentText()).threshold))
        self.model.clear()
        self._list_models()
        self.redraw()

    def _on_show_models(self) -> None:
        name = self.nano.currentText()
        if not name:
            return
        self.dismiss()
        self.showModels.setEnabled(False)
        self.task.say(lambda: t("window.models.asking", machine=name))

        def done(models: Sequence[Mapping[str, Any]]) -> None:
            self._there[name] = models
            self._list_models()
            self.redraw()
            if not models:
                self.task.say(lambda: t("models.none", machine=name))

        def failed(error: AiNanoError) -> None:
            self.session.errors["infer"] = error
            self.redraw()

        self.session.models_on(name, done, failed)

    @property
    def _classes(self) -> list[str]:
        """Of the chosen model, as far as they are known before it runs."""
        model, workspace = self.model.currentText(), self.session.workspace
        for one in self._there.get(self.nano.currentText(), ()):
            if one["model"] == model and one.get("classes"):
                return [str(name) for name in one["classes"]]
        receipt = workspace.done("export") if workspace is not None else None
        if receipt is not None and receipt.facts["model"] == model:
            return [str(name) for name in receipt.facts["classes"]]
        return []

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        super().redraw()
        if self.session.lab is None:
            return
        self._list_nanos()
        self._propose_deployed()
        running = self.active is not None
        ready = bool(self.model.currentText()) and bool(self.nano.currentText())
        self.start.setEnabled(not running and ready)
        self.stop.setEnabled(running)
        for widget in (self.nano, self.model):
            widget.setEnabled(not running)
        self.showModels.setEnabled(not running and bool(self.nano.currentText()))
        if not running:
            self._show_classes(self._classes)

    def _show_classes(self, names: Sequence[str]) -> None:
        if self.nano.currentText():
            pins = self.session.config.nano(self.nano.currentText()).pins
            self.bars.set_classes(names, self.threshold.value() / 100)
            self.leds.set_classes(names, pins)

    def retranslate(self) -> None:
        super().retranslate()
        self._show_classes(self.bars.classes)
        if self.active is None:
            self._clear()

    def take(self, batch: Batch) -> None:
        super().take(batch)
        if not self.session.is_running("infer"):
            return
        for line in batch.lines:
            if isinstance(line.event, Log) and line.event.code == "infer.camera_lost":
                self._on_silence(line.event)
        # Not those of "try it here", which may look through the laptop's camera meanwhile.
        told = [event for name, event in batch.predictions.items() if name != "laptop"]
        if not told:
            return
        self._silence.start()
        if self._silent:
            self._silent = False
            self.task.say(lambda: t("window.doing.infer"))
        self._count(batch.prediction_count)
        self._show_prediction(told[0])

    def _show_prediction(self, event: Prediction) -> None:
        new = not set(event.probabilities) <= set(self.bars.classes)
        if new and time.monotonic() - self._named_at > RENAMED_AGAIN_S:
            self._named_at = time.monotonic()
            self._show_classes(list(event.probabilities)[:MOST_SHOWN])
        self.bars.show_values(event.probabilities, event.class_name)
        self.leds.show_lit(event.lit)
        self.seen.setText(live.seen(event))

    def _on_silence(self, why: Log | None = None) -> None:
        """The LEDs are dark when the camera is lost or the laptop is not heard; the page must not say otherwise."""
        if self.session.is_running("infer"):
            self._silent = True
            self._clear()
            self.picture.show_words(t("window.infer.silent"))
            self.task.say(lambda: why.text if why is not None else t("window.infer.silent"))

    def _count(self, frames: int) -> None:
        now = time.monotonic()
        self._counted = [(at, count) for at, count in self._counted if now - at < RATE_OVER_S] + [(now, frames)]
        span = now - self._counted[0][0]
        if span > RATE_OVER_S / 2:
            rate = sum(count for _, count in self._counted[1:]) / span
            self.figures.setText(t("window.infer.rate", rate=f"{rate:.0f}"))

    def _clear(self) -> None:
        self.picture.show_words(t("window.infer.no_picture"))
        self.seen.setText("")
        self.figures.setText("")
        self.bars.clear_values()
        self.leds.show_lit(())

    def _deliver(self) -> None:
        bitmap = self._mailbox.take()
        if bitmap is not None and self.session.is_running("infer") and not self._silent:
            self.picture.show_bitmap(bitmap)

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        lab = self.session.lab
        if lab is None:
            return
        self.begin("infer", InferOptions(model=self.model.currentText(), nano=self.nano.currentText(),
                                         threshold=self.threshold.value() / 100,
                                         on_picture=live.into(self._mailbox, lab.images)))

    def _on_threshold(self, value: int) -> None:
        self.bars.set_threshold(value / 100)
        self.session.send("infer", {"type": "set", "threshold": value / 100})

    def begun(self, step: str) -> None:
        self.task.show_begun(lambda: t("window.doing.infer"), cancellable=False)
        self._counted, self._silent, self._named_at = [], False, 0.0
        self._clear()
        self.picture.show_words(t("window.infer.starting"))

    def over(self, step: str, outcome: object) -> None:
        self._silence.stop()
        self._clear()

    def reset(self) -> None:
        self._there, self._proposed = {}, None
        self.model.clear()
