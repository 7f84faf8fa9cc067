"""What is left to do when frames were put right or kept: the model learns them only when it is trained again."""

from collections import Counter
from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.running import Status
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.session import Session

# What has to be done anew, in order, before the model knows what it was told.
LEARNING = ("split", "upload", "train", "export", "deploy")


class Afterwards(QFrame):
    """A row: how many frames were put right, with a button to the step that comes next, and how many uncertain ones wait.
    What has nothing to say is hidden."""

    def __init__(self, session: Session, go: Callable[[str], object], on_sort: Callable[[], object]) -> None:
        super().__init__()
        self._session = session
        self._counts: Counter[str] = Counter()
        self._uncertain = 0
        self._gives_way = False
        self._workspace: object = None
        self._learned, self._next = QLabel(), QPushButton()
        self._waiting, self._sort = QLabel(), QPushButton()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for label, button in ((self._learned, self._next), (self._waiting, self._sort)):
            label.setTextFormat(Qt.PlainText)
            row.addWidget(label)
            row.addWidget(button)
        self._learned.setWordWrap(True)
        row.setStretch(0, 1)
        row.addStretch(0)
        style.set_role(self._next, "primary")
        self._next.clicked.connect(lambda: go(self.next_step or LEARNING[0]))
        self._sort.clicked.connect(on_sort)
        session.changed.connect(self.redraw)
        session.ended.connect(lambda _step, _outcome: self.look())
        self.redraw()

    @property
    def next_step(self) -> str | None:
        """The first step that has to be done anew; None when all is learned and on the Nano."""
        return next((step for step in LEARNING if self._session.status(step).status is not Status.DONE), None)

    def added(self, name: str) -> None:
        self._counts[name] += 1
        self.redraw()

    def show_uncertain(self, count: int) -> None:
        self._uncertain = count
        self.redraw()

    def forget_what_is_learned(self) -> None:
        if self.next_step is None:
            self._counts.clear()
        self.redraw()

    def give_way(self, so: bool) -> None:
        """A question stands in the same place."""
        self._gives_way = so
        self.redraw()

    def redraw(self) -> None:
        if self._session.workspace is not self._workspace:
            self._workspace, self._uncertain = self._session.workspace, 0
            self._counts.clear()
            self.look()
        step = self.next_step if self._counts else None
        if step is not None:
            counts = ", ".join(f"{name} {count}" for name, count in self._counts.items())
            self._learned.setText(t("window.correct.added", counts=counts))
            self._next.setText(t(f"window.correct.next.{step}"))
        self._waiting.setText(t("window.uncertain.waiting", count=self._uncertain))
        self._sort.setText(t("window.uncertain.sort"))
        for shown, widgets in ((step is not None, (self._learned, self._next)),
                               (self._uncertain > 0, (self._waiting, self._sort))):
            for widget in widgets:
                widget.setVisible(shown)
        self.setVisible((step is not None or self._uncertain > 0) and not self._gives_way)

    def look(self) -> None:
        """How many uncertain frames wait in this workspace, perhaps since other days."""
        workspace = self._session.workspace
        if workspace is not None:
            def found(count: int) -> None:
                if workspace is self._session.workspace:
                    self.show_uncertain(count)

            self._session.look(UncertainFrames(workspace).count, found)

    def retranslate(self) -> None:
        self.redraw()
