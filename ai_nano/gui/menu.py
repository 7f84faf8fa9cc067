"""The window's menu: project, machines, theme, language, quit."""

from typing import cast

from PyQt5.QtWidgets import QApplication, QMenu, QToolButton

from ai_nano.core import texts
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.camera_dialog import CameraDialog
from ai_nano.gui.clean_dialog import CleanDialog
from ai_nano.gui.shell import Shell

LANGUAGE_NAMES = {"en": "English", "fr": "Français"}


class MainMenu:
    def __init__(self, window: Shell, button: QToolButton) -> None:
        self._window = window
        self._button = button
        self._menu = QMenu(button)
        self._camera: CameraDialog | None = None
        self._cleaning: CleanDialog | None = None
        button.setMenu(self._menu)
        self._menu.aboutToShow.connect(self._enable)
        self.retranslate()

    def retranslate(self) -> None:
        self._button.setIcon(style.icon("menu", style.tokens().text, 18))
        menu, window = self._menu, self._window
        menu.clear()
        for old in menu.findChildren(QMenu):
            old.deleteLater()
        self._project = menu.addAction(t("window.menu.project"))
        self._project.triggered.connect(lambda: window.show_page("project"))
        self._of_project = [menu.addAction(t(f"window.menu.{name}")) for name in ("runs", "save")]
        for action, do in zip(self._of_project, (lambda: window.show_page("runs"), window.taking_home.ask_where_to_save),
                              strict=True):
            action.triggered.connect(lambda _checked, do=do: do())
        self._open = menu.addAction(t("window.menu.open"))
        self._open.triggered.connect(lambda: window.taking_home.ask_what_to_open())
        self._of_project.append(menu.addAction(t("window.menu.camera")))
        self._of_project[-1].triggered.connect(lambda: self.choose_camera())
        menu.addSeparator()
        self._room = menu.addAction(t("window.menu.room"))
        self._room.triggered.connect(lambda: window.show_page("room"))
        self._bench = menu.addAction(t("window.menu.bench"))
        self._bench.triggered.connect(lambda: window.show_page("bench"))
        menu.addAction(t("window.menu.doctor")).triggered.connect(lambda: window.show_page("doctor"))
        menu.addAction(t("window.menu.machines")).triggered.connect(lambda: window.show_page("machines"))
        self._clean = menu.addAction(t("window.menu.clean"))
        self._clean.triggered.connect(lambda: self.clean_up())
        self._practice = menu.addAction(t("window.menu.practice"))
        self._practice.triggered.connect(lambda: window.start_practice(window.opening.practice_folder))
        menu.addSeparator()
        themes = menu.addMenu(t("window.menu.theme"))
        for name in ("", "light", "dark"):
            action = themes.addAction(t(f"window.theme.{name or 'system'}"))
            action.setCheckable(True)
            action.setChecked(window.settings.theme == name)
            action.triggered.connect(lambda _checked, name=name: self.choose_theme(name))
        languages = menu.addMenu(t("window.menu.language"))
        for code in texts.languages():
            action = languages.addAction(LANGUAGE_NAMES.get(code, code))
            action.setCheckable(True)
            action.setChecked(texts.current_language() == code)
            action.triggered.connect(lambda _checked, code=code: self.choose_language(code))
        menu.addSeparator()
        menu.addAction(t("window.menu.quit")).triggered.connect(window.close)

    def choose_camera(self) -> None:
        self._camera = self._camera or CameraDialog(self._window.session, self._button.window())
        self._camera.ask()

    def clean_up(self) -> None:
        self._cleaning = self._cleaning or CleanDialog(self._window.session, self._button.window())
        self._cleaning.ask()

    def choose_theme(self, name: str) -> None:
        """Empty: as the desktop is."""
        app = cast(QApplication, QApplication.instance())
        self._window.settings.theme = name
        style.apply(app, name or style.system_theme(app), self._window.opening.cache)
        self._window.retranslate()

    def choose_language(self, code: str) -> None:
        self._window.settings.language = code
        texts.set_language(code)
        self._window.retranslate()

    def _enable(self) -> None:
        in_room = self._window.session.lab is not None
        busy = bool(self._window.session.running_steps)
        self._project.setEnabled(in_room)
        self._room.setEnabled(in_room)
        self._bench.setEnabled(in_room)
        self._clean.setEnabled(in_room)
        self._open.setEnabled(in_room and not busy)
        for action in self._of_project:
            action.setEnabled(self._window.session.workspace is not None)
        self._practice.setEnabled(not busy and not self._window.in_practice)
