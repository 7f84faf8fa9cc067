"""The embedded classroom while the window is in it, and its stage."""

import functools
from collections.abc import Callable

from PyQt5.QtCore import QObject

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Log
from ai_nano.gui.opening import Practice
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.stage_panel import StagePanel


class PracticeRoom(QObject):
    """The stage's commands are carried out beside the window, in order; of turns none waits for another."""

    def __init__(self, session: Session, panel: StagePanel) -> None:
        super().__init__()
        self.current: Practice | None = None
        self._session = session
        self._panel = panel
        self._entered: list[Practice] = []
        self._busy = False
        self._waiting: dict[str, Callable[[Practice], None]] = {}
        panel.held.connect(lambda card: self._do("hold", lambda practice: practice.hold(card)))
        panel.turned.connect(self._turn)
        panel.plugged.connect(lambda plugged: self._do("plug", lambda practice: practice.plug(plugged)))

    def enter(self, practice: Practice, done: Callable[[int], object], failed: Callable[[AiNanoError], object]) -> None:
        """Start the classroom and go into it; `done` gets the number of classes that its cards make."""
        self.leave()

        def begin() -> None:
            practice.__enter__()
            self._entered.append(practice)

        def ready(_begun: object) -> None:
            started = self.current = practice
            self._session.enter(started.config, started.folder)
            self._panel.set_cards(started.cards)
            self._panel.show()
            for card in started.cards:
                self._session.look(functools.partial(started.picture, card),
                                   functools.partial(self._panel.set_picture, card))
            done(started.classes)

        self._session.look(begin, ready, failed)

    def leave(self, wait: bool = True) -> None:
        """End its processes; also those of one that came up while the window was closing.

        Without `wait` beside the window, which goes on in another room.
        """
        self._panel.hide()
        self.current = None
        self._waiting.clear()
        entered, self._entered = self._entered, []

        def end() -> None:
            for practice in entered:
                practice.__exit__(None, None, None)

        if wait:
            end()
        elif entered:
            self._session.look(end, lambda _ended: None)

    def _turn(self, card: str | None) -> None:
        if not self._busy:
            self._do("hold", lambda practice: practice.turn(card))

    def _do(self, kind: str, command: Callable[[Practice], None]) -> None:
        """One after the other; of those of a kind that wait, only the last still matters."""
        practice = self.current
        if practice is None:
            return
        if self._busy:
            self._waiting[kind] = command
            return
        self._busy = True

        def over(_result: object) -> None:
            self._busy = False
            if self._waiting:
                first = next(iter(self._waiting))
                self._do(first, self._waiting.pop(first))

        def failed(error: AiNanoError) -> None:
            self._session.inbox.put(Log("window.stage.failed", {"what": error.what}, "warning"))
            over(None)

        self._session.look(lambda: command(practice), over, failed)
