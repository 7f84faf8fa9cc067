"""The driver of the window's tests, tried on plain widgets."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PyQt5.QtCore import QEvent, QObject, QRect, QTimer
from PyQt5.QtGui import QFontDatabase, QImage
from PyQt5.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QGraphicsScene,
    QGraphicsView,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot
from user import User
from watchdog import Watchdog

ALL_KEYS = "".join(map(chr, range(32, 127)))


class Window(QMainWindow):
    """A window to which each test adds what it needs; `done` tells what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Plain window")
        self.resize(700, 500)
        self.done: list[str] = []
        self.box = QVBoxLayout()
        middle = QWidget()
        middle.setLayout(self.box)
        self.setCentralWidget(middle)

    def button(self, text: str, word: str | None = None) -> QPushButton:
        button = QPushButton(text)
        button.clicked.connect(lambda: self.done.append(word or text))
        return button

    def add(self, *widgets: QWidget) -> None:
        for widget in widgets:
            self.box.addWidget(widget)


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Window]:
    window = Window()
    qtbot.addWidget(window)
    yield window


def test_click_reaches_what_shows_the_text(window: Window, user: User) -> None:
    check, radio, tabs, things = QCheckBox("Keep &images"), QRadioButton("Fine"), QTabWidget(), QListWidget()
    tabs.addTab(QLabel("page one"), "&One")
    tabs.addTab(QLabel("page two"), "Two")
    things.addItems(["mug", "cat"])
    things.itemClicked.connect(lambda item: window.done.append(item.text()))
    window.add(window.button("&Save && close", "saved"), check, radio, tabs, things)
    window.show()
    user.click("Save & close")
    user.click("Keep images")
    user.click("Fine")
    user.click("Two")
    user.click("cat")
    assert window.done == ["saved", "cat"]
    assert check.isChecked() and radio.isChecked() and tabs.currentIndex() == 1
    assert user.sees("page two") and not user.sees("page one")


def test_two_clicks_are_no_double_click(window: Window, user: User) -> None:
    class Counter(QObject):
        doubles = 0

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            self.doubles += event.type() == QEvent.MouseButtonDblClick
            return False

    button, counter = window.button("Next"), Counter()
    button.installEventFilter(counter)
    window.add(button)
    window.show()
    for _ in range(3):
        user.click("Next")
    assert window.done == ["Next"] * 3 and counter.doubles == 0


def test_click_prefers_a_button_to_a_label_and_a_pattern_finds_a_part(window: Window, user: User) -> None:
    window.add(QLabel("<b>Train</b>"), window.button("Train"), QLabel("accuracy 97 %"))
    window.show()
    user.click("Train")
    assert window.done == ["Train"]
    assert user.wait_for(re.compile(r"accuracy \d+")) == "accuracy 97 %"


def test_a_frame_is_clicked_by_its_label(window: Window, user: User) -> None:
    class Card(QWidget):
        def mouseReleaseEvent(self, event: QEvent) -> None:
            window.done.append("card")

    card = Card()
    QHBoxLayout(card).addWidget(QLabel("mug"))
    window.add(card)
    window.show()
    user.click("mug")
    assert window.done == ["card"]


def test_click_waits_for_a_disabled_button(window: Window, user: User) -> None:
    button = window.button("Go")
    button.setEnabled(False)
    window.add(button)
    window.show()
    with pytest.raises(AssertionError, match="disabled(?s:.*)Plain window(?s:.*)Go"):
        user.click("Go", timeout=0.2)
    assert window.done == []
    QTimer.singleShot(100, lambda: button.setEnabled(True))
    user.click("Go")
    assert window.done == ["Go"]


def test_a_text_that_is_there_twice_is_an_error(window: Window, user: User) -> None:
    window.add(window.button("Start", "first"), window.button("Start", "second"))
    window.show()
    with pytest.raises(AssertionError, match="there 2 times"):
        user.click("Start", timeout=0.2)
    assert window.done == []
    user.click("Start", nth=2)
    assert window.done == ["second"]


def test_inside_chooses_the_card(window: Window, user: User) -> None:
    buttons = {}
    for name in ("mug", "cat"):
        group, row = QGroupBox(name), QVBoxLayout()
        buttons[name] = window.button("Start", name)
        row.addWidget(QLineEdit(f"{name} field"))
        row.addWidget(buttons[name])
        group.setLayout(row)
        window.add(group)
    window.show()
    user.click("Start", inside="cat")
    user.click("Start", inside="mug field")
    assert window.done == ["cat", "mug"]
    buttons["cat"].setText("Stop")
    with pytest.raises(AssertionError, match="not there together with"):
        user.click("Start", inside="cat", timeout=0.2)
    assert window.done == ["cat", "mug"]


def test_what_is_covered_is_not_clicked(window: Window, user: User, qtbot: QtBot) -> None:
    window.add(window.button("Under"))
    window.show()
    cover = QWidget()
    qtbot.addWidget(cover)
    cover.setGeometry(window.geometry())
    cover.show()
    user.wait_until_gone("Under")
    with pytest.raises(AssertionError, match="covered"):
        user.click("Under", timeout=0.2)
    cover.hide()
    glass = QWidget(window)
    glass.setGeometry(window.rect())
    glass.show()
    with pytest.raises(AssertionError, match="covered by QWidget"):
        user.click("Under", timeout=0.2)
    assert window.done == []


def test_click_scrolls_with_the_wheel_and_changes_nothing_on_the_way(window: Window, user: User) -> None:
    inner, rows, numbers, area = QWidget(), QVBoxLayout(), [], QScrollArea()
    for number in range(40):
        numbers.append(QSpinBox())
        rows.addWidget(numbers[-1])
        rows.addWidget(window.button(f"Row {number}"))
    inner.setLayout(rows)
    area.setWidget(inner)
    area.setWidgetResizable(True)
    window.add(area)
    window.show()
    assert user.sees("Row 0") and not user.sees("Row 39")
    user.click("Row 39")
    user.click("Row 20")
    user.click("Row 0")
    assert window.done == ["Row 39", "Row 20", "Row 0"]
    assert [number.value() for number in numbers] == [0] * 40


def test_fill_finds_the_input_and_types_every_key(window: Window, user: User) -> None:
    form, name, folder, count, share = QFormLayout(), QLineEdit("old"), QLineEdit(), QSpinBox(), QDoubleSpinBox()
    editable, password, below = QComboBox(), QLineEdit(), QLineEdit()
    count.setRange(0, 10000)
    count.setSuffix(" images")
    editable.setEditable(True)
    password.setEchoMode(QLineEdit.Password)
    folder.setPlaceholderText("Folder of images")
    form.addRow("&Name:", name)
    form.addRow("Count", count)
    form.addRow("Share", share)
    form.addRow("Camera", editable)
    form.addRow("Password", password)
    window.box.addLayout(form)
    window.add(folder, QLabel("Below me"), below)
    window.show()
    user.fill("Name", ALL_KEYS)
    user.fill("Folder of images", "/tmp/My_Folder:1")
    user.fill("Count", "1234")
    user.fill("Share", "0.25")
    user.fill("Camera", "webcam:0")
    user.fill("Password", "s3cret")
    user.fill("Below me", "here")
    assert (name.text(), folder.text(), count.value(), share.value()) == (ALL_KEYS, "/tmp/My_Folder:1", 1234, 0.25)
    assert (editable.currentText(), password.text(), below.text()) == ("webcam:0", "s3cret", "here")
    assert "s3cret" not in user.reads()
    user.fill("Name", "")
    assert name.text() == ""
    with pytest.raises(AssertionError, match="shows '9999"):
        count.setRange(0, 9999)
        user.fill("Count", "99999")
    name.setReadOnly(True)
    with pytest.raises(AssertionError, match="disabled"):
        user.fill("Name", "x", timeout=0.2)


def test_choose_opens_the_list_of_a_combo_box(window: Window, user: User) -> None:
    form, plain, editable = QFormLayout(), QComboBox(), QComboBox()
    plain.addItems(["quick", "fine", "classic"])
    editable.addItems([f"camera {number}" for number in range(60)])
    editable.setEditable(True)
    form.addRow("Recipe", plain)
    form.addRow("Camera", editable)
    window.box.addLayout(form)
    window.show()
    user.choose("Recipe", "classic")
    assert plain.currentText() == "classic"
    user.choose("Recipe", "classic")
    user.choose("Recipe", "quick")
    user.choose("Camera", "camera 55")
    assert (plain.currentText(), editable.currentText()) == ("quick", "camera 55")


def test_menu_bar_and_keys(window: Window, user: User) -> None:
    menu = window.menuBar().addMenu("&File")
    menu.addAction("&Open...", lambda: window.done.append("open"), "Ctrl+O")
    more = menu.addMenu("&More")
    more.addAction("Deep", lambda: window.done.append("deep"))
    window.add(QLabel("body"))
    window.show()
    user.click("File")
    assert user.sees("Open...") and user.sees("body")
    with pytest.raises(AssertionError, match="menu or list is open"):
        user.click("body", timeout=0.1)
    user.click("Open...")
    user.press("ctrl+o")
    user.click("File")
    user.click("More")
    user.click("Deep")
    user.click("File")
    user.press("Escape")
    assert not user.sees("Open...")
    assert window.done == ["open", "open", "deep"]


def test_menu_of_a_button(window: Window, user: User) -> None:
    """Qt opens it with exec(): the click is made together with the next deed."""
    tool, push = QToolButton(), QPushButton("Push")
    for button, word in ((tool, "copy"), (push, "paste")):
        menu = QMenu(button)
        menu.addAction(word, lambda word=word: window.done.append(word))
        menu.addMenu(f"more {word}").addAction(f"deep {word}", lambda word=word: window.done.append(f"deep {word}"))
        button.setMenu(menu)
    tool.setText("Tools")
    tool.setPopupMode(QToolButton.InstantPopup)
    window.add(tool, push)
    window.show()
    user.click("Tools")
    user.click("copy")
    user.click("Push")
    assert user.sees("paste")
    user.click("paste")
    user.click("Tools")
    user.click("more copy")
    user.click("deep copy")
    user.click("Push")
    user.press("Escape")
    assert not user.sees("paste")
    assert window.done == ["copy", "paste", "deep copy"]


def test_dialogs_that_are_opened(window: Window, user: User) -> None:
    dialog = QMessageBox(QMessageBox.Question, "Delete?", "All 20 images?", QMessageBox.Yes | QMessageBox.No, window)
    dialog.finished.connect(lambda result: window.done.append("yes" if result == QMessageBox.Yes else "no"))
    field, start = QLineEdit(), QPushButton("Delete")
    start.clicked.connect(dialog.open)
    window.add(start, field)
    window.show()
    user.click("Delete")
    assert user.wait_for("All 20 images?") and "Delete?" in user.reads()
    with pytest.raises(AssertionError, match=r"'Delete\?' is open"):
        user.click("Delete", timeout=0.1)
    user.click("Yes")
    user.wait_until_gone("All 20 images?")
    user.click("Delete")
    user.wait_for("All 20 images?")
    user.press("Escape")
    assert window.done == ["yes", "no"]
    field.setFocus()
    user.type("keys come back")
    assert field.text() == "keys come back"


def test_dialogs_with_exec(window: Window, user: User) -> None:
    """apart() lets a test go on in them; elsewhere they are closed, and named."""

    def ask() -> None:
        dialog = QDialog(window)
        dialog.setWindowTitle("Sure?")
        row = QVBoxLayout(dialog)
        row.addWidget(button := QPushButton("Sure"))
        button.clicked.connect(dialog.accept)
        window.done.append("accepted" if dialog.exec_() == QDialog.Accepted else "closed")
        dialog.deleteLater()

    button = QPushButton("Ask")
    button.clicked.connect(ask)
    window.add(button)
    window.show()

    def script() -> list[str]:
        user.click("Ask")
        texts = user.reads()
        user.click("Sure")
        return texts

    assert "Sure" in user.apart(script)
    assert window.done == ["accepted"]
    with pytest.raises(AssertionError, match=r"'Sure\?' was opened by exec"):
        user.click("Ask")
    assert window.done == ["accepted", "closed"]


def test_hold_keeps_the_mouse_down(window: Window, user: User) -> None:
    button, times = QPushButton("Record"), []
    button.pressed.connect(lambda: times.append(time.monotonic()))
    button.released.connect(lambda: times.append(time.monotonic()))
    window.add(button)
    window.show()
    user.hold("Record", 0.3)
    assert len(times) == 2 and 0.25 < times[1] - times[0] < 1.0


def test_reads_in_reading_order_what_is_in_view(window: Window, user: User) -> None:
    table, log, row, hidden = QTableWidget(2, 2), QPlainTextEdit(), QHBoxLayout(), QLabel("hidden")
    table.setHorizontalHeaderLabels(["class", "images"])
    table.verticalHeader().hide()
    for number, text in enumerate(["mug", "20", "cat", "30"]):
        table.setItem(number // 2, number % 2, QTableWidgetItem(text))
    log.setPlainText("\n".join(f"line {number}" for number in range(200)))
    log.setFixedHeight(60)
    row.addWidget(QLabel("left"))
    row.addWidget(QLabel("<i>right</i>"))
    window.box.addLayout(row)
    window.add(table, log, hidden, QLineEdit("value"))
    hidden.hide()
    window.show()
    user.wait_for("left")
    texts = user.reads()
    assert texts[:9] == ["Plain window", "left", "right", "class", "images", "mug", "20", "cat", "30"]
    assert texts[9:12] == ["line 0", "line 1", "line 2"] and texts[-1] == "value"
    assert "line 10" not in texts and "hidden" not in texts


def test_lists_and_trees_are_scrolled(window: Window, user: User) -> None:
    rows, tree = QListWidget(), QTreeWidget()
    rows.addItems([f"image {number}" for number in range(100)])
    rows.itemClicked.connect(lambda item: window.done.append(item.text()))
    tree.setHeaderLabels(["machine", "state"])
    for number in range(50):
        tree.addTopLevelItem(QTreeWidgetItem([f"nano {number}", "ready"]))
    tree.itemClicked.connect(lambda item: window.done.append(item.text(0)))
    window.add(rows, tree)
    window.show()
    user.click("image 60")
    user.click("nano 40")
    assert window.done == ["image 60", "nano 40"]
    assert not user.sees("image 0") and user.sees("state")


def test_text_that_widgets_draw_themselves(window: Window, user: User) -> None:
    class Bars(QWidget):
        def painted_texts(self) -> list[tuple[str, QRect]]:
            return [("mug\u00a0: 97 %", QRect(0, 0, 90, 20)), ("", QRect(0, 20, 90, 20))]

    scene, bars = QGraphicsScene(), Bars()
    scene.addText("epoch")
    bars.setMinimumHeight(50)
    window.add(QGraphicsView(scene), bars)
    window.show()
    assert user.wait_for("mug : 97 %") and user.sees("epoch")
    assert "" not in user.reads()


def test_screenshot(window: Window, user: User, tmp_path: Path) -> None:
    window.setStyleSheet("background: rgb(10, 200, 30)")
    window.show()
    user.wait_for("Plain window")
    user.screenshot(tmp_path / "screen.png")
    image = QImage(str(tmp_path / "screen.png"))
    assert (image.width(), image.height()) == (1280, 1024)
    assert image.pixelColor(window.geometry().center()).getRgb()[:3] == (10, 200, 30)


def test_waiting_handles_events(window: Window, user: User) -> None:
    label = QLabel("before")
    window.add(label)
    window.show()
    QTimer.singleShot(150, lambda: label.setText("after"))
    user.wait_until_gone("before", timeout=2)
    assert user.sees("after")
    with pytest.raises(AssertionError, match="cannot read 'never': it does not appear(?s:.*)after"):
        user.wait_for("never", timeout=0.1)
    QTimer.singleShot(50, label.hide)
    user.wait(0.1)
    assert not user.sees("after")


def test_watchdog_finds_a_stall_and_where_it_was(window: Window, qapp: QApplication) -> None:
    def stall_of_this_test() -> None:
        time.sleep(0.1)

    button = window.button("Work")
    button.clicked.connect(stall_of_this_test)
    window.add(button)
    window.show()
    with Watchdog() as dog, User(watchdog=dog) as user:
        user.click("Work")
        time.sleep(0.1)  # in the test, not in the window
        user.wait(0.05)
    long = [stall for stall in dog.report().stalls if "stall_of_this_test" in stall.stack]
    assert len(long) == 1 and 0.08 < long[0].seconds < 0.5
    assert dog.report().longest_s >= long[0].seconds
    assert not any("in the test" in stall.stack for stall in dog.report().stalls)


def test_watchdog_finds_nothing_in_an_idle_window(window: Window, qapp: QApplication) -> None:
    window.add(QLabel("idle"))
    window.show()
    with Watchdog() as dog, User(watchdog=dog) as user:
        user.wait_for("idle")
        user.wait(0.5)
    report = dog.report()
    assert report.seconds > 0.4
    # Others may take the machine away for a moment: then the GUI thread did not compute.
    assert [stall for stall in report.stalls if stall.cpu_s > 0.05] == []


def test_each_test_is_a_new_user(home: Path, qapp: QApplication) -> None:
    assert qapp.platformName() == "xcb"
    assert Path.home() == home and list((home / ".config").iterdir()) == []
    assert QFontDatabase().families(), "no font is installed: every letter would be an empty box"
