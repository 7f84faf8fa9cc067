"""A room pack in the window: what is in it is shown, and nothing is written before somebody has said yes."""

from collections.abc import Callable
from pathlib import Path

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QLabel, QMessageBox, QWidget

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.errors import AiNanoError
from ai_nano.core.project import starter
from ai_nano.core.room import pack as room_pack
from ai_nano.core.room.config import Config
from ai_nano.core.room.pack import Pack
from ai_nano.core.room.pack_words import contents
from ai_nano.core.texts import t
from ai_nano.gui.session import Session


def ask(parent: QWidget, session: Session, file: Path, user_folder: Path, done: Callable[[Config, Path | None], object],
        failed: Callable[[AiNanoError], object]) -> None:
    """`done` gets the room, and the project that was made in the student's home of the pack's pictures."""
    def looked(found: Pack) -> None:
        box = QMessageBox(QMessageBox.Question, t("window.pack.title"), t("window.pack.question", file=file.name),
                          QMessageBox.NoButton, parent)
        box.setInformativeText("\n".join(contents(found)))
        for label in box.findChildren(QLabel):
            label.setTextFormat(Qt.PlainText)  # somebody else has written it
        yes = box.addButton(t("window.pack.yes"), QMessageBox.AcceptRole)
        box.setDefaultButton(box.addButton(t("window.bench.no"), QMessageBox.RejectRole))

        def answered(_code: int) -> None:
            clicked = box.clickedButton()
            box.deleteLater()
            if clicked is yes:
                session.look(lambda: starter.open_all(file, user_folder, ImageFiles(), None, Path.home()),
                             lambda both: done(*both), failed)

        box.finished.connect(answered)
        box.open()

    session.look(lambda: room_pack.check(file, user_folder), looked, failed)
