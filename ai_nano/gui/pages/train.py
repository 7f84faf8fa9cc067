"""Step 5: training on the server, with live curves, and what can be done with the best model so far."""

import importlib
from collections.abc import Callable
from typing import Any

from PyQt5.QtWidgets import QButtonGroup, QFrame, QLabel, QPushButton, QRadioButton, QToolButton, QWidget

from ai_nano.core import bundle
from ai_nano.core.events import Best, Metric
from ai_nano.core.figures import percent
from ai_nano.core.project import trained
from ai_nano.core.recipes import RECIPES, word
from ai_nano.core.report import Report, load
from ai_nano.core.texts import t
from ai_nano.core.workflow import STEPS
from ai_nano.gui import style
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.pages.train_settings import TrainSettings
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.curves import Curves
from ai_nano.gui.widgets.turn_strip import TurnStrip
from ai_nano.steps.train import STOP

OnReport = Callable[[str], None]


class TrainPage(StepPage):
    file = "train"
    step = "train"
    quick: QRadioButton
    fine: QRadioButton
    classic: QRadioButton
    more: QToolButton
    settings: QFrame
    filler: QWidget
    runs: QPushButton
    report: QPushButton
    stop: QPushButton
    start: QPushButton
    curves: Curves
    queue: TurnStrip
    best: QLabel
    goOn: QPushButton
    figures: QLabel

    def __init__(self, session: Session, go: Callable[[str], None], on_report: OnReport) -> None:
        """`on_report` shows a model's report."""
        super().__init__(session, go)
        self._pyqtgraph: Any = None
        self._last: Metric | None = None
        self._best: Best | None = None
        # The model whose curves are shown while nothing runs.
        self._drawn = ""
        self._stopping = False
        self._recipes = QButtonGroup(self)
        for name in RECIPES:
            self._recipes.addButton(getattr(self, name))
        self.quick.setChecked(True)
        self._settings = TrainSettings(self)
        self._recipes.buttonClicked.connect(lambda _button: self._settings.show_recipe(self.recipe))
        self.more.toggled.connect(lambda _open: self._show_fold())
        self.start.clicked.connect(self._on_start)
        self.stop.clicked.connect(self._on_stop)
        self.goOn.clicked.connect(lambda: self.go("export"))
        self.runs.clicked.connect(lambda: self.go("runs"))
        self.report.clicked.connect(lambda: on_report(self._model))
        self.curves.show_words(t("window.train.none"))
        self._show_fold()
        # The one part of Qt that pyqtgraph brings along, in this thread: while another thread adds it to sip's list of
        # them, a call here that looks through the list crashes (seen in one start of five).
        importlib.import_module("PyQt5.QtTest")
        session.look(lambda: importlib.import_module("pyqtgraph"), self._prepare)

    @property
    def recipe(self) -> str:
        """The one that is chosen."""
        return next(name for name in RECIPES if getattr(self, name).isChecked())

    def _prepare(self, pyqtgraph: Any) -> None:
        self._pyqtgraph = pyqtgraph
        self.curves.prepare(pyqtgraph)

    def retranslate(self) -> None:
        super().retranslate()
        self._settings.retranslate()
        self.queue.retranslate()
        self._show_fold()
        if self._pyqtgraph is not None:
            self.curves.restyle(self._pyqtgraph)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        super().redraw()
        running = self.active is not None
        self.show_start(self.start)
        for widget in (self.quick, self.fine, self.classic, self.settings):
            widget.setEnabled(not running)
        self.stop.setVisible(running)
        self.stop.setEnabled(running and self._best is not None and not self._stopping)
        self.start.setVisible(not running)
        self.report.setEnabled(self._has_report)
        self._show_best()
        self._show_figures()
        self._show_last_curves()

    def _show_last_curves(self) -> None:
        """Of the model that there is, from its report: a reopened project shows how it was trained."""
        workspace, model = self.session.workspace, self._model
        if self.active is not None or workspace is None or model == self._drawn or not self._has_report:
            return
        self._drawn = model

        def done(told: Report) -> None:
            if self.active is None and self._drawn == model:
                self.curves.clear()
                self.curves.add(told.history)

        self.session.look(lambda: load(workspace.model_folder(model)), done)

    @property
    def _model(self) -> str:
        workspace = self.session.workspace
        newest = trained.newest(workspace) if workspace is not None else None
        return newest.model if newest is not None else ""

    @property
    def _has_report(self) -> bool:
        workspace = self.session.workspace
        return bool(self._model) and workspace is not None and (
            workspace.model_folder(self._model) / bundle.REPORT_JSON).is_file()

    def _show_best(self) -> None:
        """While it trains, and of a training that did not end well: there is a model all the same."""
        workspace = self.session.workspace
        newest = trained.newest(workspace) if workspace is not None else None
        facts = newest.facts if newest is not None and newest.so_far else None
        if facts is None and self.active is not None and self._best is not None:
            facts = {"stage": self._best.stage, "val_accuracy": self._best.val_accuracy}
        self.best.setVisible(facts is not None)
        self.goOn.setVisible(facts is not None)
        if facts is not None:
            self.best.setText(t("window.train.best", stage=word(str(facts.get("stage") or "")),
                                val=percent(facts.get("val_accuracy"))))
            following = f"{STEPS.index('export') + 1} {t('window.step.export')}"
            self.goOn.setText(t("window.train.go_on", step=following))

    def _show_figures(self) -> None:
        workspace = self.session.workspace
        receipt = workspace.done("train") if workspace is not None else None
        words = ""
        if self._last is not None and self.active is not None:
            words = epoch_words(self._last)
        elif receipt is not None and self.active is None:
            facts = receipt.facts
            words = t("window.train.result", model=facts["model"], recipe=word(facts.get("recipe") or ""),
                      val=percent(facts.get("val_accuracy")), test=percent(facts.get("test_accuracy")),
                      seconds=round(facts.get("seconds") or 0, 1))
        self.figures.setText(words)
        self.figures.setVisible(bool(words))

    def _show_fold(self) -> None:
        """The settings have the curves' place: they are for before, the curves for while it trains."""
        opened = self.more.isChecked()
        self.settings.setVisible(opened)
        self.filler.setVisible(opened)
        self.curves.setVisible(not opened)
        self.more.setIcon(style.icon("down" if opened else "right", style.tokens().muted, 14))

    def reset(self) -> None:
        """A project that was begun in a room with a recipe of its own begins with that."""
        self._last = self._best = None
        self._drawn = ""
        self.curves.clear()
        wanted = self.session.workspace.settings.get("recipe") if self.session.workspace is not None else None
        if wanted in RECIPES:
            getattr(self, str(wanted)).setChecked(True)
            self._settings.show_recipe(self.recipe)

    # ---- what comes --------------------------------------------------------------------------------------------------

    def begun(self, step: str) -> None:
        super().begun(step)
        self._last = self._best = None
        self._stopping = False
        self.more.setChecked(False)
        self.queue.clear()
        self.curves.clear()

    def over(self, step: str, outcome: object) -> None:
        self._best = None
        self.queue.clear()
        # What was seen live stays.
        self._drawn = self._model
        self._stopping = False

    def take(self, batch: Batch) -> None:
        super().take(batch)
        if batch.queued is not None and self.session.is_running("train"):
            waited = self.queue.waiting
            self.queue.show_queue(batch.queued)
            if self.queue.waiting or waited:
                waits = self.queue.waiting
                self.task.say(lambda: t("window.train.waiting" if waits else "window.doing.train"))
        if self._stopping and self.session.is_running("train"):
            self.task.say(lambda: t("window.train.stopping"))
        if batch.metrics:
            self._last = batch.metrics[-1]
            self.curves.add(batch.metrics)
        if batch.best is not None:
            self._best = batch.best
        if batch.metrics or batch.best is not None:
            self.redraw()
        # It comes a moment after the best model, and the next figures of `fine` only after its copies are made.
        self.report.setEnabled(self._has_report)

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        self.begin("train", self._settings.options(self.recipe))

    def _on_stop(self) -> None:
        self._stopping = True
        self.session.send("train", STOP)
        self.task.say(lambda: t("window.train.stopping"))
        self.redraw()


def epoch_words(metric: Metric) -> str:
    """For example `fine: Epoch 3 of 30: 93.0 % right on train, 90.0 % on val  ·  312 images/s`."""
    words = t("window.train.now", epoch=metric.epoch, epochs=metric.epochs, train=percent(metric.train_accuracy),
              val=percent(metric.val_accuracy))
    if metric.stage:
        words = t("window.train.stage", stage=word(metric.stage), words=words)
    speed = [] if metric.images_per_s is None else [t("window.train.speed", rate=round(metric.images_per_s))]
    rate = [] if metric.lr is None else [t("window.train.rate", lr=f"{metric.lr:.2g}")]
    return "  ·  ".join([words, *rate, *speed])
