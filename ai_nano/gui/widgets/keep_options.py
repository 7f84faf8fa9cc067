"""Whether frames of which the model is not sure are kept by themselves: below which confidence, and how many."""

from PyQt5.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSpinBox, QWidget

from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.steps.keeping import MOST

BELOW_PERCENT = 60
MOST_OF_ALL = 200


class KeepOptions(QWidget):
    """Heard when a session starts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keep, self._below, self._label, self._most = QCheckBox(), QSpinBox(), QLabel(), QSpinBox()
        self._below.setRange(1, 100)
        self._below.setValue(BELOW_PERCENT)
        self._below.setSuffix(" %")
        self._most.setRange(1, MOST_OF_ALL)
        self._most.setValue(MOST)
        self._label.setBuddy(self._most)
        style.set_role(self._label, "field")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for widget in (self._keep, self._below, self._label, self._most):
            row.addWidget(widget)
        row.addStretch(1)
        self._keep.toggled.connect(lambda _on: self._enable())
        self.retranslate()
        self._enable()

    @property
    def below(self) -> float | None:
        """The confidence, 0 to 1; None where nothing is to be kept."""
        return self._below.value() / 100 if self._keep.isChecked() and self.isEnabled() else None

    @property
    def most(self) -> int:
        return self._most.value()

    def retranslate(self) -> None:
        self._keep.setText(t("window.uncertain.keep"))
        self._keep.setToolTip(t("window.uncertain.keep.tip"))
        self._below.setAccessibleName(t("window.uncertain.keep"))
        self._label.setText(t("window.uncertain.most"))

    def _enable(self) -> None:
        for widget in (self._below, self._label, self._most):
            widget.setEnabled(self._keep.isChecked())
