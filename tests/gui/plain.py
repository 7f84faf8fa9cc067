"""A window of plain Qt widgets, on which the driver and the watchdog are tried."""

from __future__ import annotations

from PyQt5.QtWidgets import QMainWindow, QPushButton, QVBoxLayout, QWidget


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
