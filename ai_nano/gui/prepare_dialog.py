"""A machine prepared from the window: how far it is, what was said, and what its owner has to type there as root."""

from pathlib import Path

from PyQt5.QtCore import Qt, QTimer
from PyQt5.QtGui import QCloseEvent
from PyQt5.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, Detached
from ai_nano.core.events import Event, Progress
from ai_nano.core.ports import Questions
from ai_nano.core.provisioned import Prepared
from ai_nano.core.room.config import Config, ServerConfig
from ai_nano.core.texts import known, t
from ai_nano.gui import style
from ai_nano.gui.inbox import Inbox
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.error_box import ErrorBox
from ai_nano.gui.widgets.log_panel import LogPanel
from ai_nano.lab import prepare_machines
from ai_nano.steps.provision import Outcome, ProvisionOptions

SIZE = (760, 560)  # pixels, as the next
BLOCK_HEIGHT = 130
SCALE = 1000
DRAIN_MS = 50


class PrepareDialog(QDialog):
    """For one machine, with exactly the values that it was given, saved or not; deleted when it is closed."""

    def __init__(self, session: Session, ask: Questions, room: Config, name: str, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._ask, self._room, self._name, self._folder = session, ask, room, name, folder
        self._cancel: CancelToken | None = None
        self._inbox = Inbox()
        self._share = 0.0
        self.setAttribute(Qt.WA_DeleteOnClose)
        self.lead, self.state, self.root = QLabel(), QLabel(t("window.prepare.ready")), QLabel()
        self.goes_on = QLabel(t("window.prepare.goes_on"))
        for label in (self.lead, self.state, self.root, self.goes_on):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        server = any(isinstance(machine, ServerConfig) and machine.name == name for machine in room.machines)
        self.lead.setText(t("window.prepare.server" if server else "window.prepare.nano", machine=name))
        style.set_role(self.goes_on, "note")
        self.bring = QCheckBox(t("window.prepare.bring"))
        self.bring.setToolTip(t("window.prepare.bring.tip"))
        self.bring.setVisible(server)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, SCALE)
        self.log = LogPanel()
        self.log.hide()
        self.problem = ErrorBox()
        self.problem.dismissed.connect(lambda: self.problem.show_error(None))
        self.block = QPlainTextEdit()
        self.block.setReadOnly(True)
        self.block.setLineWrapMode(QPlainTextEdit.NoWrap)
        self.block.setFixedHeight(BLOCK_HEIGHT)
        self.copy, self.start, self.close_button = QPushButton(t("window.prepare.copy")), QPushButton(), QPushButton()
        self.close_button.setText(t("window.prepare.close"))
        style.set_role(self.start, "primary")
        self.copy.clicked.connect(self._on_copy)
        self.start.clicked.connect(self._on_start)
        self.close_button.clicked.connect(self.close)
        self._lay_out()
        self._show_needs(None)
        self._show_running(False)
        self.setWindowTitle(t("window.prepare.title", machine=name))
        self.resize(min(SIZE[0], parent.window().width() - 40), min(SIZE[1], parent.window().height() - 40))
        self._drain = QTimer(self)
        self._drain.timeout.connect(self._fetch)
        self._drain.start(DRAIN_MS)

    def _lay_out(self) -> None:
        above, below = QHBoxLayout(), QHBoxLayout()
        above.addWidget(self.root, 1)
        above.addWidget(self.copy, 0, Qt.AlignBottom)
        below.addWidget(self.bring)
        below.addStretch(1)
        below.addWidget(self.start)
        below.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        for widget in (self.lead, self.bar, self.state, self.goes_on):
            column.addWidget(widget)
        column.addWidget(self.log, 10)
        column.addStretch(1)
        column.addWidget(self.problem)
        column.addLayout(above)
        column.addWidget(self.block)
        column.addLayout(below)

    # ---- the work ----------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        if self._cancel is not None:
            self._cancel.cancel()
            self.start.setEnabled(False)
            return
        cancel = self._cancel = CancelToken()
        options = ProvisionOptions((self._name,), registry=not self.bring.isChecked())
        self.problem.show_error(None)
        self._show_needs(None)
        self._show_running(True)
        room, ask, folder = self._room, self._ask, self._folder

        def work() -> Outcome:
            return prepare_machines(room, options, ask, self._hear, cancel, folder)

        def over() -> bool:
            """False where nobody sees it any more: the dialog has been closed, and what Qt had of it is gone."""
            return not cancel.detached

        def done(outcome: Outcome) -> None:
            if over():
                self._ended(outcome)

        def failed(error: AiNanoError) -> None:
            if over():
                self._failed(error)

        self._session.look(work, done, failed)

    def _ended(self, outcome: Outcome) -> None:
        self._show_running(False)
        if outcome.problem is not None:
            self._failed(outcome.problem)
            return
        (prepared,) = outcome.prepared
        self.bar.setValue(SCALE)
        self.state.setText("\n".join([prepared.text, *(f"  {sentence}" for sentence in prepared.done)]))
        self._show_needs(prepared)

    def _failed(self, error: AiNanoError) -> None:
        self._show_running(False)
        self.bar.setValue(0)
        if isinstance(error, (Cancelled, Detached)):
            self.state.setText(t("window.prepare.stopped"))
            return
        self.state.setText("")
        self.problem.show_error(error)

    def _hear(self, event: Event) -> None:
        """From the worker's thread. The inbox keeps the newest progress, which is seldom that of the steps."""
        if isinstance(event, Progress) and event.unit == "steps" and event.total:
            self._share = event.done / event.total
        self._inbox.put(event)

    def _fetch(self) -> None:
        batch = self._inbox.fetch()
        self.log.add(batch)
        if self._cancel is not None:
            self.bar.setValue(round(SCALE * self._share))
        for progress in batch.progress.values():
            if self._cancel is not None:
                self._show_progress(progress)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _show_progress(self, progress: Progress) -> None:
        """The bar is for the steps, which are few and sure; what is counted within one stands beside it in words."""
        words = t(progress.what) if progress.what and known(progress.what) else t("step.provision")
        counted = progress.words() if progress.total else f"{progress.done:.0f}"
        self.state.setText(f"{words}: {counted}")

    def _show_running(self, running: bool) -> None:
        if not running:
            self._cancel = None
        else:
            self._share = 0.0
            self.log.show()
            self.state.setText(t("provision.step.look"))
        self.goes_on.setVisible(running)
        self.start.setEnabled(True)
        self.start.setText(t("window.prepare.stop" if running else "window.prepare.start"))
        self.bring.setEnabled(not running)

    def _show_needs(self, prepared: Prepared | None) -> None:
        needed = prepared is not None and bool(prepared.needs)
        for widget in (self.root, self.copy, self.block):
            widget.setVisible(needed)
        if prepared is not None and needed:
            self.root.setText(t("window.prepare.root", machine=prepared.machine))
            self.block.setPlainText(prepared.block)
            self.copy.setText(t("window.prepare.copy"))

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(self.block.toPlainText() + "\n")
        self.copy.setText(t("window.copied"))

    def done(self, code: int) -> None:
        self._let_go()
        super().done(code)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._let_go()
        super().closeEvent(event)

    def _let_go(self) -> None:
        """It goes on there; here nobody waits for it any more."""
        self._drain.stop()
        if self._cancel is not None:
            self._cancel.detach()
