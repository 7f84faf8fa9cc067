"""What the driver of the window's tests reads, and how it waits, on plain widgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain import Window
from PyQt5.QtCore import QRect, QTimer
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import (
    QGraphicsScene,
    QGraphicsView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)
from user import User


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
