"""A question before something is done that cannot be undone."""

from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QMessageBox, QWidget

from ai_nano.core.texts import t


def confirm(parent: QWidget, title: str, question: str, yes: str, do: Callable[[], object]) -> None:
    """Asks, and carries out `do` if the answer is yes; no is the default. `yes` is the button's word."""
    box = QMessageBox(QMessageBox.Question, title, question, QMessageBox.NoButton, parent)
    box.setTextFormat(Qt.PlainText)  # names from other machines are in it
    sure = box.addButton(yes, QMessageBox.DestructiveRole)
    box.setDefaultButton(box.addButton(t("window.bench.no"), QMessageBox.RejectRole))

    def answered(_code: int) -> None:
        box.deleteLater()
        if box.clickedButton() is sure:
            do()

    box.finished.connect(answered)
    box.open()
