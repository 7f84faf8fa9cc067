"""What the entry point hands to the window, so that the window needs to know neither the command line nor the demo."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ai_nano.core.room.config import Config
from ai_nano.core.split.lesson import Lesson


class Practice(Protocol):
    """An embedded classroom that is running: an ordinary room, whose stage the student commands."""

    config: Config
    folder: Path
    cards: tuple[str, ...]
    classes: int

    def __enter__(self) -> object:
        """Start its processes; then `config` is there. WorkFailed when one does not come up."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End them."""

    def picture(self, card: str) -> bytes:
        """The card as a small JPEG."""

    def hold(self, card: str | None) -> None:
        """Hold a card (None: nothing) before all cameras, in a new pose and light."""

    def turn(self, card: str | None) -> None:
        """Another pose of it before the laptop's camera."""

    def plug(self, plugged: bool) -> None:
        """Pull the plug of all cameras, or put it back."""


@dataclass(frozen=True)
class Opening:
    """`find_config` raises ConfigError where no room is known; `practice` makes the embedded classroom in a folder.

    With `demo` the window opens on an embedded classroom in that folder, whose workspace it is too; with `pack` on the question
    about a room pack that somebody clicked. `lesson`: of step 3, None where there is none.
    """

    find_config: Callable[[], Config]
    practice: Callable[[Path], Practice]
    user_folder: Path
    cache: Path
    practice_folder: Path
    demo: Path | None = None
    lesson: Lesson | None = None
    pack: Path | None = None
