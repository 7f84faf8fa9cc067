"""The lesson of step 3: real trainings on takes of the stage's cards, split in both ways, and fresh takes as the judge."""

from PyQt5.QtWidgets import QFrame, QLabel, QPushButton

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled
from ai_nano.core.split.lesson import LessonOptions, LessonResult
from ai_nano.core.texts import t
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.figure_table import FigureTable
from ai_nano.gui.widgets.promise_bars import PromiseBars
from ai_nano.gui.widgets.task_bar import TaskBar

STEP = "lesson"


class LessonPage(Page):
    file = "lesson"
    start: QPushButton
    back: QPushButton
    outcome: QFrame
    bars: PromiseBars
    table: FigureTable
    result: QLabel
    sizes: QLabel
    task: TaskBar

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._lesson = window.opening.lesson
        self._cancel: CancelToken | None = None
        self._result: LessonResult | None = None
        self.task.detailed = False
        self.start.clicked.connect(self._on_start)
        self.task.cancelled.connect(self._on_cancel)
        self.back.clicked.connect(lambda: window.show_page("split"))
        self.redraw()

    def redraw(self) -> None:
        self.start.setEnabled(self._lesson is not None and self._cancel is None)
        self.outcome.setVisible(self._result is not None)
        if self._result is not None:
            self.bars.show_result(self._result)
            self.table.show_rows(["", t("lesson.promised"), t("lesson.real")], self._result.rows())
            self.result.setText(self._result.text)
            self.sizes.setText(self._result.sizes)

    def retranslate(self) -> None:
        super().retranslate()
        self.task.retranslate()

    def take(self, batch: Batch) -> None:
        if self._cancel is not None and STEP in batch.progress:
            self.task.show_progress(batch.progress[STEP])

    def closing(self) -> None:
        self._on_cancel()

    def _on_start(self) -> None:
        lesson = self._lesson
        if lesson is None or self._cancel is not None:
            return
        cancel = self._cancel = CancelToken()
        self.dismiss()
        self.task.show_begun(lambda: t("lesson.recording"))
        self.session.look(lambda: lesson(LessonOptions(), self.session.inbox.put, cancel), self._done, self._failed)
        self.redraw()

    def _on_cancel(self) -> None:
        if self._cancel is not None:
            self._cancel.cancel()

    def _done(self, result: LessonResult) -> None:
        self._result = result
        self._over()

    def _failed(self, error: AiNanoError) -> None:
        self._over()
        if not isinstance(error, Cancelled):
            self.show_problem(error)

    def _over(self) -> None:
        self.session.drain()
        self._cancel = None
        self.task.show_idle()
        self.redraw()
