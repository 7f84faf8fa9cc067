"""Step 8: inference on the Nano, live: the frames, a bar for each class, the LEDs, how fast it is and how the board is."""

import functools
import time
from collections.abc import Callable, Sequence

from PyQt5.QtCore import QTimer
from PyQt5.QtGui import QResizeEvent
from PyQt5.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
)

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Health, Log, Prediction
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.nano import deciding
from ai_nano.core.pace import Pace
from ai_nano.core.room.turns import Turn
from ai_nano.core.texts import t
from ai_nano.gui import live, style
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.pages.nano_choice import Models, NanoChoice
from ai_nano.gui.pages.nano_test_panel import STEP as TEST
from ai_nano.gui.pages.nano_test_panel import NanoTestPanel
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.class_bars import ClassBars
from ai_nano.gui.widgets.correcting import Correcting
from ai_nano.gui.widgets.keep_options import KeepOptions
from ai_nano.gui.widgets.led_board import LedBoard
from ai_nano.gui.widgets.turn_strip import TurnStrip
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.infer import InferOptions

# Nothing heard for so long: what was shown is no longer what the pins do.
SILENT_MS = 1500
# A Nano that names other classes with each frame must not keep the window busy with rows.
RENAMED_AGAIN_S = 2.0
# How long it is said that the camera is back.
SAID_MS = 6000
# Figures that a person reads while they change.
FIGURES_EVERY_S = 0.5
MOST_SHOWN = 100
# In pixels: 1024x700 is the smallest that is looked at.
SMALL_WINDOW = 760


class InferPage(StepPage):
    file = "infer"
    step = "infer"
    steps = ("infer", TEST)
    nano: QComboBox
    model: QComboBox
    showModels: QPushButton
    allNanos: QPushButton
    threshold: QSpinBox
    more: QToolButton
    test: QPushButton
    hysteresisLabel: QLabel
    hysteresis: QSpinBox
    smoothingLabel: QLabel
    smoothing: QDoubleSpinBox
    keeping: KeepOptions
    start: QPushButton
    stop: QPushButton
    layout5: QHBoxLayout
    pictureCard: QFrame
    answerCard: QFrame
    picture: VideoView
    seen: QLabel
    wrong: QPushButton
    barsTitle: QLabel
    answerArea: QScrollArea
    figures: QLabel
    stages: QLabel
    health: QLabel
    bars: ClassBars
    layout1: QVBoxLayout
    leds: LedBoard
    turns: TurnStrip

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._mailbox: Mailbox[live.LiveFrame] = Mailbox(lambda: session.bridge.post(self._deliver))
        self._pace = Pace()
        self._figures_at = 0.0
        self._health: Health | None = None
        self._named_at = 0.0
        self.start.clicked.connect(self._on_start)
        self.stop.clicked.connect(lambda: session.cancel("infer"))
        self.showModels.clicked.connect(self._on_show_models)
        self.allNanos.clicked.connect(lambda: go("bench"))
        self.choice = NanoChoice(session, self.nano, self.model, self._nano_changed)
        self.threshold.valueChanged.connect(self._on_threshold)
        self.hysteresis.valueChanged.connect(lambda value: self._set(hysteresis=value / 100))
        self.smoothing.valueChanged.connect(lambda value: self._set(smoothing_s=round(value, 2)))
        self.more.toggled.connect(lambda _open: self._show_settings())
        self.turns.end_wanted.connect(self._on_end_own)
        self.turns.shown.connect(lambda _shown: self._show_lead())
        self.picture.keep_shape()
        self.correcting = Correcting(session, go, self.wrong, self.picture, (self.barsTitle, self.figures, self.answerArea))
        self.answerCard.layout().addWidget(self.correcting)
        self.layout1.insertWidget(self.layout1.indexOf(self.health), self.correcting.afterwards)
        self.correcting.changed.connect(self._on_question)
        self.correcting.trouble.connect(self._on_trouble)
        self._silence = QTimer(self)
        self._silence.setSingleShot(True)
        self._silence.setInterval(SILENT_MS)
        self._silence.timeout.connect(self._on_silence)
        self._silent = False
        self._lost: Log | None = None
        self._back: Log | None = None
        self._said = QTimer(self)
        self._said.setSingleShot(True)
        self._said.setInterval(SAID_MS)
        self._said.timeout.connect(self._say_doing)
        self.testing = NanoTestPanel(session, lambda: (self.choice.nano, self.choice.model), self.begin)
        self.layout5.addWidget(self.testing, 1)
        self.test.clicked.connect(lambda: self._show_testing(True))
        self.testing.closed.connect(lambda: self._show_testing(False))
        self._show_settings()
        self._clear()

    # ---- what can be run ---------------------------------------------------------------------------------------------

    def propose(self, nano: str, model: str, there: Models = ()) -> None:
        """A model that is on a Nano, chosen elsewhere."""
        self.choice.propose(nano, model, there)
        self.redraw()

    def choose_nano(self, nano: str) -> None:
        """Chosen elsewhere; which of its models is then a question to it."""
        self.nano.setCurrentText(nano)
        self._on_show_models()

    def _nano_changed(self) -> None:
        if self.session.lab is not None and self.choice.nano:
            nano = self.session.config.nano(self.choice.nano)
            usual = deciding.usual(nano.camera)
            self.threshold.setValue(round(100 * nano.threshold))
            self.hysteresis.setValue(round(100 * usual.hysteresis))
            self.smoothing.setValue(usual.smoothing_s)
        self.redraw()

    def _on_show_models(self) -> None:
        name = self.choice.nano
        if not name:
            return
        self.dismiss()
        self.showModels.setEnabled(False)
        self.task.say(lambda: t("window.models.asking", machine=name))

        def done(some: bool) -> None:
            self.redraw()
            if not some:
                self.task.say(lambda: t("models.none", machine=name))

        self.choice.ask(done, self._on_trouble)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        super().redraw()
        if self.session.lab is None:
            return
        running = self.active is not None
        self.choice.list_nanos()
        if not running:
            self.choice.propose_deployed()
        self.start.setEnabled(not running and self.choice.made)
        self.stop.setEnabled(self.session.is_running("infer"))
        self._show_lead()
        for widget in (self.nano, self.model):
            widget.setEnabled(not running)
        self.showModels.setEnabled(not running and bool(self.choice.nano))
        self.keeping.setEnabled(not running and self.session.workspace is not None)
        if not running:
            self._show_classes(self.choice.classes)
        self.testing.redraw()

    def _show_classes(self, names: Sequence[str]) -> None:
        if self.choice.nano:
            pins = self.session.config.nano(self.choice.nano).pins
            self.bars.set_classes(names, self.threshold.value() / 100)
            self.leds.set_classes(names, pins)

    def retranslate(self) -> None:
        super().retranslate()
        self.testing.retranslate()
        self.correcting.retranslate()
        self.keeping.retranslate()
        self._show_settings()
        self.turns.retranslate()
        self._show_health(self._health)
        self._show_classes(self.bars.classes)
        if self.active is None:
            self._clear()

    def take(self, batch: Batch) -> None:
        super().take(batch)
        for (step, _), turn in batch.turns.items():
            if step in self.steps and self.session.is_running(step):
                self._show_turn(step, turn)
        if not self.session.is_running("infer"):
            return
        self.correcting.hear(batch, laptop=False)
        for line in batch.lines:
            if isinstance(line.event, Log) and line.event.code == "infer.camera_lost":
                self._lost = line.event
                self._on_silence()
            elif isinstance(line.event, Log) and line.event.code == "infer.camera_back":
                self._lost, self._back = None, line.event
            elif isinstance(line.event, Log) and line.event.code == "infer.turn_over":
                self.turns.show_over(functools.partial(getattr, line.event, "text"))
        # Not those of "try it here", which may look through the laptop's camera meanwhile.
        for health in [event for name, event in batch.health.items() if name != "laptop"]:
            self._show_health(health)
        told = [event for name, event in batch.predictions.items() if name != "laptop"]
        if not told or self._lost is not None:  # of a lost camera they came before
            return
        self._silence.start()
        if self._silent:
            self._on_heard_again()
        for timing in batch.timings:
            if timing.machine != "laptop":
                self._pace.add(timing.at, timing.ms)
        self._show_figures()
        self._show_prediction(told[0])

    def _show_turn(self, step: str, turn: Turn) -> None:
        waited = self.turns.waiting
        self.turns.show_turn(turn)
        if self.turns.waiting or waited:
            waits = self.turns.waiting
            if step == "infer":
                self.picture.show_words(t("window.turn.picture" if waits else "window.infer.starting"))
            self.task.say(lambda: t("window.turn.waiting" if waits else f"window.doing.{step}"))

    def _on_end_own(self, run: str) -> None:
        """A window of the same student that was forgotten; the turn then comes by itself."""
        self.session.end_run({"machine": self.choice.nano, "id": run}, lambda _ended: None, self.show_problem)

    def _show_prediction(self, event: Prediction) -> None:
        new = not set(event.probabilities) <= set(self.bars.classes)
        if new and time.monotonic() - self._named_at > RENAMED_AGAIN_S:
            self._named_at = time.monotonic()
            self._show_classes(list(event.probabilities)[:MOST_SHOWN])
        self.bars.show_values(event.shares, event.class_name)
        self.leds.show_lit(event.lit)
        if not self.correcting.frozen:
            self.seen.setText(live.seen(event))

    def _on_question(self) -> None:
        """Picture and words below it stand still for as long as it is asked what they really show."""
        if self.correcting.frozen:
            self.seen.setText(self.correcting.said or "")
        elif self.active is None:
            self._clear()
        elif self._silent:
            self.picture.show_words(t("window.infer.silent" if self._lost is None else "window.infer.lost"))

    def _on_trouble(self, error: AiNanoError) -> None:
        self.session.errors["infer"] = error
        self.redraw()

    def _on_silence(self) -> None:
        """The LEDs are dark when the camera is lost or the laptop is not heard; the page must not say otherwise."""
        if self.session.is_running("infer"):
            self._silence.stop()
            lost = self._lost
            self._silent, self._back = True, None
            self._pace.clear()
            self.correcting.end()
            self._clear()
            if not self.correcting.frozen:
                self.picture.show_words(t("window.infer.silent" if lost is None else "window.infer.lost"))
            self.task.say(lambda: t("window.infer.silent") if lost is None else lost.text)

    def _on_heard_again(self) -> None:
        """A camera that was found again is said for a while: the eyes were on its cable."""
        self._silent = False
        back, self._back = self._back, None
        if back is None:
            self._say_doing()
        else:
            self.task.say(lambda: back.text)
            self._said.start()

    def _say_doing(self) -> None:
        if self.session.is_running("infer") and not self._silent:
            self.task.say(lambda: t("window.doing.infer"))

    def _show_figures(self) -> None:
        now = time.monotonic()
        if now - self._figures_at < FIGURES_EVERY_S:
            return
        self._figures_at = now
        rate, stages = self._pace.rate(now), self._pace.stages(now)
        if rate is not None:
            self.figures.setText(t("window.infer.rate", rate=f"{rate:.0f}"))
        words = "  ·  ".join(f"{t('window.infer.stage.' + stage)} {ms:.1f}" for stage, ms in stages.items())
        self.stages.setText(t("window.infer.stages", stages=words) if words else "")

    def _show_health(self, event: Health | None) -> None:
        self._health = event
        self.health.setText(event.text if event is not None else "")
        style.set_role(self.health, "worry" if event is not None and event.worrying else "note")

    def _show_settings(self) -> None:
        for field in (self.smoothing, self.hysteresis):
            field.setSpecialValueText(t("window.infer.off"))
        opened = self.more.isChecked()
        for widget in (self.hysteresisLabel, self.hysteresis, self.smoothingLabel, self.smoothing, self.keeping):
            widget.setVisible(opened)
        self.more.setIcon(style.icon("down" if opened else "right", style.tokens().muted, 14))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_lead()

    def _show_lead(self) -> None:
        """A small window has no room for it beside the queue, nor beside the virtual LEDs."""
        small = self.window().height() < SMALL_WINDOW
        self.lead.setVisible(self.turns.isHidden() and not (small and self.session.is_running("infer")))

    def _show_testing(self, shown: bool) -> None:
        """In place of the picture and the bars."""
        for card in (self.pictureCard, self.answerCard):
            card.setVisible(not shown)
        self.testing.setVisible(shown)
        self.testing.redraw()

    def _clear(self) -> None:
        if not self.correcting.frozen:
            self.picture.show_words(t("window.infer.no_picture"))
            self.seen.setText("")
        self.figures.setText("")
        self.stages.setText("")
        self.bars.clear_values()
        self.leds.show_lit(())

    def _deliver(self) -> None:
        frame = self._mailbox.take()
        if frame is not None and self.session.is_running("infer") and not self._silent and not self.correcting.frozen:
            self.picture.show_bitmap(frame.bitmap)
            self.correcting.show_picture(frame.picture)

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        lab = self.session.lab
        if lab is None:
            return
        model, nano = self.choice.model, self.choice.nano
        self.begin("infer", InferOptions(model=model, nano=nano, threshold=self.threshold.value() / 100,
                                         hysteresis=self.hysteresis.value() / 100, smoothing=round(self.smoothing.value(), 2),
                                         on_picture=live.frames_into(self._mailbox, lab.images),
                                         watching=self.correcting.begin(model, f"nano://{nano}"),
                                         keep_uncertain=self.keeping.below, keep_most=self.keeping.most))

    def _on_threshold(self, value: int) -> None:
        self.bars.set_threshold(value / 100)
        self._set(threshold=value / 100)

    def _set(self, **settings: float) -> None:
        """Heard by the program on the Nano between two frames; nothing where none runs."""
        self.session.send("infer", {"type": "set", **settings})

    def begun(self, step: str) -> None:
        if step == TEST:
            self.turns.clear()
            super().begun(step)
            return
        self._show_testing(False)
        self.task.show_begun(lambda: t("window.doing.infer"), cancellable=False)
        self._silent, self._named_at, self._figures_at, self._lost, self._back = False, 0.0, 0.0, None, None
        self._pace.clear()
        self._clear()
        self.turns.clear()
        self._show_health(None)
        self.picture.show_words(t("window.infer.starting"))

    def over(self, step: str, outcome: object) -> None:
        self.turns.end()
        if step == TEST:
            return
        self._silence.stop()
        self._said.stop()
        self.correcting.end()
        self._clear()
        self._show_health(None)

    def reset(self) -> None:
        self.choice.forget()
