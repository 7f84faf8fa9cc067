"""Windows for the tests: on the embedded classroom, and on a room whose servers a test can stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PyQt5.QtCore import QEventLoop, QTimer

from ai_nano.core import config
from ai_nano.demo.practice import Practice
from ai_nano.gui import app as gui_app
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.opening import Opening
from ai_nano.gui.settings import Settings

CLOSE_TIMEOUT_MS = 30_000


def opening(folder: Path, *, demo: Path | None = None, config_file: Path | None = None) -> Opening:
    """What the entry point would hand over, with every folder of the student's below `folder`."""
    user_folder = folder / "config"
    return Opening(find_config=lambda: config.find(config_file, user_folder, here=folder), practice=Practice,
                   user_folder=user_folder, cache=folder / "cache", practice_folder=folder / "practice", demo=demo)


@contextmanager
def window(told: Opening, size: tuple[int, int] = (1280, 800), theme: str = "light",
           language: str = "en") -> Iterator[MainWindow]:
    """The window as the entry point opens it; closed at the end, whatever the test left running."""
    settings = Settings(told.user_folder)
    settings.theme, settings.language = theme, language
    gui_app.make_application(settings, told.cache)
    made = MainWindow(told, settings)
    made.resize(*size)
    made.move(0, 0)
    made.show()
    try:
        yield made
    finally:
        made.leave()
        wait_until_closed(made)


def wait_until_closed(made: MainWindow) -> None:
    """Runs the event loop until the window has let go of everything."""
    if not made.has_left:
        loop = QEventLoop()
        made.left.connect(loop.quit)
        QTimer.singleShot(CLOSE_TIMEOUT_MS, loop.quit)
        loop.exec()
    assert made.has_left, f"still running: {made.session.running_steps}"
    made.deleteLater()


def lit_pins(classroom: Path) -> list[int]:
    """The pins that are lit now, by what the Nano's own process wrote."""
    state: dict[int, bool] = {}
    file = classroom / "nano1" / "ai_nano" / "leds.jsonl"
    for line in file.read_text().splitlines() if file.exists() else ():
        entry = json.loads(line)
        state[entry["pin"]] = entry["on"]
    return sorted(pin for pin, on in state.items() if on)

