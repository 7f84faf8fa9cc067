"""The rail: the eight steps, each with its number, name, state (icon, colour and word) and one line of fact."""

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QResizeEvent
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ai_nano.core import texts
from ai_nano.core.running import Status, StepStatus
from ai_nano.core.texts import t
from ai_nano.core.workflow import STEPS
from ai_nano.gui import style


class RailItem(QPushButton):
    def __init__(self, step: str, number: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.step = step
        self._number = number
        self.setCheckable(True)
        self.setCursor(Qt.PointingHandCursor)
        self._shown: object = None
        self._whole_fact = ""
        self._icon = QLabel()
        self._name = QLabel()
        self._name.setProperty("role", "name")
        self._word = QLabel()
        self._fact = QLabel()
        self._fact.setProperty("role", "fact")
        self._fact.setMinimumWidth(0)
        for label in (self._icon, self._name, self._word, self._fact):
            label.setAttribute(Qt.WA_TransparentForMouseEvents)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self._name, 1)
        top.addWidget(self._word)
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addLayout(top)
        words.addWidget(self._fact)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addLayout(words, 1)

    def sizeHint(self) -> QSize:
        return QSize(200, 52)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 50)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        """By hand: a QLabel would make the rail as wide as its longest fact."""
        room = max(60, self.width() - 58)
        self._fact.setText(self._fact.fontMetrics().elidedText(self._whole_fact, Qt.ElideRight, room))

    def show_status(self, status: StepStatus, fact: str) -> None:
        key = (status, fact, texts.current_language(), style.tokens().name)
        if key == self._shown:
            return
        self._shown = key
        colour, soft = style.tokens().of(status.status.value)
        # Who waits for his turn runs, but that is not what he sees.
        word = t("status.word.waiting" if status.code == "status.waiting" else f"status.word.{status.status.value}")
        name = t(f"window.step.{self.step}")
        self._icon.setPixmap(style.pixmap(status.status.value, colour, 20, self.devicePixelRatioF()))
        self._name.setText(f"{self._number}  {name}")
        self._word.setText(word)
        self._word.setStyleSheet(f"color: {colour}; background: {soft}; border-radius: 7px; padding: 0 6px; "
                                 f"font-size: {style.tokens().small_pt}pt;")
        self._whole_fact = fact
        self._elide()
        self.setToolTip(status.event().why)
        self.setAccessibleName(f"{self._number} {name}: {word}. {status.event().why}")
        style.set_role(self._name, "faded" if status.status is Status.BLOCKED else "name")


class Rail(QFrame):
    chosen = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        self._items: dict[str, RailItem] = {}
        for number, step in enumerate(STEPS, 1):
            item = RailItem(step, number, self)
            item.clicked.connect(lambda _checked, step=step: self.chosen.emit(step))
            rows.addWidget(item)
            self._items[step] = item

    def select(self, step: str | None) -> None:
        for name, item in self._items.items():
            item.setChecked(name == step)

    def show_status(self, step: str, status: StepStatus, fact: str) -> None:
        self._items[step].show_status(status, fact)
