"""Step 5: training on the server, with live curves."""

import importlib
from collections.abc import Callable
from typing import Any

from PyQt5.QtWidgets import QComboBox, QLabel, QPushButton, QSpinBox

from ai_nano.core.events import Metric
from ai_nano.core.figures import percent
from ai_nano.core.texts import t
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.curves import Curves
from ai_nano.steps.train import RECIPES, TrainOptions


class TrainPage(StepPage):
    file = "train"
    step = "train"
    recipe: QComboBox
    recipeNote: QLabel
    seed: QSpinBox
    start: QPushButton
    curves: Curves
    figures: QLabel

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._pyqtgraph: Any = None
        self._last: Metric | None = None
        for name in RECIPES:
            self.recipe.addItem(name)
        self.recipe.currentIndexChanged.connect(lambda _index: self.redraw())
        self.start.clicked.connect(self._on_start)
        self.curves.show_words(t("window.train.none"))
        session.look(lambda: importlib.import_module("pyqtgraph"), self._prepare)

    def _prepare(self, pyqtgraph: Any) -> None:
        self._pyqtgraph = pyqtgraph
        self.curves.prepare(pyqtgraph)

    def retranslate(self) -> None:
        super().retranslate()
        if self._pyqtgraph is not None:
            self.curves.restyle(self._pyqtgraph)

    def redraw(self) -> None:
        super().redraw()
        self.show_start(self.start)
        self.recipeNote.setText(t(f"window.recipe.{self.recipe.currentText()}"))
        workspace = self.session.workspace
        receipt = workspace.done("train") if workspace is not None else None
        if self._last is not None and self.active is not None:
            metric = self._last
            self.figures.setText(t("window.train.now", epoch=metric.epoch, epochs=metric.epochs,
                                   train=percent(metric.train_accuracy), val=percent(metric.val_accuracy)))
        elif receipt is not None and self.active is None:
            facts = receipt.facts
            self.figures.setText(t("window.train.result", model=facts["model"], val=percent(facts.get("val_accuracy")),
                                   test=percent(facts.get("test_accuracy")), seconds=round(facts.get("seconds") or 0, 1)))
        else:
            self.figures.setText("")

    def reset(self) -> None:
        self._last = None
        self.curves.clear()

    def begun(self, step: str) -> None:
        super().begun(step)
        self._last = None
        self.curves.clear()

    def take(self, batch: Batch) -> None:
        super().take(batch)
        if batch.metrics:
            self._last = batch.metrics[-1]
            self.curves.add(batch.metrics)
            self.redraw()

    def _on_start(self) -> None:
        self.begin("train", TrainOptions(recipe=self.recipe.currentText(), seed=self.seed.value()))
