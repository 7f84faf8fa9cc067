"""The shell: rail on the left, the page in the middle, the log below it, the machines in the status bar."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QEvent, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QCloseEvent, QPaintEvent
from PyQt5.QtWidgets import QLabel, QMainWindow, QMessageBox, QShortcut, QSplitter, QStackedWidget, QToolButton, QWidget

from ai_nano.core.errors import AiNanoError, ConfigError
from ai_nano.core.ports import Questions
from ai_nano.core.room.config import Config
from ai_nano.core.running import StepStatus
from ai_nano.core.texts import known, t
from ai_nano.core.unexpected import explained
from ai_nano.core.workflow import STEPS
from ai_nano.gui import ui_files
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.inbox import Batch
from ai_nano.gui.menu import MainMenu
from ai_nano.gui.opening import Opening
from ai_nano.gui.pages.base import Page
from ai_nano.gui.pages.bench import BenchPage
from ai_nano.gui.pages.deploy import DeployPage
from ai_nano.gui.pages.doctor import DoctorPage
from ai_nano.gui.pages.export import ExportPage
from ai_nano.gui.pages.infer import InferPage
from ai_nano.gui.pages.lesson import LessonPage
from ai_nano.gui.pages.machines import MachinesPage
from ai_nano.gui.pages.project import ProjectPage, free_folder
from ai_nano.gui.pages.record import RecordPage
from ai_nano.gui.pages.report import ReportPage
from ai_nano.gui.pages.room import RoomPage
from ai_nano.gui.pages.runs import RunsPage
from ai_nano.gui.pages.split import SplitPage
from ai_nano.gui.pages.train import TrainPage
from ai_nano.gui.pages.upload import UploadPage
from ai_nano.gui.pages.welcome import WelcomePage
from ai_nano.gui.practice_room import PracticeRoom
from ai_nano.gui.questions import WindowQuestions
from ai_nano.gui.session import Session
from ai_nano.gui.settings import Settings
from ai_nano.gui.taking_home import TakingHome
from ai_nano.gui.widgets.log_panel import LogPanel
from ai_nano.gui.widgets.machine_chips import MachineChips
from ai_nano.gui.widgets.rail import Rail
from ai_nano.gui.widgets.stage_panel import StagePanel

END_POLL_MS = 50
END_WAIT_MS = 15000


class MainWindow(QMainWindow):
    # Everything has ended, and the window is closed.
    left = pyqtSignal()

    project: QLabel
    menu: QToolButton
    rail: Rail
    stage: StagePanel
    splitter: QSplitter
    pages: QStackedWidget
    log: LogPanel

    def __init__(self, opening: Opening, settings: Settings) -> None:
        super().__init__()
        self.opening = opening
        self.settings = settings
        ui_files.load("main_window", self)
        self.bridge = Bridge()
        self.questions = WindowQuestions(self.bridge)
        self.questions.attach(self)
        self.session = Session(self.bridge, self.questions, opening.user_folder)
        self.cameras = CameraViews(self.bridge)
        self.practice = PracticeRoom(self.session, self.stage)
        self.machines = MachineChips()
        self.statusBar().addWidget(self.machines, 1)
        self.machines.check_wanted.connect(self.session.look_around)
        self._pages: dict[str, Page] = {}
        self._current = ""
        self.has_left = self._leaving = self._arrived = False
        self._keep: tuple[str, ...] = ()
        self.taking_home = TakingHome(self.session, self, lambda error: self.page.show_problem(error), self._open_project)
        self.main_menu = MainMenu(self, self.menu)
        self.rail.chosen.connect(self.show_page)
        for number, step in enumerate(STEPS, 1):
            QShortcut(f"Ctrl+{number}", self).activated.connect(functools.partial(self.show_page, step))
        self.log.folded.connect(self._on_folded)
        self.session.arrived.connect(self._on_arrived)
        self.session.changed.connect(self._redraw)
        self.session.started.connect(lambda _step: self._redraw())
        self.session.machines_changed.connect(self._show_machines)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        self.resize(1280, 800)
        self.setMinimumSize(1000, 660)
        if not settings.geometry.isEmpty():
            self.restoreGeometry(settings.geometry)
        self.log.set_open(settings.log_open)
        self.show_page("welcome")
        self._redraw()

    # ---- arriving ----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._arrived:
            self._arrived = True
            # After the first paint, and not just after show(): reading config.json is quick, what follows from it is not.
            QTimer.singleShot(0, self._arrive)

    def _arrive(self) -> None:
        if self.opening.demo is not None:
            self.start_practice(self.opening.demo.absolute() / "classroom", self.opening.demo)
            return
        try:
            self.enter(self.opening.find_config())
        except ConfigError as error:
            if error.code not in ("config.missing", "config.empty"):
                self._page("welcome").show_problem(error)
        QTimer.singleShot(0, self._build_next)
        if self.opening.pack is not None:
            welcome = self._page("welcome")
            assert isinstance(welcome, WelcomePage)
            self.show_page("welcome")
            welcome.open_pack(str(self.opening.pack))

    def enter(self, config: Config, project: Path | None = None) -> None:
        """Into a real room; not while a step runs, which the page then says. `project`: proposed there."""
        busy = self.session.busy()
        if busy is not None:
            self.page.show_problem(busy)
            return
        self.practice.leave(wait=False)
        self.session.enter(config)
        self._propose(project or self.settings.last_project or free_folder(Path.home() / "ai_nano"), 3)

    def start_practice(self, folder: Path, workspace: Path | None = None) -> None:
        """Into the embedded classroom; `workspace` proposed for the project (None: a new one in the home)."""
        welcome = self._page("welcome")
        assert isinstance(welcome, WelcomePage)
        self.show_page("welcome")
        welcome.show_starting()

        def done(classes: int) -> None:
            welcome.show_ready()
            self._propose(workspace or free_folder(Path.home() / "ai_nano"), classes)
            QTimer.singleShot(0, self._build_next)

        def failed(error: AiNanoError) -> None:
            welcome.show_ready()
            welcome.show_problem(error)

        self.practice.enter(self.opening.practice(folder), done, failed)

    def _propose(self, workspace: Path, classes: int) -> None:
        page = self._page("project")
        assert isinstance(page, ProjectPage)
        self.show_page("project")
        page.propose(workspace, classes, self.session.config.camera)

    # ---- pages -------------------------------------------------------------------------------------------------------

    def show_page(self, name: str) -> None:
        if name == self._current or (name in STEPS and self.session.lab is None):
            self._redraw()
            return
        if self._current:
            self._pages[self._current].left()
        page = self._page(name)
        self._current = name
        self.pages.setCurrentWidget(page)
        page.entered()
        self._redraw()

    @property
    def asker(self) -> Questions:
        return self.questions

    @property
    def in_practice(self) -> bool:
        return self.practice.current is not None

    @property
    def page(self) -> Page:
        return self._pages[self._current]

    def _page(self, name: str) -> Page:
        if name not in self._pages:
            page = self._make_page(name)
            self._pages[name] = page
            self.pages.addWidget(page)
        return self._pages[name]

    def _make_page(self, name: str) -> Page:
        session, go = self.session, self.show_page
        match name:
            case "welcome":
                return WelcomePage(session, self)
            case "machines":
                return MachinesPage(session, self)
            case "project":
                return ProjectPage(session, self.cameras, self._go_from_project, self._use_model, self.settings)
            case "record":
                return RecordPage(session, go, self.cameras)
            case "train":
                return TrainPage(session, go, self._show_report)
            case "export":
                return ExportPage(session, go, self._show_report)
            case "bench":
                return BenchPage(session, self)
            case "doctor":
                return DoctorPage(session, self)
            case "room":
                return RoomPage(session, self, self._start_on, on_doctor=lambda: self.show_page("doctor"),
                                on_clean=lambda: self.main_menu.clean_up())
            case "report":
                return ReportPage(session, self)
            case "lesson":
                return LessonPage(session, self)
            case "runs":
                return RunsPage(session, self, self._show_report, self._deploy_again)
        kinds = {"split": SplitPage, "upload": UploadPage, "deploy": DeployPage, "infer": InferPage}
        return kinds[name](session, go)

    def _build_next(self) -> None:
        """The pages that nobody has asked for yet, one between two turns of the event loop."""
        for name in STEPS:
            if name not in self._pages and not self._leaving:
                page = self._page(name)
                # Now, and not when it is shown: the stylesheet costs each widget its moment.
                for widget in page.findChildren(QWidget):
                    widget.ensurePolished()
                QTimer.singleShot(0, self._build_next)
                return

    def _go_from_project(self, step: str) -> None:
        workspace = self.session.workspace
        if workspace is not None and workspace.path != self.opening.demo:
            self.settings.remember(workspace.path)
            if not self.in_practice:
                self.settings.last_project = workspace.path
        self.show_page(step)

    def _use_model(self, nano: str, model: str, there: Sequence[Mapping[str, Any]]) -> None:
        page = self._page("infer")
        assert isinstance(page, InferPage)
        self.show_page("infer")
        page.propose(nano, model, there)

    def _start_on(self, nano: str) -> None:
        page = self._page("infer")
        assert isinstance(page, InferPage)
        self.show_page("infer")
        page.choose_nano(nano)

    def _show_report(self, model: str) -> None:
        page, came_from = self._page("report"), self._current
        assert isinstance(page, ReportPage)
        page.show_model(model, came_from)
        self.show_page("report")

    def _deploy_again(self, model: str) -> None:
        page = self._page("deploy")
        assert isinstance(page, DeployPage)
        self.show_page("deploy")
        page.propose(model)

    def _open_project(self, folder: Path) -> None:
        self._propose(folder, 3)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _on_arrived(self, batch: Batch) -> None:
        self.log.add(batch)
        for page in self._pages.values():
            page.take(batch)
        if batch.states or batch.best is not None:
            self.session.refresh()
        elif batch.queued is not None or batch.turns:
            self._redraw()  # whose turn it is says the step itself

    def _redraw(self) -> None:
        session = self.session
        self.rail.select(self._current if self._current in STEPS else None)
        self.rail.setEnabled(session.lab is not None)
        for step in STEPS:
            status = session.status(step)
            self.rail.show_status(step, status, _fact(status))
        name = session.workspace.name if session.workspace is not None else ""
        self.project.setText(name or "ai_nano")
        self.project.setToolTip(str(session.workspace.path) if session.workspace is not None else "")
        self.setWindowTitle(f"{name} – ai_nano" if name else "ai_nano")
        self.stage.keep_turning(session.is_running("record"))

    def _show_machines(self) -> None:
        if self.session.lab is not None:
            self.machines.show_reports(self.session.lab.machine_reports())

    def retranslate(self) -> None:
        """Language or theme changed."""
        ui_files.retranslate("main_window", self)
        for page in self._pages.values():
            page.retranslate()
        self.log.retranslate()
        self.stage.retranslate()
        self.main_menu.retranslate()
        self._show_machines()
        self._redraw()

    def _on_folded(self, folded: bool) -> None:
        self.settings.log_open = not folded
        height = self.splitter.height() or 772
        below = 38 if folded else (150 if height > 740 else 104)
        self.splitter.setSizes([height - below, below])

    def show_unexpected(self, error: BaseException) -> None:
        """The one handler of what nobody expected: a sentence in the page, the traceback in a file."""
        self.page.show_problem(explained(error))

    # ---- leaving -----------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.has_left:
            event.accept()
            return
        event.ignore()
        if self._leaving:
            return
        if self.session.is_running("train"):
            self._ask_about_training()
        else:
            self.leave()

    def _ask_about_training(self) -> None:
        stays = not self.in_practice
        box = QMessageBox(QMessageBox.Question, t("window.close.title"),
                          t("window.close.training" if stays else "window.close.training_here"), QMessageBox.NoButton, self)
        keep = box.addButton(t("window.close.keep"), QMessageBox.AcceptRole) if stays else None
        stop = box.addButton(t("window.close.stop"), QMessageBox.DestructiveRole)
        box.addButton(t("window.close.stay"), QMessageBox.RejectRole)

        def answered(_code: int) -> None:
            if box.clickedButton() is stop:
                self.leave()
            elif keep is not None and box.clickedButton() is keep:
                self.leave(("train",))

        box.finished.connect(answered)
        box.open()

    def leave(self, keep: tuple[str, ...] = ()) -> None:
        """End what runs, but for the steps to keep; inference first of all, so that no LED stays lit; then close."""
        if self._leaving:
            return
        self._leaving, self._keep = True, keep
        self.setEnabled(False)
        self.statusBar().showMessage(t("window.closing"))
        self.settings.geometry = self.saveGeometry()
        self.questions.close()
        self.taking_home.close()
        self.cameras.stop()
        for page in self._pages.values():
            page.closing()
        self._waited = 0
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        self._waited += END_POLL_MS
        if not self.session.let_go(self._keep) and self._waited < END_WAIT_MS:
            QTimer.singleShot(END_POLL_MS, self._leave_when_done)
            return
        self.has_left = True
        self.hide()
        self.close()
        self.cameras.close()
        self.session.close()
        self.practice.leave()
        self.settings.save()
        self.left.emit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.WindowStateChange and self.windowState() & Qt.WindowMinimized:
            self.settings.save()


def _fact(status: StepStatus) -> str:
    """The status in the few words that the rail has room for."""
    code = f"rail.{status.code.partition('.')[2]}"
    return t(code, **status.params) if known(code) else status.event().why
