"""The recording's settings, in a small box beside the button that opens it; they hold for the project."""

from dataclasses import fields

from PyQt5.QtCore import QPoint, Qt, pyqtSignal
from PyQt5.QtGui import QHideEvent
from PyQt5.QtWidgets import QFormLayout, QFrame, QLabel, QSpinBox, QVBoxLayout, QWidget

from ai_nano.core.recording.settings import BOUNDS, RecordSettings
from ai_nano.core.texts import t
from ai_nano.gui import style

GAP = 6
STEPS = {"count": 10, "target": 50}


class RecordPopover(QFrame):
    """`changed`: the RecordSettings, when it closes and they are others than before."""

    changed = pyqtSignal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.Popup)
        style.set_role(self, "card")
        self._before = RecordSettings()
        self._spins: dict[str, QSpinBox] = {}
        self._labels: dict[str, QLabel] = {}
        form = QFormLayout()
        form.setHorizontalSpacing(14)
        form.setVerticalSpacing(8)
        for field in fields(RecordSettings):
            spin, label = QSpinBox(), QLabel()
            spin.setRange(*BOUNDS[field.name])
            spin.setSingleStep(STEPS.get(field.name, 1))
            label.setBuddy(spin)
            style.set_role(label, "field")
            form.addRow(label, spin)
            self._spins[field.name], self._labels[field.name] = spin, label
        self._title, self._note = QLabel(), QLabel()
        style.set_role(self._title, "heading")
        style.set_role(self._note, "note")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addWidget(self._title)
        column.addLayout(form)
        column.addWidget(self._note)
        self.retranslate()

    def retranslate(self) -> None:
        self._title.setText(t("window.record.settings"))
        self._note.setText(t("window.record.settings.note"))
        for name, label in self._labels.items():
            label.setText(t(f"window.record.settings.{name}"))
            self._spins[name].setAccessibleName(t(f"window.record.settings.{name}"))

    def open_at(self, button: QWidget, settings: RecordSettings) -> None:
        """Above the button, or below it where there is no room."""
        self._before = settings
        for name, value in settings.to_json().items():
            self._spins[name].setValue(value)
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(0, 0))
        above = corner.y() - self.height() - GAP
        screen = button.screen().availableGeometry()
        top = above if above >= screen.top() else corner.y() + button.height() + GAP
        left = min(corner.x(), screen.right() - self.width())
        self.move(left, top)
        self.show()
        self._spins["fps"].setFocus(Qt.PopupFocusReason)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        for spin in self._spins.values():
            spin.interpretText()
        now = RecordSettings(**{name: spin.value() for name, spin in self._spins.items()})
        if now != self._before:
            self._before = now
            self.changed.emit(now)
