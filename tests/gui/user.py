"""The person of a test: uses the windows of this program with the real pointer and keys, by what can be read there."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import inputs
import scrolling
import sight
from aim import NotYet, aim_at, look_for, look_for_input, quoted
from gui_thread import GuiThread, Outcome
from hands import DOWN, LEFT, RIGHT, UP, Hands
from PyQt5.QtCore import QPoint, QRect
from PyQt5.QtWidgets import QAbstractScrollArea, QApplication, QComboBox, QWidget
from sight import Thing, Wanted

if TYPE_CHECKING:
    from watchdog import Watchdog

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_LOOK_S = 0.02
_SETTLE_S = 0.015  # until Qt has read from the X server what the hands did
_SHOW_S = 1.0
_NOTCH_S = 0.2
_MOST_NOTCHES = 300


def _acting(method: F) -> F:
    """Makes a method work in the GUI thread, which then handles events meanwhile, as well as beside it."""

    @functools.wraps(method)
    def act(self: User, *args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        if self._gui.is_current():
            return self._beside(lambda: method(self, *args, **named), one_act=True)
        return method(self, *args, **named)

    return act  # type: ignore[return-value]


class User:
    """Acts on all windows that this program shows. To be made in the GUI thread; close it (or use `with`).

    A text is given as it is read: without "&" and tags, white space as single spaces, and in whole, or as a compiled
    pattern to be found in it. Every failure is an AssertionError that tells what the person read on the screen.

    Each method returns when the deed is done and runs the event loop meanwhile. Hence one limit: while a dialog is open
    through exec(), no method can return to the GUI thread. Use open() in the program, or put the lines of the test
    into a function and give it to apart(), where there is no such limit. Menus of buttons also run in an event loop
    of their own (Qt does that itself): click() on such a button only takes effect together with the next deed,
    usually the click on the menu's item. Menus of a menu bar are like everything else.
    """

    def __init__(self, *, watchdog: Watchdog | None = None) -> None:
        self._gui = GuiThread()
        self._hands = Hands()
        self._watchdog = watchdog
        self._one_act = False
        self._opened: list[Callable[[], None]] = []  # the clicks on buttons with menus that are still to be made
        self._window: QWidget | None = None  # the one that was clicked last

    def close(self) -> None:
        self._hands.close()

    def apart(self, script: Callable[[], T]) -> T:
        """What the script returns or raises. It runs in a thread of its own and may call every method of this object,
        but nothing of Qt; the GUI thread handles events meanwhile, in whatever loop."""
        __tracebackhide__ = True
        return self._beside(script, one_act=False)

    @_acting
    def click(self, text: Wanted, *, inside: Wanted | None = None, nth: int | None = None, held: str = "",
              timeout: float = 5.0) -> None:
        """Clicks on the middle of what shows the text: a button, tab, menu, item, label...; waits until it is there,
        once, enabled and not covered, and turns the wheel where it is scrolled away.

        inside: only in the nearest group, row or window that also shows this text. nth: of several the first (1),
        second (2), ... in reading order. A thing that reacts is preferred to a label with the same text.
        held: a key that is held down meanwhile, "ctrl" or "shift".
        """

        def act() -> None:
            self._click(lambda: look_for(text, inside, nth), f"click {quoted(text)}", timeout, held)

        thing = self._reach(lambda: look_for(text, inside, nth), f"click {quoted(text)}", timeout, aim=False)
        if self._one_act and (thing.menu_by_exec or (thing.submenu and self._opened)):
            self._opened.append(act)
        else:
            act()

    @_acting
    def hold(self, text: Wanted, seconds: float, *, inside: Wanted | None = None, nth: int | None = None,
             timeout: float = 5.0) -> None:  # fmt: skip
        """Presses the mouse on what shows the text, and lets it go after that time."""
        self._reach(lambda: look_for(text, inside, nth), f"hold {quoted(text)}", timeout)
        self._hands.press()
        try:
            time.sleep(seconds)
        finally:
            self._hands.release()
        self._settle()

    @_acting
    def fill(self, label: Wanted, value: str, *, inside: Wanted | None = None, nth: int | None = None,
             timeout: float = 5.0) -> None:  # fmt: skip
        """Types the value into the input beside (or below) the label, or with this placeholder, instead of what is
        there. The value may hold what an American keyboard has."""
        look = look_for_input(label, inside, nth)
        field = self._click(look, f"fill {quoted(label)}", timeout).widget
        self._until(lambda: inputs.has_focus(field), "the keys do not go there", f"fill {quoted(label)}", _SHOW_S)
        self._hands.strike("ctrl+a")
        if value:
            self._hands.type(value)
        else:
            self._hands.strike("Delete")
        self._until(lambda: inputs.shows(field, value), lambda: f"it shows {inputs.content(field)!r}",
                    f"fill {quoted(label)} with {value!r}", _SHOW_S + 0.02 * len(value))  # fmt: skip

    @_acting
    def choose(self, label: Wanted, item: Wanted, *, inside: Wanted | None = None, nth: int | None = None,
               timeout: float = 5.0) -> None:  # fmt: skip
        """Opens the combo box beside (or below) the label and clicks on the item."""
        doing = f"choose {quoted(item)} for {quoted(label)}"
        box = self._click(look_for_input(label, inside, nth, QComboBox), doing, timeout).widget
        while not isinstance(box, QComboBox):
            box = box.parentWidget()
        self._click(lambda: look_for(item, popup=True), doing, timeout)
        self._until(lambda: sight.matches(sight.plain(box.currentText(), rich=False), item),
                    lambda: f"the box shows {box.currentText()!r}", doing, _SHOW_S)  # fmt: skip

    @_acting
    def press(self, *keys: str) -> None:
        """One key after the other: press("Return"), press("ctrl+q"), press("Tab", "space")."""
        self._give_focus()
        for key in keys:
            self._hands.strike(key)
        self._settle()

    @_acting
    def type(self, text: str) -> None:
        """Types the text, wherever the keys go."""
        self._give_focus()
        self._hands.type(text)
        self._settle()

    @_acting
    def sees(self, text: Wanted) -> bool:
        """Whether it can be read at this moment."""
        return bool(self._gui.ask(lambda: _seen(text)))

    @_acting
    def reads(self) -> list[str]:
        """All that can be read, window by window, line by line."""
        return self._gui.ask(_read)

    @_acting
    def wait_for(self, text: Wanted, timeout: float = 10.0) -> str:
        """Waits until it can be read; returns the whole text, which is news where a pattern was given."""
        return self._until(lambda: _seen(text), "it does not appear", f"read {quoted(text)}", timeout)[0].text

    @_acting
    def wait_until_gone(self, text: Wanted, timeout: float = 10.0) -> None:
        self._until(lambda: not _seen(text), "it stays", f"see {quoted(text)} go", timeout)

    @_acting
    def wait(self, seconds: float) -> None:
        time.sleep(seconds)  # beside the GUI thread, which handles events

    @_acting
    def screenshot(self, path: str | Path) -> None:
        """The whole screen, as a PNG file."""
        self._settle()
        if not self._gui.ask(lambda: QApplication.primaryScreen().grabWindow(0).save(str(path), "PNG")):
            raise AssertionError(f"the screen could not be saved as {path}")

    def _beside(self, script: Callable[[], T], one_act: bool) -> T:
        __tracebackhide__ = True
        if not self._gui.is_current():
            return script()
        before, self._opened, self._one_act = self._opened, [], one_act

        def acts() -> T:
            for act in before:
                act()
            self._opened = list(before)
            return script()

        if self._watchdog is not None:
            self._watchdog.resume()
        try:
            result, outcome = self._gui.beside(acts)
        finally:
            if self._watchdog is not None:
                self._watchdog.pause()
        self._opened = self._still_to_open(before, result, outcome)
        if outcome.closed_dialog and result.exception() is None:
            raise AssertionError(f"the dialog {outcome.closed_dialog!r} was opened by exec() and is closed again, as the "
                                 "test could not have gone on: see the class User")  # fmt: skip
        return result.result()

    def _still_to_open(self, before: list[Callable[[], None]], result: Future[T], outcome: Outcome) -> list[Callable[[], None]]:
        """Menus that only were open for the last deed are opened again for the next one."""
        if result.exception() is not None:
            return []
        return self._opened if outcome.closed_menus else self._opened[len(before) :]

    # From here on everything runs beside the GUI thread, except what is given to ask().

    def _click(self, look: Callable[[], Thing], doing: str, timeout: float, held: str = "") -> Thing:
        thing = self._reach(look, doing, timeout)
        if held:
            self._hands.hold_key(held)
        try:
            self._hands.click()
            self._settle()
        finally:
            if held:
                self._hands.let_key_go(held)
        return thing

    def _reach(self, look: Callable[[], Thing], doing: str, timeout: float, aim: bool = True) -> Thing:
        """Waits until there is such a thing, brings it into view, and moves the pointer there."""
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        notches, aimed = 0, None
        while True:
            try:
                thing, spot, area = self._gui.ask(lambda: aim_at(look()))
            except NotYet as reason:
                if time.monotonic() > deadline:
                    raise self._failure(f"cannot {doing}: {reason}") from None
                aimed = None
                time.sleep(_LOOK_S)
                continue
            if area is not None:
                notches += 1
                if notches > _MOST_NOTCHES or time.monotonic() > deadline + timeout:
                    raise self._failure(f"cannot {doing}: it is scrolled away and the wheel does not bring it")
                self._turn_wheel(thing, area)
            elif not aim or spot == aimed:
                return thing
            else:
                self._give_focus(thing)
                self._hands.move(spot.x(), spot.y())
                aimed = spot  # if the thing moves meanwhile, the next look finds it elsewhere

    def _turn_wheel(self, thing: Thing, area: QAbstractScrollArea) -> None:
        """One notch towards the thing, and until the area has moved."""

        def bars() -> tuple[int, int]:
            return area.verticalScrollBar().value(), area.horizontalScrollBar().value()

        def look() -> tuple[QRect, QRect, tuple[int, int], QPoint | None]:
            place = scrolling.within(thing.widget, thing.rect, area)
            return place, area.viewport().rect(), bars(), scrolling.wheel_spot(area)

        rect, view, before, spot = self._gui.ask(look)
        if spot is None:
            time.sleep(_LOOK_S)
            return
        middle = rect.center()
        if rect.top() < view.top() or rect.bottom() > view.bottom():
            button = DOWN if middle.y() > view.center().y() else UP
        else:
            button = RIGHT if middle.x() > view.center().x() else LEFT
        self._hands.turn_wheel(spot.x(), spot.y(), button)
        deadline = time.monotonic() + _NOTCH_S
        while time.monotonic() < deadline and self._gui.ask(bars) == before:
            time.sleep(0.004)

    def _give_focus(self, clicked: Thing | None = None) -> None:
        """Does what a window manager does, and Xvfb has none: gives the keys to a new dialog, to the window that is
        clicked, and to another one when a window closes."""

        def wanted() -> int | None:
            if clicked is not None and not sight.is_popup(clicked.window):
                self._window = clicked.window
            shown = [window for window in sight.windows() if not sight.is_popup(window)]
            if QApplication.activePopupWidget() is not None or not shown:
                return None
            window = QApplication.activeModalWidget() or (self._window if self._window in shown else None)
            if window is None:
                window = QApplication.activeWindow() or shown[-1]
            return None if QApplication.activeWindow() is window else int(window.winId())

        number = self._gui.ask(wanted)
        if number is None:
            return
        self._hands.focus(number)
        deadline = time.monotonic() + _SHOW_S
        while self._gui.ask(wanted) is not None and time.monotonic() < deadline:
            time.sleep(0.005)

    def _settle(self) -> None:
        for _ in range(2):
            time.sleep(_SETTLE_S / 2)
            self._gui.ask(lambda: None)

    def _until(self, condition: Callable[[], T], why: str | Callable[[], str], doing: str, timeout: float) -> T:
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        while not (found := self._gui.ask(condition)):
            if time.monotonic() > deadline:
                reason = why if isinstance(why, str) else self._gui.ask(why)
                raise self._failure(f"cannot {doing}: {reason}")
            time.sleep(_LOOK_S)
        return found

    def _failure(self, sentence: str) -> AssertionError:
        texts = self._gui.ask(_read)
        return AssertionError("\n    ".join([f"{sentence} (after waiting). On the screen:", *texts]))

    def __enter__(self) -> User:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _read() -> list[str]:
    return [thing.text for thing in sight.in_reading_order(sight.everything())]


def _seen(text: Wanted) -> list[Thing]:
    return [thing for thing in sight.everything() if sight.matches(thing.text, text) and not sight.place(thing).isEmpty()]
