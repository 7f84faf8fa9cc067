"""How the window looks: tokens, one stylesheet made from them, icons."""

import html
from pathlib import Path
from typing import cast

from PyQt5.QtGui import QColor, QFont, QPalette
from PyQt5.QtWidgets import QApplication, QWidget

from ai_nano.gui.style.icons import icon, pixmap, write_sheet_icons
from ai_nano.gui.style.sheet import stylesheet
from ai_nano.gui.style.tokens import LIGHT, THEMES, Tokens

__all__ = ["Tokens", "apply", "icon", "pixmap", "set_property", "set_role", "system_theme", "tokens"]

_PROPERTY = "ai_nano.theme"
_SYSTEM = "ai_nano.system_theme"


def system_theme(app: QApplication) -> str:
    """`light` or `dark`, as the desktop's own palette was before `apply` changed it."""
    if app.property(_SYSTEM) is None:
        app.setProperty(_SYSTEM, "dark" if app.palette().color(QPalette.Window).lightness() < 128 else "light")
    return str(app.property(_SYSTEM))


def apply(app: QApplication, theme: str, cache: Path) -> None:
    """`theme`: light or dark; `cache`: a folder for the pictures that a stylesheet takes from files."""
    chosen = THEMES.get(theme, LIGHT)
    app.setProperty(_PROPERTY, chosen.name)
    # Each of these goes through all widgets, so a change of theme repeats only what differs between themes.
    if not app.styleSheet():
        app.setStyle("Fusion")
        font = QFont(app.font())
        font.setPointSizeF(chosen.font_pt)
        app.setFont(font)
    palette = QPalette()
    for role, colour in ((QPalette.Window, chosen.window), (QPalette.WindowText, chosen.text), (QPalette.Base, chosen.field),
                         (QPalette.AlternateBase, chosen.window), (QPalette.Text, chosen.text),
                         (QPalette.Button, chosen.surface), (QPalette.ButtonText, chosen.text),
                         (QPalette.Highlight, chosen.accent), (QPalette.HighlightedText, chosen.on_accent),
                         (QPalette.PlaceholderText, chosen.muted), (QPalette.ToolTipBase, chosen.surface),
                         (QPalette.ToolTipText, chosen.text), (QPalette.Link, chosen.accent)):
        palette.setColor(role, QColor(colour))
    app.setPalette(palette)
    folder = cache / "style" / chosen.name
    write_sheet_icons(folder, chosen.muted, chosen.on_accent)
    app.setStyleSheet(stylesheet(chosen, folder.as_posix()))


def set_role(widget: QWidget, role: str) -> None:
    """What the widget is for, by which the stylesheet knows how it looks."""
    set_property(widget, "role", role)


def set_property(widget: QWidget, name: str, value: object) -> None:
    """A property that the stylesheet asks for; Qt looks again only when it is told to."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def plain(text: str) -> str:
    """The text for a tool tip, which Qt would take for rich text where it looks like it: that could load files."""
    return f"<qt>{html.escape(text)}</qt>" if "<" in text else text


def tokens() -> Tokens:
    """The theme that is shown now: for widgets that paint themselves."""
    app = cast(QApplication, QApplication.instance())
    return THEMES.get(str(app.property(_PROPERTY)), LIGHT)
