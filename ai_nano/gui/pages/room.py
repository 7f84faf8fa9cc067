"""The room: who trains, who waits, whose each Nano is and what failed, on one page; and an instructor's ways to step in."""

import functools
from collections.abc import Callable

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QApplication, QLabel, QMenu, QPushButton

from ai_nano.core.figures import in_minutes
from ai_nano.core.nano.boards import Use
from ai_nano.core.overview import room, stepping_in
from ai_nano.core.overview.room import Nano
from ai_nano.core.overview.sight import Work
from ai_nano.core.overview.watch import RoomWatch
from ai_nano.core.room.ended import By
from ai_nano.core.texts import t
from ai_nano.gui import take_over
from ai_nano.gui.board_actions import BoardActions
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.room_list import RoomList, Row

DRAW_MS = 500


class RoomPage(Page):
    file = "room"
    doctor: QPushButton
    clean: QPushButton
    bench: QPushButton
    look: QPushButton
    working: RoomList
    waiting: RoomList
    nanos: RoomList
    failed: RoomList
    said: QLabel

    def __init__(self, session: Session, window: Shell, on_start: Callable[[str], object],
                 on_doctor: Callable[[], object] | None = None, on_clean: Callable[[], object] | None = None) -> None:
        """`on_start` is given the Nano on which the instructor wants to start something. `on_doctor` and `on_clean` check and
        tidy the room; without them there are no buttons for it."""
        super().__init__(session)
        self._on_start = on_start
        self._watch: RoomWatch | None = None
        self._room = room.make(())
        self._words: Callable[[], str] = str
        self._boards = BoardActions(self, self._say, self._on_look, instructor=True)
        self._timer = QTimer(self)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw)
        for part in (self.working, self.nanos):
            part.two_lines()
        for part in (self.working, self.waiting, self.failed):
            part.menu_wanted.connect(self._fill_menu)
        self.nanos.menu_wanted.connect(self._fill_nano_menu)
        self.look.clicked.connect(self._on_look)
        self.bench.clicked.connect(lambda: window.show_page("bench"))
        for button, do in ((self.doctor, on_doctor), (self.clean, on_clean)):
            button.setVisible(do is not None)
            if do is not None:
                button.clicked.connect(functools.partial(_without_checked, do))

    # ---- watching, only while the page is shown ----------------------------------------------------------------------

    def entered(self) -> None:
        lab = self.session.lab
        if lab is not None:
            self._watch = RoomWatch(lab)
            for watch in self._watch.watches:
                self.session.look(watch.run, lambda _none: None, self.show_problem)
            self._timer.start()
        super().entered()

    def left(self) -> None:
        self._timer.stop()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def closing(self) -> None:
        self.left()
        self._boards.closing()

    def _on_look(self) -> None:
        if self._watch is not None:
            self._watch.look_again()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        self.said.setText(self._words())
        self.said.setVisible(bool(self.said.text()))
        self._draw()

    def retranslate(self) -> None:
        super().retranslate()
        for part in (self.working, self.waiting, self.nanos, self.failed):
            part.retranslate()

    def _say(self, words: Callable[[], str]) -> None:
        self._words = words
        self.redraw()

    def _draw(self) -> None:
        if self._watch is None:
            return
        seen = self._room = room.make(self._watch.sights())
        server = next((one for one in seen.sights if one.is_server), None)
        asking = server is not None and server.works is None and server.error is None
        error = server.error if server is not None else None
        state = None if server is None else "connecting" if asking else "absent" if error else "connected"
        name = server.name if server is not None else ""
        self.working.show_heading(t("window.room.working", machine=name), len(seen.working),
                                  error.what if error else t("room.asking" if asking else "room.training.none"), state,
                                  trouble=error is not None)
        self.working.show_rows([_working(work) for work in seen.working])
        self.waiting.show_heading(t("window.room.waiting", machine=name), len(seen.waiting),
                                  "" if error or asking else t("room.waiting.none"))
        self.waiting.show_rows([_waiting(work, place) for place, work in enumerate(seen.waiting, 1)])
        self.nanos.show_heading(t("room.nanos"), len(seen.nanos), t("window.deploy.none"))
        self.nanos.show_rows([_nano(nano) for nano in seen.nanos])
        self.failed.show_heading(t("room.failed"), len(seen.failed), t("room.failed.none") if seen.asked else t("room.asking"))
        self.failed.show_rows([_failed(work) for work in seen.failed])

    # ---- menus: as things are when they are opened -------------------------------------------------------------------

    def _fill_menu(self, key: str, menu: QMenu) -> None:
        work = next((one for one in (*self._room.working, *self._room.waiting, *self._room.failed) if one.run == key), None)
        if work is None:
            return
        if work.state == "running":
            self._add_end(menu, work)
        menu.addAction(t("window.room.copy")).triggered.connect(lambda: QApplication.clipboard().setText(_in_full(work)))

    def _fill_nano_menu(self, name: str, menu: QMenu) -> None:
        nano = next((one for one in self._room.nanos if one.name == name), None)
        if nano is None:
            return
        there = nano.works is not None
        entry = menu.addAction(t("window.room.take_over"))
        entry.setEnabled(there)
        entry.triggered.connect(lambda: self._ask_to_take_over(nano))
        for work in (*([nano.holder] if nano.holder else []), *nano.queue):
            self._add_end(menu, work)
        menu.addSeparator()
        for action in ("blink", "models", "reboot", "shutdown"):
            entry = menu.addAction(t(f"window.bench.{action}"))
            entry.setEnabled(there)
            entry.triggered.connect(functools.partial(self._do, name, action))
        menu.addSeparator()
        menu.addAction(t("window.machine.check")).triggered.connect(functools.partial(self._do, name, "look"))

    def _do(self, name: str, action: str, _checked: bool = False) -> None:
        self._boards.do(name, action)

    def _add_end(self, menu: QMenu, work: Work) -> None:
        use = Use(work.run, work.program, work.student, work.age_s)
        entry = menu.addAction(t("window.bench.end", step=work.step, who=work.who))
        entry.triggered.connect(lambda: self._boards.do(work.machine, "end", use))

    def _ask_to_take_over(self, nano: Nano) -> None:
        take_over.ask(self, nano, functools.partial(self._take_over, nano.name))

    def _take_over(self, name: str, everybody: bool, own: bool) -> None:
        by = By(self.session.config.student, instructor=True)

        def done(ended: object) -> Callable[[], str]:
            assert isinstance(ended, list)
            if own and self.isVisible():
                self._on_start(name)
            return lambda: room.taken(name, ended)

        self._boards.carry_out(name, lambda machine: stepping_in.take_over(machine, everybody, by), done)


def _working(work: Work) -> Row:
    words = "  ·  ".join(part for part in (work.step, work.place_of_work, work.far or t("room.at_it")) if part)
    return Row(work.run, work.who, words, t("room.since", age=in_minutes(work.age_s)), share=work.share,
               tip=_in_full(work))


def _waiting(work: Work, place: int) -> Row:
    soon = work.reason if work.wait_s is None else t("room.in", time=in_minutes(work.wait_s))
    return Row(work.run, f"{place}  {work.who}", "", soon or "", tip=_in_full(work))


def _nano(nano: Nano) -> Row:
    holder = nano.holder
    name = nano.name if holder is None else f"{nano.name}   {holder.who}"
    words = nano.use if holder is None else "  ·  ".join(
        part for part in (holder.step, nano.waiting, holder.model) if part)
    return Row(nano.name, name, words, "" if holder is None else t("room.since", age=in_minutes(holder.age_s)), nano.state,
               trouble=nano.error is not None, tip=nano.use)


def _failed(work: Work) -> Row:
    return Row(work.run, work.who, f"{work.step}, {work.machine}:  {work.why}",
               t("room.ago", age=in_minutes(work.ended_s or 0.0)), tip=_in_full(work))


def _in_full(work: Work) -> str:
    told = (work.who, work.model, f"{work.machine}: {work.step}", work.place_of_work, work.far,
            work.place if work.waiting else "", work.reason, work.why, work.run)
    return "\n".join(part for part in told if part)


def _without_checked(do: Callable[[], object], _checked: bool = False) -> None:
    do()
