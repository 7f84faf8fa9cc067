"""The machines of the room by form, each with a test."""

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from PyQt5.QtWidgets import (
    QFileDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.errors import AiNanoError, ConfigError
from ai_nano.core.figures import amount, duration
from ai_nano.core.ports import MachineFacts
from ai_nano.core.room import config as configuration
from ai_nano.core.room import config_file
from ai_nano.core.room.config import Config, MachineConfig, NanoConfig, ServerConfig
from ai_nano.core.runs import Run
from ai_nano.core.texts import t
from ai_nano.gui.pages.base import Page
from ai_nano.gui.prepare_dialog import PrepareDialog
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.running_list import RunningList, step_words
from ai_nano.lab import test_machine

FIELDS = ("name", "ip", "port", "login", "pwd", "key_file", "pins", "camera", "turn", "container", "via")
NANO_FIELDS = ("pins", "camera", "turn", "container")


@dataclass
class _Row:
    """A machine as it is being typed; `before` is the one of the room that it replaces."""

    role: str
    values: dict[str, str] = field(default_factory=dict)
    before: MachineConfig | None = None
    tested: str = ""
    problem: AiNanoError | None = None


class MachinesPage(Page):
    file = "machines"
    machineList: QListWidget
    add: QPushButton
    removeButton: QPushButton
    nameLabel: QLabel
    name: QLineEdit
    ip: QLineEdit
    port: QSpinBox
    login: QLineEdit
    pwd: QLineEdit
    key_file: QLineEdit
    browseKey: QPushButton
    pinsLabel: QLabel
    pins: QLineEdit
    cameraLabel: QLabel
    camera: QLineEdit
    turnLabel: QLabel
    turn: QLineEdit
    containerLabel: QLabel
    container: QLineEdit
    via: QLineEdit
    sides: QStackedWidget
    running: RunningList
    trouble: QLabel
    test: QPushButton
    prepare: QPushButton
    tested: QLabel
    save: QPushButton
    back: QPushButton
    doctor: QPushButton

    def __init__(self, session: Session, window: Shell) -> None:
        super().__init__(session)
        self._window = window
        self._rows: list[_Row] = []
        self._row = -1
        self._kept = configuration.nowhere()
        self.sideTabs = QTabBar()
        self.sideTabs.setDrawBase(False)
        self.sideTabs.setExpanding(False)
        for _ in range(self.sides.count()):
            self.sideTabs.addTab("")
        layout = cast(QVBoxLayout, self.layout())
        layout.insertWidget(layout.indexOf(self.sides), self.sideTabs)
        self._name_tabs()
        self.sideTabs.currentChanged.connect(self._on_side)
        self.running.look_wanted.connect(self._look_at_runs)
        self.running.end_wanted.connect(self._on_end_run)
        self.machineList.currentRowChanged.connect(self._on_row)
        self.add.clicked.connect(self._on_add)
        self.removeButton.clicked.connect(self._on_remove)
        self.name.textEdited.connect(self._on_name)
        self.browseKey.clicked.connect(self._on_browse_key)
        self.test.clicked.connect(self._on_test)
        self.prepare.clicked.connect(self._on_prepare)
        self.save.clicked.connect(self._on_save)
        self.doctor.clicked.connect(lambda: window.show_page("doctor"))
        self.back.clicked.connect(lambda: window.show_page("project" if session.lab is not None else "welcome"))

    def retranslate(self) -> None:
        super().retranslate()
        self._name_tabs()
        self.running.retranslate()

    def _name_tabs(self) -> None:
        for index, name in enumerate(("form", "running")):
            self.sideTabs.setTabText(index, t(f"window.machines.tab.{name}"))
        self.lead.setText(t("window.running.lead" if self.sides.currentWidget() is self.running else "window.machines.lead"))

    # ---- the list ----------------------------------------------------------------------------------------------------

    def entered(self) -> None:
        """Start from the room in which the window is; the embedded classroom's is nobody's to edit."""
        room = self.session.lab.config if self.session.lab is not None and not self._window.in_practice else None
        # What the form does not ask for (the laptop's camera, the student) stays.
        self._kept = dataclasses.replace(room, nanos=()) if room is not None else configuration.nowhere()
        self._rows = [_row(config_file.SERVER, room.server if room is not None else None)]
        self._rows += [_row(config_file.NANO, nano) for nano in (room.filled_nanos if room is not None else ())]
        if len(self._rows) == 1:
            self._rows.append(_row(config_file.NANO, None, 1))
        self._row = -1
        self._fill_list(0)
        # Without a room there is nobody to ask what runs there.
        self.sideTabs.setVisible(self.session.lab is not None)
        self.sideTabs.setCurrentIndex(0)

    def _fill_list(self, selected: int) -> None:
        self.machineList.blockSignals(True)
        self.machineList.clear()
        for row in self._rows:
            self.machineList.addItem(row.values["name"] or "?")
        self.machineList.blockSignals(False)
        self._row = -1
        self.machineList.setCurrentRow(selected)
        self._on_row(selected)

    def _on_row(self, index: int) -> None:
        self._keep()
        self._row = index
        if not 0 <= index < len(self._rows):
            return
        row = self._rows[index]
        for name in FIELDS:
            self._write(name, row.values.get(name, ""))
        nano = row.role == config_file.NANO
        for name in NANO_FIELDS:
            getattr(self, name).setVisible(nano)
            getattr(self, f"{name}Label").setVisible(nano)
        self.removeButton.setEnabled(nano)
        self._show_trouble(None)
        self._show_test(row)

    def _show_test(self, row: _Row) -> None:
        """How this machine's own test went."""
        if 0 <= self._row < len(self._rows) and self._rows[self._row] is row:
            self.tested.setText(row.tested)
            self.problem.show_error(row.problem)

    def _keep(self) -> None:
        """What is in the form belongs to the row that was shown."""
        if 0 <= self._row < len(self._rows):
            row = self._rows[self._row]
            row.values = {name: self._read(name) for name in FIELDS
                          if row.role == config_file.NANO or name not in NANO_FIELDS}

    def _on_add(self) -> None:
        self._keep()
        number = 1 + sum(row.role == config_file.NANO for row in self._rows)
        self._rows.append(_row(config_file.NANO, None, number))
        self._fill_list(len(self._rows) - 1)
        self.ip.setFocus()

    def _on_remove(self) -> None:
        if self._row > 0:
            del self._rows[self._row]
            self._fill_list(min(self._row, len(self._rows) - 1))

    def _on_name(self, text: str) -> None:
        item = self.machineList.item(self._row)
        if item is not None:
            item.setText(text or "?")

    def _read(self, name: str) -> str:
        widget = getattr(self, name)
        return str(widget.value()) if isinstance(widget, QSpinBox) else str(widget.text())

    def _write(self, name: str, text: str) -> None:
        widget = getattr(self, name)
        if isinstance(widget, QSpinBox):
            widget.setValue(int(text or 22))
        else:
            widget.setText(text)
            widget.setCursorPosition(0)  # a long address is read from its beginning

    def _on_browse_key(self) -> None:
        dialog = QFileDialog(self, t("window.machines.key"), str(Path.home() / ".ssh"))
        dialog.setFileMode(QFileDialog.ExistingFile)
        dialog.fileSelected.connect(self.key_file.setText)
        dialog.open()

    # ---- testing and saving ------------------------------------------------------------------------------------------

    def _typed(self) -> tuple[_Row, Config, ServerConfig | NanoConfig] | None:
        """The machine that is in the form, and the room around it; None where a field says something that cannot be."""
        self._keep()
        row = self._rows[self._row]
        self._show_trouble(None)
        room = self._others(row)
        try:
            return row, room, config_file.machine_form(row.values, row.role, room, row.before)
        except ConfigError as error:
            self._show_trouble(error)
            return None

    def _on_prepare(self) -> None:
        typed = self._typed()
        if typed is not None:
            _, room, machine = typed
            PrepareDialog(self.session, self._window.asker, config_file.with_machine(room, machine), machine.name,
                          self._window.opening.user_folder, self).open()

    def _on_test(self) -> None:
        typed = self._typed()
        if typed is None:
            return
        row, room, machine = typed
        self.test.setEnabled(False)
        row.tested, row.problem = t("window.machines.testing"), None
        self._show_test(row)
        folder = self._window.opening.user_folder

        def done(facts: MachineFacts) -> None:
            self.test.setEnabled(True)
            row.tested = t("window.machines.tested", milliseconds=round(1000 * facts.round_trip_s),
                           python=facts.python or "?", free=amount(facts.free_bytes, "bytes"))
            self._show_test(row)

        def failed(error: AiNanoError) -> None:
            self.test.setEnabled(True)
            row.tested, row.problem = "", error
            self._show_test(row)

        self.session.look(lambda: test_machine(machine, row.role, self._window.asker, folder, room), done, failed)

    def _others(self, than: _Row) -> Config:
        """The form's other machines, as far as it is filled in: a jump host may be one of them, saved or not."""
        room = self._kept
        for row in (one for one in self._rows if one is not than):
            with contextlib.suppress(ConfigError):
                room = config_file.with_machine(room, config_file.machine_form(row.values, row.role, room, row.before))
        return room

    def _on_save(self) -> None:
        busy = self.session.busy()
        if busy is not None:
            self.show_problem(busy)
            return
        self._keep()
        self._show_trouble(None)
        self.dismiss()
        room = self._kept
        for index, row in enumerate(self._rows):
            try:
                machine = config_file.machine_form(row.values, row.role, room, row.before)
            except ConfigError as error:
                self.machineList.setCurrentRow(index)
                self._show_trouble(error)
                return
            room = config_file.with_machine(room, machine)
        try:
            saved = config_file.save(room, self._window.opening.user_folder / "config.json")
        except AiNanoError as error:
            self.show_problem(error)
            return
        self._window.enter(saved)

    def _show_trouble(self, error: ConfigError | None) -> None:
        """At the form, with the cursor in the field that it is about."""
        self.trouble.setVisible(error is not None)
        if error is not None:
            self.trouble.setText(f"{error.what} {error.hint}")
            widget = getattr(self, str(error.params.get("key", "")).rpartition(".")[2], None)
            if isinstance(widget, QWidget):
                widget.setFocus()


    # ---- what runs there ---------------------------------------------------------------------------------------------

    def _on_side(self, index: int) -> None:
        self.sides.setCurrentIndex(index)
        self._name_tabs()
        self.dismiss()
        if self.sides.currentWidget() is self.running:
            self._look_at_runs()

    def _look_at_runs(self) -> None:
        self.running.show_asking()

        def done(answers: Mapping[str, list[Run] | AiNanoError]) -> None:
            missed = {name: answer for name, answer in answers.items() if isinstance(answer, AiNanoError)}
            found = [run for answer in answers.values() if not isinstance(answer, AiNanoError) for run in answer]
            self.running.show_answer(found, [name for name in answers if name not in missed], missed)

        self.session.runs(done, self._runs_failed)

    def _runs_failed(self, error: AiNanoError) -> None:
        self.running.show_answer((), (), {})
        self.show_problem(error)

    def _on_end_run(self, run: Run) -> None:
        """It may be somebody's work: asks first."""
        told = {"step": step_words(run), "machine": run["machine"], "age": duration(run["age_s"]),
                "student": run.get("student")}
        question = t("window.running.end.text" if told["student"] else "window.running.end.anonymous", **told)
        box = QMessageBox(QMessageBox.Question, t("window.running.end.title", **told), question, QMessageBox.NoButton, self)
        end = box.addButton(t("window.running.end.yes"), QMessageBox.DestructiveRole)
        box.setDefaultButton(box.addButton(t("window.running.end.no"), QMessageBox.RejectRole))

        def answered(_code: int) -> None:
            if box.clickedButton() is end:
                self.running.show_ending(run["machine"])
                self.session.end_run(run, lambda _ended: self._look_at_runs(), not_ended)

        def not_ended(error: AiNanoError) -> None:
            self._look_at_runs()
            self.show_problem(error)

        box.finished.connect(answered)
        box.open()


def _row(role: str, machine: MachineConfig | None, number: int = 1) -> _Row:
    if machine is None:
        return _Row(role, {"name": "DL" if role == config_file.SERVER else f"nano{number}", "port": "22"})
    values = {"name": machine.name, "ip": machine.host, "port": str(machine.port), "login": machine.login,
              "pwd": str(machine.password or ""), "key_file": str(machine.key_file or ""), "via": machine.via or ""}
    if isinstance(machine, NanoConfig):
        values |= {"pins": ", ".join(str(pin) for pin in machine.pins), "camera": machine.camera,
                   "turn": f"{machine.turn:g}", "container": machine.container or ""}
    return _Row(role, values, machine)
