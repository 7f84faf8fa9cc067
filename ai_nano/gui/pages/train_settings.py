"""The settings of a training, folded away: those that the chosen recipe has, each with its usual value."""

from typing import Protocol

from PyQt5.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QSpinBox

from ai_nano.core.recipes import ARCHITECTURES, NETWORKS, RECIPES, SETTINGS
from ai_nano.core.texts import t
from ai_nano.steps.train import TrainOptions


class Form(Protocol):
    """The page with the fields; each has a label and a note of the same name."""

    arch: QComboBox
    epochs: QSpinBox
    lr: QDoubleSpinBox
    batch: QSpinBox
    minutes: QDoubleSpinBox
    seed: QSpinBox


class TrainSettings:
    """0 in a field is the recipe's own value, which the field shows."""

    def __init__(self, form: object) -> None:
        self._form: Form = form  # type: ignore[assignment]
        self._recipe = ""
        for name, shown in NETWORKS.items():
            self._form.arch.addItem(shown, name)
        self.show_recipe("quick")

    def show_recipe(self, recipe: str) -> None:
        """Another recipe begins with its own network and its usual values."""
        if recipe == self._recipe:
            return
        self._recipe = recipe
        self._form.arch.setCurrentIndex(ARCHITECTURES.index(RECIPES[recipe].arch))
        for name in SETTINGS:
            self._field(name).setValue(0)
        self.retranslate()

    def retranslate(self) -> None:
        had = RECIPES[self._recipe].settings
        for name in SETTINGS:
            usual = had.get(name)
            words = t("window.train.own") if usual is None else t("window.train.usual", value=usual)
            self._field(name).setSpecialValueText(words)
            for part in (name, f"{name}Label", f"{name}Note"):
                self._part(part).setVisible(name in had)

    def options(self, recipe: str) -> TrainOptions:
        form, had = self._form, RECIPES[recipe].settings
        given = {name: self._field(name).value() or None for name in SETTINGS if name in had}
        epochs, batch = given.get("epochs"), given.get("batch")
        return TrainOptions(recipe, str(form.arch.currentData()), int(epochs) if epochs else None, form.seed.value(),
                            given.get("lr"), int(batch) if batch else None, given.get("minutes"))

    def _field(self, name: str) -> QSpinBox | QDoubleSpinBox:
        field = getattr(self._form, name)
        assert isinstance(field, (QSpinBox, QDoubleSpinBox))
        return field

    def _part(self, name: str) -> QSpinBox | QDoubleSpinBox | QLabel:
        part = getattr(self._form, name)
        assert isinstance(part, (QSpinBox, QDoubleSpinBox, QLabel))
        return part
