"""The question before an instructor takes a Nano over: who is ended, what becomes of those who wait, and what comes then."""

from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QCheckBox, QMessageBox, QWidget

from ai_nano.core.overview import room
from ai_nano.core.overview.room import Nano
from ai_nano.core.texts import t


def ask(parent: QWidget, nano: Nano, do: Callable[[bool, bool], object]) -> None:
    """`do` gets whether those who wait are ended as well, and whether the instructor wants to start something there."""
    box = QMessageBox(QMessageBox.Question, t("window.room.take_over.title", machine=nano.name),
                      room.question(nano, everybody=False), QMessageBox.NoButton, parent)
    box.setTextFormat(Qt.PlainText)  # names from other machines are in it
    own = QCheckBox(t("window.room.take_over.own"))
    box.setCheckBox(own)
    first = box.addButton(t("window.room.take_over.one" if nano.queue else "window.room.take_over.yes"),
                          QMessageBox.DestructiveRole)
    everybody = (box.addButton(t("window.room.take_over.all", count=len(nano.queue)), QMessageBox.DestructiveRole)
                 if nano.queue else None)
    box.setDefaultButton(box.addButton(t("window.bench.no"), QMessageBox.RejectRole))

    def answered(_code: int) -> None:
        clicked, wanted = box.clickedButton(), own.isChecked()
        box.deleteLater()
        if clicked is first or (everybody is not None and clicked is everybody):
            do(clicked is everybody, wanted)

    box.finished.connect(answered)
    box.open()
