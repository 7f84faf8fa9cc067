"""The driver of the window's tests, tried on plain widgets."""

from __future__ import annotations

import re
import time

import pytest
from plain import Window
from PyQt5.QtCore import QEvent, QObject, QTimer
from PyQt5.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QMenu,
    QMessageBox,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSpinBox,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot
from user import User

ALL_KEYS = "".join(map(chr, range(32, 127)))


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
