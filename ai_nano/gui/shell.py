"""What the menu and the pages before step 1 may ask of the window."""

from pathlib import Path
from typing import Protocol

from ai_nano.core.ports import Questions
from ai_nano.core.room.config import Config
from ai_nano.gui.opening import Opening
from ai_nano.gui.session import Session
from ai_nano.gui.settings import Settings
from ai_nano.gui.taking_home import TakingHome


class Shell(Protocol):
    opening: Opening
    settings: Settings
    session: Session
    taking_home: TakingHome

    @property
    def asker(self) -> Questions:
        """Who puts a working thread's questions to the person."""

    @property
    def in_practice(self) -> bool:
        """Whether the room is the embedded classroom."""

    def show_page(self, name: str) -> None: ...

    def enter(self, config: Config, project: Path | None = None) -> None:
        """Into a real room; `project` is proposed there."""

    def start_practice(self, folder: Path, workspace: Path | None = None) -> None:
        """Into the embedded classroom."""

    def retranslate(self) -> None:
        """Language or theme changed."""

    def close(self) -> bool: ...
