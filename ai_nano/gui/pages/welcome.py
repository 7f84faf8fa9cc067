"""First start: the embedded classroom, a room pack, or machines by form."""

from pathlib import Path

from PyQt5.QtWidgets import QFileDialog, QLabel, QPushButton

from ai_nano.core.texts import t
from ai_nano.gui import pack_question
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.task_bar import TaskBar


class WelcomePage(Page):
    file = "welcome"
    practice: QPushButton
    pack: QPushButton
    machines: QPushButton
    note: QLabel
    task: TaskBar

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._window = window
        self._starting = False
        self.practice.clicked.connect(lambda: window.start_practice(window.opening.practice_folder))
        self.pack.clicked.connect(self._on_pack)
        self.machines.clicked.connect(lambda: window.show_page("machines"))
        self.show_ready()

    def show_starting(self) -> None:
        self.dismiss()
        self._starting = True
        self.task.show()
        self.task.show_begun(lambda: t("window.welcome.starting"), cancellable=False)
        self._enable()

    def show_ready(self) -> None:
        self._starting = False
        self.task.hide()
        self._enable()

    def _enable(self) -> None:
        for button in (self.practice, self.pack, self.machines):
            button.setEnabled(not self._starting)

    def _on_pack(self) -> None:
        dialog = QFileDialog(self, t("window.welcome.pack"), str(Path.home()), f"{t('window.welcome.pack.kind')} (*.ainano)")
        dialog.setFileMode(QFileDialog.ExistingFile)
        dialog.fileSelected.connect(self.open_pack)
        dialog.open()

    def open_pack(self, file: str) -> None:
        """Asks first."""
        self.dismiss()
        busy = self.session.busy()
        if busy is not None:
            self.show_problem(busy)
            return
        pack_question.ask(self, self.session, Path(file), self._window.opening.user_folder, self._window.enter,
                          self.show_problem)
