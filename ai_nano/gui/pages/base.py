"""What all pages have in common: their file, their texts, and, for a step, its status, progress and errors."""

from collections.abc import Callable
from typing import Any

from PyQt5.QtWidgets import QLabel, QPushButton, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.running import Status, StepStatus
from ai_nano.core.texts import t
from ai_nano.core.workflow import STEPS
from ai_nano.gui import style, ui_files
from ai_nano.gui.inbox import Batch
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.error_box import ErrorBox
from ai_nano.gui.widgets.task_bar import TaskBar


class Page(QWidget):
    """`file` names the .ui file; its widgets become attributes. A subclass fills in what changes in `redraw`."""

    file = ""
    title: QLabel
    lead: QLabel
    problem: ErrorBox

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        ui_files.load(self.file, self)
        self.problem.dismissed.connect(self.dismiss)

    def retranslate(self) -> None:
        """Language or theme changed."""
        ui_files.retranslate(self.file, self)
        self.problem.retranslate()
        self.redraw()

    def redraw(self) -> None:
        """Show what the session knows now."""

    def entered(self) -> None:
        """The page is shown."""
        self.redraw()

    def left(self) -> None:
        """Another page is shown."""

    def closing(self) -> None:
        """The window is about to close, whatever page it shows."""

    def take(self, batch: Batch) -> None:
        """Events came, to whatever page is shown."""

    def show_problem(self, error: AiNanoError) -> None:
        self.problem.show_error(error)

    def dismiss(self) -> None:
        self.problem.show_error(None)


class StepPage(Page):
    """A page of one of the eight steps. `steps`: those whose progress and errors it shows, its own first."""

    step = ""
    steps: tuple[str, ...] = ()
    task: TaskBar

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session)
        self.go = go
        self.steps = self.steps or (self.step,)
        self.task.cancelled.connect(self._on_cancel)
        self.task.next_wanted.connect(lambda: self.go(self.following))
        session.started.connect(self._on_started)
        session.ended.connect(self._on_ended)
        session.changed.connect(self._on_changed)
        self._step_lost = False
        self._workspace: object = None

    @property
    def following(self) -> str:
        """The step after this one; of the last, itself."""
        return STEPS[min(STEPS.index(self.step) + 1, len(STEPS) - 1)]

    @property
    def active(self) -> str | None:
        """Which of the page's steps runs in this program."""
        return next((step for step in self.steps if self.session.is_running(step)), None)

    @property
    def may_start(self) -> bool:
        status = self.session.status(self.step).status
        return self.active is None and status not in (Status.BLOCKED, Status.RUNNING)

    def begin(self, step: str, options: Any) -> None:
        for one in self.steps:
            self.session.errors.pop(one, None)
        self.session.start(step, options)

    def show_start(self, button: QPushButton) -> None:
        """The page's own button: pushed only when the step may start, and the loudest until the step is done."""
        button.setEnabled(self.may_start)
        style.set_role(button, "" if self.session.status(self.step).status is Status.DONE else "primary")

    def reset(self) -> None:
        """Another workspace: what was shown of the last one is forgotten."""

    def redraw(self) -> None:
        if self.session.workspace is not self._workspace:
            self._workspace = self.session.workspace
            self.reset()
        if self.active is None:
            following = f"{STEPS.index(self.following) + 1} {t('window.step.' + self.following)}"
            self.task.show_status(self.session.status(self.step), following if self.following != self.step else "")
        else:
            self._show_contact(self.session.status(self.active))
        self.problem.show_error(next((self.session.errors[step] for step in self.steps if step in self.session.errors), None))

    def _show_contact(self, status: StepStatus) -> None:
        """While the step's machine is out of reach, in the step's own words: that it goes on there, or waits, or is to end."""
        lost = status.status is Status.LOST
        if lost:
            self.task.show_contact(False, lambda: sentence(status.event().why))
        elif self._step_lost:
            ending = self.task.cancel.isVisible() and not self.task.cancel.isEnabled()
            self.task.show_contact(True, lambda: t("window.cancelling" if ending else f"window.doing.{status.step}"))
        self._step_lost = lost

    def take(self, batch: Batch) -> None:
        for step in self.steps:
            if step in batch.progress and self.session.is_running(step):
                self.task.show_progress(batch.progress[step])

    def dismiss(self) -> None:
        for step in self.steps:
            self.session.errors.pop(step, None)
        self.redraw()

    def retranslate(self) -> None:
        super().retranslate()
        self.task.retranslate()

    def begun(self, step: str) -> None:
        """One of the page's steps has been started."""
        self._step_lost = False
        self.task.show_begun(lambda: t(f"window.doing.{step}"))

    def over(self, step: str, outcome: object) -> None:
        """One of the page's steps has ended, with a Receipt or an error."""

    def _on_started(self, step: str) -> None:
        if step in self.steps:
            self.begun(step)
            self.redraw()

    def _on_ended(self, step: str, outcome: object) -> None:
        if step in self.steps:
            self.over(step, outcome)
            self.redraw()

    def _on_changed(self) -> None:
        """A page that is not shown is drawn when it is entered."""
        if self.isVisible():
            self.redraw()

    def _on_cancel(self) -> None:
        for step in self.steps:
            self.session.cancel(step)


def sentence(why: str) -> str:
    """The reason of a status, which begins small, as a sentence of its own."""
    return f"{why[:1].upper()}{why[1:]}."
