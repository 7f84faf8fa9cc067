"""The strip below a step's page: where it stands, how far it is, how to end it, and what comes next."""

from collections.abc import Callable

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ai_nano.core.events import Progress
from ai_nano.core.figures import amount
from ai_nano.core.running import Status, StepStatus
from ai_nano.core.texts import known, t
from ai_nano.gui import style

SCALE = 1000


class TaskBar(QFrame):
    cancelled = pyqtSignal()
    next_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = QLabel()
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._detail = QLabel()
        self._detail.setProperty("role", "note")
        for label in (self._words, self._detail):
            label.setTextFormat(Qt.PlainText)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self.cancel = QPushButton()
        self.cancel.setProperty("role", "danger")
        self.cancel.clicked.connect(self._on_cancel)
        self.next = QPushButton()
        self.next.setProperty("role", "primary")
        self.next.clicked.connect(self.next_wanted)
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self._words, 1)
        top.addWidget(self._detail)
        middle = QVBoxLayout()
        middle.setSpacing(6)
        middle.addLayout(top)
        middle.addWidget(self._bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addLayout(middle, 1)
        row.addWidget(self.cancel)
        row.addWidget(self.next)
        self.setMinimumHeight(44)
        # Whether the progress is told in words too; not where the page shows them larger.
        self.detailed = True
        self._progress: Progress | None = None
        self._lost = False
        self._next_name = ""
        self._say: Callable[[], str] = str
        self._state = ""
        self.show_idle()

    def retranslate(self) -> None:
        self._words.setText(self._say())
        self._show_icon(self._state)
        self._name_buttons()

    def _show_icon(self, state: str) -> None:
        """The icon of a step's state; none for the empty one."""
        self._state = state
        if state:
            colour, _ = style.tokens().of(state)
            self._icon.setPixmap(style.pixmap(state, colour, 22, self.devicePixelRatioF()))
        else:
            self._icon.clear()

    def _name_buttons(self) -> None:
        self.cancel.setText(t("window.cancel"))
        if self._next_name:
            self.next.setText(t("window.next", step=self._next_name))

    def show_idle(self) -> None:
        """Nothing to say."""
        self._show_icon("")
        self._forget()
        for part in (self._bar, self.cancel, self.next):
            part.hide()
        self.say(str)
        self._name_buttons()

    def say(self, words: Callable[[], str]) -> None:
        """A function and no string: the language may change while it is read."""
        self._say = words
        self._words.setText(words())

    def show_status(self, status: StepStatus, next_name: str = "") -> None:
        """A step that does not run; `next_name` offers the way on."""
        self._show_icon(status.status.value)
        self.say(lambda: _status_words(status))
        self._forget()
        self._bar.hide()
        self.cancel.hide()
        self._next_name = next_name
        self.next.setVisible(bool(next_name) and status.status is Status.DONE)
        self._name_buttons()

    def show_begun(self, words: Callable[[], str], cancellable: bool = True) -> None:
        """A step that has begun and has not told yet how far it is."""
        self._show_icon("running")
        self.say(words)
        self._forget()
        self._show_bar()
        self._bar.show()
        self.next.hide()
        self.cancel.setEnabled(True)
        self.cancel.setVisible(cancellable)
        self._name_buttons()

    def show_progress(self, event: Progress) -> None:
        self._progress = event
        if event.what and known(event.what) and not self._lost:
            self.say(lambda: t(event.what))
        self._show_bar()

    def show_contact(self, there: bool, words: Callable[[], str]) -> None:
        """Whether the machine on which the step works can be reached. While it cannot, nothing moves, nor seems to."""
        self._lost = not there
        self._show_icon("running" if there else "lost")
        self.say(words)
        self._show_bar()

    def _forget(self) -> None:
        self._progress, self._lost = None, False
        self._detail.clear()

    def _show_bar(self) -> None:
        event = self._progress
        if event is not None and event.total:
            self._bar.setRange(0, SCALE)
            self._bar.setValue(round(SCALE * min(1.0, event.done / event.total)))
        else:
            self._bar.setRange(0, SCALE if self._lost else 0)  # a range of 0: it moves, to say that nobody knows
        if event is not None and self.detailed:
            known_end = bool(event.total)
            self._detail.setText(event.words(pace=not self._lost) if known_end else amount(event.done, event.unit))

    def _on_cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.say(lambda: t("window.cancelling"))
        self.cancelled.emit()


def _status_words(status: StepStatus) -> str:
    word = t(f"status.word.{status.status.value}")
    return t("window.status", word=f"{word[:1].upper()}{word[1:]}", why=status.event().why)
