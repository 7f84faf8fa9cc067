"""The doctor: every machine of the room with its state, and of the chosen one what is wrong, with its mend."""

from PyQt5.QtCore import QSize, QTimer
from PyQt5.QtWidgets import QListWidget, QListWidgetItem, QPushButton

from ai_nano.core.cancel import CancelToken
from ai_nano.core.doctor import findings, room
from ai_nano.core.doctor.findings import LAPTOP, OK, Finding, Tell
from ai_nano.core.errors import AiNanoError, Cancelled
from ai_nano.core.room import config as configuration
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.finding_list import ICONS, FindingList, colour
from ai_nano.lab import Lab, build_lab

DRAW_MS = 100
ROW = 40  # pixels


class DoctorPage(Page):
    file = "doctor"
    deep: QPushButton
    again: QPushButton
    back: QPushButton
    machineList: QListWidget
    findings: FindingList

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._window = window
        self._found: dict[str, list[Finding]] = {}
        self._waiting: set[str] = set()
        self._cancel: CancelToken | None = None
        self._stale = False
        self._timer = QTimer(self)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw_if_changed)
        self.again.clicked.connect(lambda: self._look(deep=False))
        self.deep.clicked.connect(lambda: self._look(deep=True))
        self.back.clicked.connect(lambda: window.show_page("machines" if session.lab is None else "project"))
        self.machineList.currentRowChanged.connect(lambda _row: self._draw_findings())

    def entered(self) -> None:
        super().entered()
        self._look(deep=False)

    def left(self) -> None:
        self._stop()

    def closing(self) -> None:
        self._stop()

    # ---- looking -----------------------------------------------------------------------------------------------------

    def _lab(self) -> Lab:
        """Without a room this computer alone is looked at."""
        if self.session.lab is not None:
            return self.session.lab
        return build_lab(configuration.nowhere(), self._window.asker, self._window.opening.user_folder)

    def _look(self, deep: bool) -> None:
        """All machines side by side, in threads; what they find comes over the bridge."""
        self._stop()
        self.dismiss()
        lab, cancel = self._lab(), CancelToken()
        self._cancel = cancel
        names = [LAPTOP, *(machine.name for machine in lab.config.machines)]
        self._found, self._waiting = {name: [] for name in names}, set(names)
        self._fill_list(names)
        post = self.session.bridge.post

        def examine(name: str, tell: Tell) -> None:
            lab.examine(name, tell)
            if deep and name != LAPTOP:
                lab.examine(name, tell, deep=True)

        def told(finding: Finding) -> None:
            post(lambda: self._take(cancel, finding))

        def ended(name: str) -> None:
            post(lambda: self._end(cancel, name))

        self.session.look(lambda: room.examine_all(names, examine, told, ended, cancel), lambda _found: None,
                          lambda error: self._failed(cancel, error))
        self._timer.start()
        self.redraw()

    def _stop(self) -> None:
        self._timer.stop()
        if self._cancel is not None:
            self._cancel.cancel()
            self._cancel = None
        self._waiting = set()

    def _take(self, cancel: CancelToken, finding: Finding) -> None:
        """A deep look says again what was known of reaching a machine: once is enough."""
        if cancel is self._cancel:
            known = self._found[finding.machine]
            if not any(one.check == finding.check for one in known):
                known.append(finding)
                self._stale = True

    def _end(self, cancel: CancelToken, name: str) -> None:
        if cancel is self._cancel:
            self._waiting.discard(name)
            self._stale = True
            if not self._waiting:
                self._timer.stop()
                self.redraw()

    def _failed(self, cancel: CancelToken, error: AiNanoError) -> None:
        if cancel is self._cancel and not isinstance(error, Cancelled):
            self._stop()
            self.show_problem(error)
            self.redraw()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _fill_list(self, names: list[str]) -> None:
        chosen = max(0, self.machineList.currentRow())
        self.machineList.blockSignals(True)
        self.machineList.clear()
        for name in names:
            item = QListWidgetItem(self._name(name))
            item.setSizeHint(QSize(0, ROW))
            self.machineList.addItem(item)
        self.machineList.setCurrentRow(min(chosen, len(names) - 1))
        self.machineList.blockSignals(False)

    @staticmethod
    def _name(name: str) -> str:
        text = t("doctor.laptop") if name == LAPTOP else name
        return text[:1].upper() + text[1:] if name == LAPTOP else text

    def _draw_if_changed(self) -> None:
        if self._stale:
            self.redraw()

    def redraw(self) -> None:
        self._stale = False
        for button in (self.again, self.deep):
            button.setEnabled(not self._waiting)
        for row, (name, found) in enumerate(self._found.items()):
            item = self.machineList.item(row)
            if item is None:
                continue
            waiting = name in self._waiting
            state = findings.state_of(found)
            item.setIcon(style.icon("running", style.tokens().accent) if waiting else style.icon(ICONS[state], colour(state)))
            bad = sum(one.state != OK for one in found)
            item.setText(f"{self._name(name)}  ({bad})" if bad else self._name(name))
            item.setToolTip(t("window.doctor.looking") if waiting else findings.summary(found))
        self._draw_findings()

    def _draw_findings(self) -> None:
        names = list(self._found)
        row = self.machineList.currentRow()
        if not 0 <= row < len(names):
            self.findings.show_findings([], t("window.doctor.none"))
            return
        name = names[row]
        self.findings.show_findings(self._found[name], self._note(name))

    def _note(self, name: str) -> str:
        found = self._found[name]
        if name in self._waiting:
            return t("window.doctor.asking", machine=self._name(name))
        if not found:
            return t("window.doctor.none")
        if all(one.state == OK for one in found):
            return t("window.doctor.all_fine", count=len(found))
        if len(self._found) == 1:
            return t("window.doctor.no_room")
        return findings.summary(found)
