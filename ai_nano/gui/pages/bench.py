"""The bench: all Nanos of the room at once, whoever uses them, and what can be done with boards that have no screens."""

import functools
from collections.abc import Callable

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QLabel, QPushButton

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, WorkFailed
from ai_nano.core.figures import duration
from ai_nano.core.nano import boards
from ai_nano.core.nano.bench import Bench
from ai_nano.core.nano.boards import Switched, Use
from ai_nano.core.ports import Machine, StepContext
from ai_nano.core.texts import t
from ai_nano.gui.board_dialog import BoardDialog
from ai_nano.gui.confirm import confirm
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.nano_tile import AIR, NanoTile, step_words
from ai_nano.gui.widgets.tile_grid import TileGrid
from ai_nano.steps.blink import Blinked, blink

DRAW_MS = 100


class BenchPage(Page):
    file = "bench"
    look: QPushButton
    back: QPushButton
    none: QLabel
    said: QLabel
    tiles: TileGrid

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._bench: Bench | None = None
        self._shown: dict[str, NanoTile] = {}
        self._words: Callable[[], str] = str
        self._blinking: list[CancelToken] = []
        self._dialog: BoardDialog | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw)
        self.back.clicked.connect(lambda: window.show_page("infer"))
        self.look.clicked.connect(self._on_look)

    # ---- watching, only while the page is shown ----------------------------------------------------------------------

    def entered(self) -> None:
        super().entered()
        lab = self.session.lab
        if lab is None:
            return
        self._bench = Bench(lab)
        self._show_tiles([nano.name for nano in lab.config.filled_nanos])
        for watch in self._bench.watches:
            self.session.look(watch.run, lambda _none: None, self.show_problem)
        self._timer.start()

    def left(self) -> None:
        self._timer.stop()
        if self._bench is not None:
            self._bench.stop()
            self._bench = None

    def closing(self) -> None:
        self.left()
        for token in self._blinking:
            token.cancel()

    def _show_tiles(self, names: list[str]) -> None:
        self.none.setVisible(not names)
        self._shown = {name: NanoTile(name) for name in names}
        for tile in self._shown.values():
            tile.wanted.connect(functools.partial(self._on_wanted, tile))
        words = max((tile.height_of_words for tile in self._shown.values()), default=0)
        self.tiles.set_tiles(list(self._shown.values()), words, 2 * AIR)

    def _draw(self) -> None:
        for sight in self._bench.sights() if self._bench is not None else ():
            self._shown[sight.name].show_sight(sight)

    def redraw(self) -> None:
        self.said.setText(self._words())

    def retranslate(self) -> None:
        super().retranslate()
        for tile in self._shown.values():
            tile.retranslate()

    def _on_look(self) -> None:
        if self._bench is not None:
            self._bench.look_again()

    # ---- doing -------------------------------------------------------------------------------------------------------

    def _on_wanted(self, tile: NanoTile, action: str, use: Use | None) -> None:
        match action:
            case "blink":
                self._blink(tile.name)
            case "models":
                self._dialog = self._dialog or BoardDialog(self.session, self)
                self._dialog.show_board(tile.name)
            case "end" if use is not None:
                self._ask_to_end(tile.name, use)
            case "shutdown" | "reboot":
                self._ask_to_switch(tile.name, action)
            case "look":
                self._on_look()

    def _say(self, words: Callable[[], str]) -> None:
        self._words = words
        self.redraw()

    def _carry_out(self, name: str, work: Callable[[Machine], object], done: Callable[[object], Callable[[], str]],
                   failed: Callable[[AiNanoError], object] | None = None) -> None:
        """In a thread; then what `done` says is said."""
        lab = self.session.lab
        if lab is None:
            return
        self.dismiss()
        self._say(lambda: t("window.bench.working", machine=name))

        def trouble(error: AiNanoError) -> None:
            self._say(str)
            if failed is not None:
                failed(error)
            elif not isinstance(error, Cancelled):
                self.show_problem(error)

        def ended(result: object) -> None:
            self._say(done(result))
            self._on_look()

        self.session.look(lambda: work(lab.nano(name)), ended, trouble)

    def _blink(self, name: str) -> None:
        lab, token = self.session.lab, CancelToken()
        if lab is None:
            return
        self._blinking.append(token)

        def done(blinked: object) -> Callable[[], str]:
            assert isinstance(blinked, Blinked)
            told = blinked
            return lambda: (t("blink.of_model", model=told.model, machine=name) if told.model
                            else t("blink.no_model", machine=name))

        self._carry_out(name, lambda _machine: blink(name, None, StepContext(lab, self.session.inbox.put, token)), done)
        self._say(lambda: t("window.bench.blinking", machine=name))

    def _ask_to_end(self, name: str, use: Use) -> None:
        def end(machine: Machine) -> None:
            if not machine.attach(use.run).cancel():
                raise WorkFailed("job.not_cancelled", machine=name, run=use.run)

        told = {"step": step_words(use), "machine": name, "age": duration(use.age_s), "student": use.student}
        question = t("window.running.end.text" if use.student else "window.running.end.anonymous", **told)
        confirm(self, t("window.running.end.title", machine=name), question, t("window.running.end.yes"),
                lambda: self._carry_out(name, end, lambda _none: lambda: t("jobs.cancelled", run=use.run)))

    # ---- off and on again --------------------------------------------------------------------------------------------

    def _ask_to_switch(self, name: str, action: str) -> None:
        """The Nano is asked who uses it now, and not the tile, which may be seconds old."""
        def asked(found: object) -> Callable[[], str]:
            assert isinstance(found, list)
            users = ", ".join(dict.fromkeys(use.who for use in found))
            question = (t(f"window.bench.{action}.in_use", machine=name, who=users) if users
                        else t(f"window.bench.{action}.free", machine=name))
            if self.isVisible():  # nobody is asked about a page that was left
                self._confirm_switch(name, action, question, force=False)
            return str

        self._carry_out(name, boards.uses, asked)

    def _confirm_switch(self, name: str, action: str, question: str, force: bool) -> None:
        confirm(self, t(f"window.bench.{action}.title", machine=name), question,
                t("window.bench.force.yes" if force else f"window.bench.{action}.yes"),
                lambda: self._switch(name, action, force))

    def _switch(self, name: str, action: str, force: bool) -> None:
        """The board itself looks who uses it; against that it goes only after a second question."""
        def done(switched: object) -> Callable[[], str]:
            assert isinstance(switched, Switched)
            code = f"power.done.{action}" if switched.done else "power.recorded"
            return lambda: t(code, machine=name)

        def failed(error: AiNanoError) -> None:
            if error.code == "power.in_use" and not force:
                question = t("window.bench.force", machine=name, who=error.params.get("who"))
                self._confirm_switch(name, action, question, force=True)
            else:
                self.show_problem(error)

        self._carry_out(name, lambda machine: boards.power(machine, action, force), done, failed)
