"""Starts the window."""

import ctypes
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType

from PyQt5.QtCore import QLibraryInfo, QLocale, Qt, QTimer, QTranslator
from PyQt5.QtWidgets import QApplication

from ai_nano.core import texts
from ai_nano.core.errors import BadInput
from ai_nano.core.unexpected import explained
from ai_nano.gui import style
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.opening import Opening
from ai_nano.gui.settings import Settings

# Qt's platforms that need no display and show nothing.
UNSEEN = ("offscreen", "minimal")


def _platform() -> str:
    return os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0]


def has_display() -> bool:
    """Whether a person could see a window. Asked before Qt is: where it has no display, Qt ends the whole program."""
    if _platform() in UNSEEN:
        return False
    if not sys.platform.startswith("linux"):
        return True
    if os.environ.get("WAYLAND_DISPLAY"):
        return True
    return _x_server_answers(os.environ.get("DISPLAY", ""))


def _x_server_answers(display: str) -> bool:
    """`host:number.screen`; without a host it is the socket of this computer, in the file system or beside it."""
    host, colon, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not colon or not number.isdigit():
        return False
    path = f"/tmp/.X11-unix/X{number}"
    if host and host != "unix":
        try:
            socket.create_connection((host, 6000 + int(number)), 2.0).close()
            return True
        except OSError:
            return False
    for address in ("\0" + path, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(address)
                return True
            except OSError:
                continue
    return False


def check_libraries() -> None:
    """BadInput that names the system library which Qt's window plugin lacks; Qt itself would end the program."""
    if not sys.platform.startswith("linux") or _platform() != "xcb":
        return
    plugin = Path(QLibraryInfo.location(QLibraryInfo.PluginsPath)) / "platforms" / "libqxcb.so"
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        raise BadInput("window.library", library=str(error).partition(":")[0]) from error


def make_application(settings: Settings, cache: Path) -> QApplication:
    """The QApplication in the student's language and theme."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        app = existing
    else:
        QApplication.setAttribute(Qt.AA_EnableHighDpiScaling)
        QApplication.setAttribute(Qt.AA_UseHighDpiPixmaps)
        app = QApplication(["ai-nano"])
    app.setApplicationName("ai_nano")
    if settings.language is not None:
        texts.set_language(settings.language)
    translator = QTranslator(app)
    if translator.load(QLocale(texts.current_language()), "qtbase", "_",
                       QLibraryInfo.location(QLibraryInfo.TranslationsPath)):
        app.installTranslator(translator)
    system = style.system_theme(app)  # asked before the first `apply`
    style.apply(app, settings.theme or system, cache)
    return app


def run(opening: Opening) -> int:
    """The window, until it is closed. BadInput where none can be opened."""
    if not has_display() and _platform() not in UNSEEN:
        raise BadInput("window.no_display")
    check_libraries()
    settings = Settings(opening.user_folder)
    app = make_application(settings, opening.cache)
    window = MainWindow(opening, settings)
    hooks = sys.excepthook, threading.excepthook
    sys.excepthook = lambda kind, error, trace: _unexpected(window, error, trace)
    threading.excepthook = lambda told: window.bridge.post(lambda: _unexpected(window, told.exc_value, told.exc_traceback))
    signals = {number: signal.signal(number, lambda number, frame: _told_to_end(window, number, frame))
               for number in (signal.SIGINT, signal.SIGTERM)}
    # Python sees a signal between two of its own instructions only; the event loop alone has none.
    tick = QTimer()
    tick.timeout.connect(lambda: None)
    tick.start(200)
    try:
        window.show()
        app.exec()
    finally:
        sys.excepthook, threading.excepthook = hooks
        for number, handler in signals.items():
            signal.signal(number, handler)
    return 0


def _unexpected(window: MainWindow, error: BaseException | None, trace: TracebackType | None) -> None:
    if isinstance(error, Exception):
        window.show_unexpected(explained(error))


def _told_to_end(window: MainWindow, number: int, frame: FrameType | None) -> None:
    """Ctrl-C in the terminal, or the end of the desktop's session: nobody is there to be asked. LEDs go dark; a training
    in a real room goes on."""
    QTimer.singleShot(0, lambda: window.leave(("train",) if not window.in_practice else ()))
