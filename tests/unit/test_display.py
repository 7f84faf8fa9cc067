"""Whether there is a display, asked without Qt, which would end the program where there is none."""

import socket
from pathlib import Path

import pytest

from ai_nano.gui import app


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("display", ["", "rubbish", ":", ":99999", "localhost:99", "no.such.host.invalid:0"])
def test_a_display_that_is_not_there(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if display:
        monkeypatch.setenv("DISPLAY", display)
    assert not app.has_display()


def test_a_display_that_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """As X servers do, at a socket without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("\0/tmp/.X11-unix/X4242")
        server.listen()
        monkeypatch.setenv("DISPLAY", ":4242.0")
        assert app.has_display()


def test_what_shows_nothing_is_no_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert not app.has_display()
    monkeypatch.setenv("QT_QPA_PLATFORM", "wayland")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert app.has_display()
