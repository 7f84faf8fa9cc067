"""What a page can do with a board without a screen: blink, its models, off and on again, and somebody's program ended."""

from collections.abc import Callable

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled
from ai_nano.core.figures import duration
from ai_nano.core.nano import boards
from ai_nano.core.nano.boards import Switched, Use
from ai_nano.core.overview import stepping_in
from ai_nano.core.ports import Machine, StepContext
from ai_nano.core.room.ended import whose
from ai_nano.core.texts import t
from ai_nano.gui.board_dialog import BoardDialog
from ai_nano.gui.confirm import confirm
from ai_nano.gui.pages.base import Page
from ai_nano.gui.widgets.nano_tile import step_words
from ai_nano.steps.blink import Blinked, blink

Words = Callable[[], str]


class BoardActions:
    """For `page`; `say` shows what is going on, `look` asks the machines again. `instructor`: students are told that it was."""

    def __init__(self, page: Page, say: Callable[[Words], object], look: Callable[[], object],
                 instructor: bool = False) -> None:
        self._page, self._session, self._say, self._look = page, page.session, say, look
        self._instructor = instructor
        self._blinking: list[CancelToken] = []
        self._dialog: BoardDialog | None = None

    def closing(self) -> None:
        for token in self._blinking:
            token.cancel()

    def do(self, name: str, action: str, use: Use | None = None) -> None:
        match action:
            case "blink":
                self._blink(name)
            case "models":
                self._dialog = self._dialog or BoardDialog(self._session, self._page)
                self._dialog.show_board(name)
            case "end" if use is not None:
                self._ask_to_end(name, use)
            case "shutdown" | "reboot":
                self._ask_to_switch(name, action)
            case "look":
                self._look()

    def carry_out(self, name: str, work: Callable[[Machine], object], done: Callable[[object], Words],
                  failed: Callable[[AiNanoError], object] | None = None) -> None:
        """In a thread, on the server or a Nano; then what `done` says is said."""
        lab = self._session.lab
        if lab is None:
            return
        self._page.dismiss()
        self._say(lambda: t("window.bench.working", machine=name))

        def trouble(error: AiNanoError) -> None:
            self._say(str)
            if failed is not None:
                failed(error)
            elif not isinstance(error, Cancelled):
                self._page.show_problem(error)

        def ended(result: object) -> None:
            self._say(done(result))
            self._look()

        self._session.look(lambda: work(stepping_in.machine_of(lab, name)), ended, trouble)

    def _blink(self, name: str) -> None:
        lab, token = self._session.lab, CancelToken()
        if lab is None:
            return
        self._blinking.append(token)

        def done(blinked: object) -> Words:
            assert isinstance(blinked, Blinked)
            told = blinked
            return lambda: (t("blink.of_model", model=told.model, machine=name) if told.model
                            else t("blink.no_model", machine=name))

        self.carry_out(name, lambda _machine: blink(name, None, StepContext(lab, self._session.inbox.put, token)), done)
        self._say(lambda: t("window.bench.blinking", machine=name))

    def _ask_to_end(self, name: str, use: Use) -> None:
        by = whose(self._session.config.student, use.student, self._instructor)
        told = {"step": step_words(use), "machine": name, "age": duration(use.age_s), "student": use.student}
        question = t("window.running.end.text" if use.student else "window.running.end.anonymous", **told)
        confirm(self._page, t("window.running.end.title", machine=name), question, t("window.running.end.yes"),
                lambda: self.carry_out(name, lambda machine: stepping_in.end(machine, use.run, by),
                                       lambda _none: lambda: t("jobs.cancelled", run=use.run)))

    # ---- off and on again --------------------------------------------------------------------------------------------

    def _ask_to_switch(self, name: str, action: str) -> None:
        """The Nano is asked who uses it now, and not the page, which may be seconds old."""
        def asked(found: object) -> Words:
            assert isinstance(found, list)
            users = ", ".join(dict.fromkeys(use.who for use in found))
            question = (t(f"window.bench.{action}.in_use", machine=name, who=users) if users
                        else t(f"window.bench.{action}.free", machine=name))
            if self._page.isVisible():  # nobody is asked about a page that was left
                self._confirm_switch(name, action, question, force=False)
            return str

        self.carry_out(name, boards.uses, asked)

    def _confirm_switch(self, name: str, action: str, question: str, force: bool) -> None:
        confirm(self._page, t(f"window.bench.{action}.title", machine=name), question,
                t("window.bench.force.yes" if force else f"window.bench.{action}.yes"),
                lambda: self._switch(name, action, force))

    def _switch(self, name: str, action: str, force: bool) -> None:
        """The board itself looks who uses it; against that it goes only after a second question."""
        def done(switched: object) -> Words:
            assert isinstance(switched, Switched)
            code = f"power.done.{action}" if switched.done else "power.recorded"
            return lambda: t(code, machine=name)

        def failed(error: AiNanoError) -> None:
            if error.code == "power.in_use" and not force:
                question = t("window.bench.force", machine=name, who=error.params.get("who"))
                self._confirm_switch(name, action, question, force=True)
            else:
                self._page.show_problem(error)

        self.carry_out(name, lambda machine: boards.power(machine, action, force), done, failed)
