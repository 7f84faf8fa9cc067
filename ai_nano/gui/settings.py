"""What the window remembers: geometry, recent projects, theme, language, whether the log is unfolded."""

import json
import time
from pathlib import Path

from PyQt5.QtCore import QByteArray, QSettings

from ai_nano.core import texts
from ai_nano.core.room import defaults

MOST_RECENT = 12


class Settings:
    """In `window.ini` of the user's config folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = QSettings(str(folder / "window.ini"), QSettings.IniFormat)

    def _text(self, key: str) -> str:
        value = self._store.value(key, "")
        return value if isinstance(value, str) else ""

    @property
    def theme(self) -> str:
        """light, dark, or empty: as the desktop."""
        return self._text("theme")

    @theme.setter
    def theme(self, value: str) -> None:
        self._store.setValue("theme", value)

    @property
    def language(self) -> str | None:
        """The student's own choice, else the room's; None: as the environment says."""
        chosen = self._text("language") or defaults.load(self._folder).language
        return chosen if chosen in texts.languages() else None

    @language.setter
    def language(self, value: str | None) -> None:
        self._store.setValue("language", value or "")

    @property
    def last_project(self) -> Path | None:
        path = self._text("last_project")
        return Path(path) if path else None

    @last_project.setter
    def last_project(self, value: Path) -> None:
        self._store.setValue("last_project", str(value))

    @property
    def recent(self) -> list[tuple[Path, float | None]]:
        """Projects and when they were opened (unix time), newest first."""
        last, told = self.last_project, self._text("recent")
        if not told:
            return [(last, None)] if last is not None else []
        try:
            return [(Path(path), float(used) or None) for path, used in json.loads(told)]
        except (ValueError, TypeError):
            return []

    def remember(self, project: Path) -> None:
        """It is opened now."""
        self._keep([(project, time.time()), *((path, used) for path, used in self.recent if path != project)][:MOST_RECENT])

    def forget(self, project: Path) -> None:
        left = [(path, used) for path, used in self.recent if path != project]
        if self.last_project == project:
            self._store.remove("last_project")
        self._keep(left)

    def _keep(self, recent: list[tuple[Path, float | None]]) -> None:
        self._store.setValue("recent", json.dumps([(str(path), used or 0.0) for path, used in recent]))

    @property
    def log_open(self) -> bool:
        return self._text("log_open") != "no"

    @log_open.setter
    def log_open(self, value: bool) -> None:
        self._store.setValue("log_open", "yes" if value else "no")

    @property
    def geometry(self) -> QByteArray:
        value = self._store.value("geometry", QByteArray())
        return value if isinstance(value, QByteArray) else QByteArray()

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue("geometry", value)

    def save(self) -> None:
        self._store.sync()
