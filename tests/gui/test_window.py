"""The window's parts by themselves: texts, themes, the log, what comes from other threads."""

from __future__ import annotations

import json
import re
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PyQt5 import uic
from PyQt5.QtCore import QCoreApplication
from PyQt5.QtWidgets import QApplication, QWidget
from rooms import opening, window
from user import User
from watchdog import Watchdog

from ai_nano import resources
from ai_nano.core import texts
from ai_nano.core.errors import MachineError
from ai_nano.core.events import Log, Metric, Prediction, Progress, State
from ai_nano.core.ports import Answer, MachineReport, MachineState
from ai_nano.core.secret import Secret
from ai_nano.core.texts import catalogue
from ai_nano.core.workflow import STEPS
from ai_nano.demo.classroom import Classroom
from ai_nano.gui import ui_files
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.inbox import KEPT_LINES, Inbox
from ai_nano.gui.questions import WindowQuestions
from ai_nano.gui.style.sheet import stylesheet
from ai_nano.gui.style.tokens import THEMES
from ai_nano.gui.widgets.class_bars import ClassBars
from ai_nano.gui.widgets.curves import Curves
from ai_nano.gui.widgets.error_box import ErrorBox
from ai_nano.gui.widgets.led_board import LedBoard
from ai_nano.gui.widgets.log_panel import LogPanel
from ai_nano.gui.widgets.machine_chips import MachineChips

GUI = Path(ui_files.__file__).parent
UI_FILES = sorted(path.stem for path in resources.ui_folder().glob("*.ui"))


# ---- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UI_FILES)
def test_a_text_in_designer_is_the_catalogues_english(name: str) -> None:
    for prop in ElementTree.parse(resources.ui_folder() / f"{name}.ui").iter("property"):
        string = prop.find("string")
        if string is not None and string.text and string.get("notr") != "true":
            code = string.get("comment")
            assert code, f"{string.text!r} has no code"
            assert catalogue("en").gettext(code) == string.text


@pytest.mark.parametrize("name", UI_FILES)
def test_a_file_opens_as_designer_opens_it(name: str) -> None:
    assert isinstance(uic.loadUi(str(resources.ui_folder() / f"{name}.ui")), QWidget)


def test_each_step_has_a_page_of_its_own() -> None:
    assert set(STEPS) <= set(UI_FILES)


def test_no_page_knows_a_colour() -> None:
    for path in GUI.rglob("*.py"):
        if path.parent.name != "style":
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b|QColor\(\d|\brgba?\(", path.read_text())
            assert not found, f"{path.name}: {found}"


@pytest.mark.parametrize("theme", THEMES)
def test_the_stylesheet_is_made_from_the_tokens_alone(theme: str) -> None:
    sheet = stylesheet(THEMES[theme], "/icons")
    colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", sheet))
    assert colours and colours <= {value for value in vars(THEMES[theme]).values() if isinstance(value, str)}


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_its_ground(theme: str) -> None:
    """WCAG's contrast for text, 4.5 to 1."""
    tokens = THEMES[theme]
    for front, back in (("text", "window"), ("text", "surface"), ("muted", "surface"), ("muted", "window"),
                        ("accent", "accent_soft"), ("ok", "ok_soft"), ("warn", "warn_soft"), ("warn", "surface"),
                        ("bad", "bad_soft"), ("warn", "window"), ("text", "bad_soft"), ("text", "warn_soft"),
                        ("on_accent", "accent"), ("on_screen", "screen"), ("on_screen", "board"), ("muted", "side"),
                        ("text", "accent_soft")):
        light, dark = sorted((luminance(getattr(tokens, front)), luminance(getattr(tokens, back))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{front} on {back}"


@pytest.mark.parametrize("theme", THEMES)
def test_the_border_of_a_field_can_be_seen(theme: str) -> None:
    """WCAG's contrast for what is not text, 3 to 1."""
    tokens = THEMES[theme]
    for back in ("field", "surface", "window"):
        light, dark = sorted((luminance(tokens.strong_border), luminance(getattr(tokens, back))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, back


def luminance(colour: str) -> float:
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# ---- language and theme while it runs ----------------------------------------------------------------------------------


def test_language_and_theme_change_at_once_and_are_remembered(tmp_path: Path) -> None:
    with Classroom(tmp_path / "classroom") as classroom:
        told = opening(tmp_path, config_file=classroom.config_file)
        with window(told) as shown, User() as user:
            user.wait_for("1 · Project", 20)
            shown.main_menu.choose_language("fr")
            shown.main_menu.choose_theme("dark")
            user.wait_for("1 · Projet")
            user.wait_for("Projet OK")
            user.wait_for(re.compile("^DL : |^DL: (présente|connectée)"))
            both = [*ui_files.texts("main_window"), *ui_files.texts("project")]
            english = {catalogue("en").gettext(text.code) for text in both
                       if catalogue("en").gettext(text.code) != catalogue("fr").gettext(text.code)}
            assert not english & set(user.reads())
            assert shown.settings.language == "fr" and shown.settings.theme == "dark"
    texts.set_language(None)


# ---- the log and the inbox ---------------------------------------------------------------------------------------------


def test_a_flood_of_lines_is_bounded_and_said() -> None:
    inbox = Inbox()
    for number in range(10 * KEPT_LINES):
        inbox.put(Log("", raw=f"line {number}"))
    batch = inbox.fetch()
    assert len(batch.lines) == KEPT_LINES and batch.dropped == 9 * KEPT_LINES
    assert batch.lines[-1].event.text == f"line {10 * KEPT_LINES - 1}"
    assert not inbox.fetch()


def test_of_progress_and_predictions_the_newest_arrives_and_every_metric() -> None:
    inbox = Inbox()
    for number in range(1, 6):
        inbox.put(Progress("upload", number, 5, "bytes"))
        inbox.put(Metric(number, 5, 1.0, 0.5, None, None, None, None))
        inbox.put(Prediction("nano1", number, 0.0, "cat", 0, 0.9, {"cat": 0.9}, (12,)))
    inbox.put(State("upload", "running", "status.running"))
    batch = inbox.fetch()
    assert batch.progress["upload"].done == 5 and [one.epoch for one in batch.metrics] == [1, 2, 3, 4, 5]
    assert batch.predictions["nano1"].frame == 5 and batch.prediction_count == 5 and batch.states == 1
    assert [line.event.text for line in batch.lines] == ["cat 90.0 %, pin 12 is lit"]  # the same again is not said again


def test_a_flood_does_not_hold_up_the_window(user: User) -> None:
    """A hundred thousand lines within two seconds: never 200 ms of computing in one go."""
    panel, inbox, stop = LogPanel(), Inbox(), threading.Event()
    panel.resize(800, 150)
    panel.show()

    def flood() -> None:
        for number in range(100_000):
            inbox.put(Log("", level="output", machine="DL", raw=f"{number}: " + "x" * 90))
            if number % 500 == 0 and stop.wait(0.005):
                return

    thread = threading.Thread(target=flood)
    with Watchdog() as watchdog:
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            user.wait(0.05)
            panel.add(inbox.fetch())
    stop.set()
    thread.join()
    panel.add(inbox.fetch())
    # What the thread computed, not how long it had to wait for a processor.
    assert not [stall for stall in watchdog.report().stalls if stall.cpu_s > 0.2], watchdog.report()
    assert any("99999: x" in text for text in user.reads())


def test_the_bridge_calls_in_the_windows_thread_and_in_order(user: User) -> None:
    bridge, called, here = Bridge(), [], threading.get_ident()

    def post() -> None:
        for number in range(100):
            bridge.post(lambda number=number: called.append((number, threading.get_ident())))  # type: ignore[misc]

    thread = threading.Thread(target=post)
    thread.start()
    thread.join()
    user.wait(0.1)
    assert called == [(number, here) for number in range(100)]
    bridge.post(lambda: called.append((-1, here)))
    bridge.close()
    user.wait(0.05)
    assert len(called) == 100


# ---- widgets -----------------------------------------------------------------------------------------------------------


def test_the_led_board_mirrors_the_pins(user: User) -> None:
    board = LedBoard()
    board.set_classes(["cat", "cup", "日本", "nothing"], [7, 11, 40])
    board.show()
    board.show_lit([40])
    QCoreApplication.processEvents()
    assert [text for text in user.reads() if text in ("lit", "dark", "no pin")].count("lit") == 1
    assert board.lit == [40] and user.sees("pin 40") and user.sees("no pin")
    board.show_lit([])
    assert board.lit == []


def test_an_error_says_what_why_and_what_to_try(user: User) -> None:
    box = ErrorBox()
    error = MachineError("machine.refused", machine="DL", host="10.0.0.1", port=22, details=["line one"])
    box.show_error(error)
    box.show()
    user.wait_for(error.what)
    assert user.sees(error.why) and user.sees(f"→ {error.hint}")
    user.click("Copy details")
    user.wait_for("Copied")
    assert QApplication.clipboard().text().splitlines()[0] == "machine.refused"
    assert "line one" in QApplication.clipboard().text()


def test_curves_take_a_missing_val(user: User) -> None:
    import pyqtgraph

    curves = Curves()
    curves.resize(600, 200)
    curves.show()
    curves.add([Metric(1, 2, 0.5, 0.9, None, None, None, None)])
    curves.prepare(pyqtgraph)
    curves.add([Metric(2, 2, 0.4, 0.95, 0.5, 0.9, None, None)])
    user.wait(0.1)
    assert curves.epochs == [1, 2]


# ---- questions ---------------------------------------------------------------------------------------------------------


def test_two_questions_are_put_one_after_the_other(user: User) -> None:
    bridge = Bridge()
    questions = WindowQuestions(bridge)
    answers: dict[str, bool] = {}
    threads = [threading.Thread(target=lambda name=name: answers.update(  # type: ignore[misc]
        {name: questions.trust_host_key(name, "ssh-ed25519", f"SHA256:{name}")})) for name in ("DL", "nano1")]
    threads[0].start()
    user.wait_for(re.compile("SHA256:DL"))
    threads[1].start()
    user.wait(0.1)
    assert not user.sees(re.compile("SHA256:nano1"))
    user.click("Yes, it is")
    user.wait_for(re.compile("SHA256:nano1"))
    user.click("No, stop")
    for thread in threads:
        thread.join(5)
    assert answers == {"DL": True, "nano1": False}


def test_who_still_waits_when_the_window_closes_is_told_no(user: User) -> None:
    questions = WindowQuestions(Bridge())
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(questions.password("DL", "nano", True)))
    thread.start()
    user.wait_for(re.compile("DL"))
    questions.close()
    thread.join(5)
    assert answers == [None]


class Asked:
    """A password that is asked for in a thread, as a connection does it."""

    def __init__(self, can_keep: bool) -> None:
        questions = WindowQuestions(Bridge())
        self._answers: list[Answer | None] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(questions.password("DL", "ada", can_keep)))
        self._thread.start()

    def answer(self) -> Answer | None:
        self._thread.join(5)
        return self._answers[0]


@pytest.mark.parametrize("keep", [True, False])
def test_a_password_and_whether_it_may_be_remembered(user: User, keep: bool) -> None:
    asked = Asked(can_keep=True)
    user.wait_for("Log in to DL")
    user.fill("Password of ada on DL:", "s3cret")
    assert not user.sees(re.compile("s3cret"))
    if keep:
        user.click("Remember it on this computer")
    user.click("Log in")
    assert asked.answer() == Answer(Secret("s3cret"), keep)


def test_where_nothing_can_be_remembered_it_is_not_offered(user: User) -> None:
    asked = Asked(can_keep=False)
    user.wait_for("Password of ada on DL:")
    assert not user.sees("Remember it on this computer")
    user.type("s3cret")
    user.press("Return")
    assert asked.answer() == Answer(Secret("s3cret"))


def test_a_password_that_is_not_given_in_french(user: User) -> None:
    texts.set_language("fr")
    asked = Asked(can_keep=True)
    user.wait_for("Mot de passe de ada sur DL :")
    assert user.sees("Le retenir sur cet ordinateur") and user.sees("Se connecter")
    user.click("Annuler")
    assert asked.answer() is None


@pytest.mark.parametrize("password", ["geheim", ""])
def test_a_config_that_others_can_read_is_warned_of(tmp_path: Path, password: str) -> None:
    file = tmp_path / "room.json"
    file.write_text(json.dumps({"DL_server": {"ip": "127.0.0.1", "port": 1, "login": "x", "pwd": password}}))
    file.chmod(0o644)
    with window(opening(tmp_path, config_file=file)), User() as user:
        user.wait_for(re.compile("DL"))
        if password:
            user.wait_for(re.compile(f"chmod 600 {file}"))
        else:
            user.wait(0.3)
        told = " ".join(user.reads())
        assert ("chmod" in told) is bool(password) and "geheim" not in told


def test_a_mistake_of_ours_is_a_sentence_in_the_page(tmp_path: Path) -> None:
    with window(opening(tmp_path)) as shown, User() as user:
        user.wait_for("Welcome to ai_nano")
        shown.show_unexpected(ZeroDivisionError("division by zero"))
        user.wait_for(re.compile(r"should not have happened \(ZeroDivisionError\)"))
        assert not user.sees(re.compile("Traceback"))


def test_a_dozen_nanos_fit_into_the_status_bar(user: User) -> None:
    chips = MachineChips()
    reports = [MachineReport(f"nano-bench-{number}", MachineState.REACHABLE) for number in range(1, 14)]
    chips.show_reports(reports)
    chips.show()
    assert user.sees("nano-bench-6") and not user.sees("nano-bench-7") and user.sees("+7")
    assert chips.sizeHint().width() < 1000
    chips.show_reports(reports[:2])
    user.wait_for("nano-bench-2: there")
    assert not user.sees("+7")


def test_twenty_classes_with_long_names_keep_the_page_narrow(user: User) -> None:
    names = [f"a class with quite a long name, number {number}" for number in range(20)]
    bars, board = ClassBars(), LedBoard()
    bars.set_classes(names, 0.6)
    board.set_classes(names, [12, 16, 18])
    for widget in (bars, board):
        assert widget.minimumSizeHint().width() < 560
        widget.deleteLater()
