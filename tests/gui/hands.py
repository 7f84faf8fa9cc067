"""The hands of a test's person: the real pointer and the real keys, moved through the X server (extension XTEST)."""

from __future__ import annotations

import time

from Xlib import XK, X
from Xlib.display import Display
from Xlib.ext import xtest

# Between two movements: so long that Qt sees both, and does not compress them into one.
_PAUSE_S = 0.008
_NEAR = 12  # pixels; more than what Qt takes for a double click or for the same place in an opened list
_ASIDE = 16

UP, DOWN, LEFT, RIGHT = 4, 5, 6, 7  # the buttons that are the wheel

_NAMES = {
    "alt": "Alt_L", "backspace": "BackSpace", "ctrl": "Control_L", "del": "Delete", "delete": "Delete", "down": "Down",
    "end": "End", "enter": "Return", "esc": "Escape", "escape": "Escape", "home": "Home", "left": "Left",
    "pagedown": "Page_Down", "pageup": "Page_Up", "return": "Return", "right": "Right", "shift": "Shift_L",
    "space": "space", "tab": "Tab", "up": "Up",
}  # fmt: skip


class Hands:
    """Moves the pointer and presses keys on the display `name` (default: DISPLAY). Positions are pixels of the screen.

    Events are on their way to the program when a method returns; the program has not yet seen them.
    """

    def __init__(self, name: str | None = None) -> None:
        self._display = Display(name)
        self._root = self._display.screen().root
        if not self._display.has_extension("XTEST"):
            raise RuntimeError("the X server has no extension XTEST")

    def close(self) -> None:
        self._display.close()

    def move(self, x: int, y: int) -> None:
        """In three steps. Where the pointer is there already it first goes aside, as a hand does between two clicks:
        otherwise Qt takes two clicks for a double click, and the opened list of a combo box ignores the second."""
        here = self._root.query_pointer()
        if abs(here.root_x - x) < _NEAR and abs(here.root_y - y) < _NEAR:
            start_x, start_y = (x - _ASIDE if x >= _ASIDE else x + _ASIDE), y
            self._move_to(start_x, start_y)
        else:
            start_x, start_y = here.root_x, here.root_y
        for part in (0.5, 0.9, 1.0):
            self._move_to(round(start_x + part * (x - start_x)), round(start_y + part * (y - start_y)))

    def press(self, button: int = 1) -> None:
        self._send(X.ButtonPress, button)

    def release(self, button: int = 1) -> None:
        self._send(X.ButtonRelease, button)

    def click(self, button: int = 1) -> None:
        self.press(button)
        time.sleep(_PAUSE_S)
        self.release(button)

    def hold_key(self, name: str) -> None:
        self._key(X.KeyPress, name)

    def let_key_go(self, name: str) -> None:
        self._key(X.KeyRelease, name)

    def _key(self, kind: int, name: str) -> None:
        xtest.fake_input(self._display, kind, self._keycode(name)[0])
        self._display.sync()

    def turn_wheel(self, x: int, y: int, button: int) -> None:
        """One notch, at this place."""
        here = self._root.query_pointer()
        if (here.root_x, here.root_y) != (x, y):
            self.move(x, y)
        self.press(button)
        self.release(button)

    def strike(self, keys: str) -> None:
        """One key, with others held down: "Return", "a", "ctrl+q", "shift+Tab"."""
        *held, last = keys.split("+") if len(keys) > 1 else [keys]
        pressed = [self._keycode(name)[0] for name in held]
        code, shift = self._keycode(last)
        if shift:
            pressed.append(self._keycode("shift")[0])
        for each in [*pressed, code]:
            xtest.fake_input(self._display, X.KeyPress, each)
        for each in [code, *reversed(pressed)]:
            xtest.fake_input(self._display, X.KeyRelease, each)
        self._display.sync()

    def type(self, text: str) -> None:
        """Character by character. Raises ValueError, before the first one, for what an American keyboard has not."""
        for character in text:
            self._keycode(character)
        for character in text:
            self.strike(character)

    def focus(self, window: int) -> None:
        """Gives the keys to a window, by its number in the X server."""
        self._display.create_resource_object("window", window).set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self._display.sync()

    def _move_to(self, x: int, y: int) -> None:
        xtest.fake_input(self._display, X.MotionNotify, x=x, y=y)
        self._display.sync()
        time.sleep(_PAUSE_S)

    def _send(self, kind: int, button: int) -> None:
        xtest.fake_input(self._display, kind, button)
        self._display.sync()

    def _keycode(self, name: str) -> tuple[int, bool]:
        """The key's code, and whether shift has to be held."""
        if len(name) == 1:
            keysym = {"\n": XK.XK_Return, "\t": XK.XK_Tab}.get(name, ord(name))
        else:
            keysym = XK.string_to_keysym(_NAMES.get(name.lower(), name))
        for code, index in sorted(self._display.keysym_to_keycodes(keysym), key=lambda found: found[1]):
            if keysym and index in (0, 1):
                return code, index == 1
        raise ValueError(f"an American keyboard has no key for {name!r}")
