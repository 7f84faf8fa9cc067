"""A display, a QApplication and a person for the tests of the window. No other folder's tests need a display."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain import Window
from PyQt5 import sip
from PyQt5.QtCore import QCoreApplication, QEvent
from PyQt5.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from user import User
from xserver import XServer

from ai_nano.core import texts

# Settings of the developer's desktop that would change what Qt draws, or who gets the keys.
_DESKTOP = [
    "DESKTOP_SESSION", "GNOME_DESKTOP_SESSION_ID", "KDE_FULL_SESSION", "LANGUAGE", "QT_AUTO_SCREEN_SCALE_FACTOR",
    "QT_ENABLE_HIGHDPI_SCALING", "QT_FONT_DPI", "QT_IM_MODULE", "QT_PLUGIN_PATH", "QT_QPA_PLATFORMTHEME",
    "QT_QPA_PLATFORM_PLUGIN_PATH", "QT_SCALE_FACTOR", "QT_SCREEN_SCALE_FACTORS", "QT_STYLE_OVERRIDE", "SESSION_MANAGER",
    "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "XMODIFIERS",
]  # fmt: skip


def _settle_in(patch: pytest.MonkeyPatch, display: str, home: Path) -> None:
    """Makes the environment one of a new user in front of this display."""
    for name in _DESKTOP:
        patch.delenv(name, raising=False)
    for name, folder in {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache", "XDG_DATA_HOME": ".local/share",
                         "XDG_STATE_HOME": ".local/state", "XDG_RUNTIME_DIR": "runtime", "HOME": "."}.items():  # fmt: skip
        place = home / folder
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        patch.setenv(name, str(place.resolve()))
    patch.setenv("DISPLAY", display)
    patch.setenv("QT_QPA_PLATFORM", "xcb")
    patch.setenv("LANG", "C.UTF-8")
    patch.setenv("LC_ALL", "C.UTF-8")
    patch.setenv("AI_NANO_LANGUAGE", "en")
    # Without a bus of the desktop libdbus would start one, which outlives the tests.
    patch.setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")


@pytest.fixture(scope="session")
def x_server() -> Iterator[XServer]:
    with XServer() as server:
        yield server


@pytest.fixture(scope="session")
def qapp(
    x_server: XServer, qapp_args: list[str], qapp_cls: type[QApplication], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QApplication]:
    """The one QApplication; pytest-qt's fixture of this name knows nothing of our display."""
    with pytest.MonkeyPatch.context() as patch:
        _settle_in(patch, x_server.name, tmp_path_factory.mktemp("first_home"))
        app = qapp_cls(qapp_args)
    yield app
    _delete_windows()
    gc.collect()
    # Before the display ends: losing it, Xlib would end this process.
    sip.delete(app)


@pytest.fixture(autouse=True)
def home(
    qapp: QApplication, x_server: XServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The new user's home folder, for this test alone."""
    folder = tmp_path_factory.mktemp("home")
    _settle_in(monkeypatch, x_server.name, folder)
    return folder


@pytest.fixture(autouse=True)
def _no_window_is_left(home: Path, qapp: QApplication) -> Iterator[None]:
    """Nor anything of how the last window looked and spoke."""
    font, palette, style = qapp.font(), qapp.palette(), qapp.style().objectName()
    yield
    _delete_windows()
    qapp.setStyleSheet("")
    qapp.setStyle(style)
    qapp.setFont(font)
    qapp.setPalette(palette)
    texts.set_language(None)


def _delete_windows() -> None:
    for window in QApplication.topLevelWidgets():
        if window.parent() is None:
            window.close()
            window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.DeferredDelete)
    QApplication.processEvents()


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    """Empty, and not shown yet."""
    made = Window()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def user(qapp: QApplication, home: Path) -> Iterator[User]:
    with User() as person:
        yield person
