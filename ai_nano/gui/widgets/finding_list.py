"""What the doctor found at one machine: what is not fine first, each with the commands that mend it, to be copied."""

import functools
from collections.abc import Sequence

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ai_nano.core.doctor import findings
from ai_nano.core.doctor.findings import FAILURE, OK, UNKNOWN, WARNING, Finding, Mend
from ai_nano.core.texts import t
from ai_nano.gui import style

ICONS = {FAILURE: "failed", WARNING: "warning", UNKNOWN: "unknown", OK: "done"}
ICON = 20  # pixels


def colour(state: str) -> str:
    tokens = style.tokens()
    return {FAILURE: tokens.bad, WARNING: tokens.warn, OK: tokens.ok}.get(state, tokens.muted)


def label(text: str, role: str = "", wraps: bool = True) -> QLabel:
    made = QLabel(text)
    made.setTextFormat(Qt.PlainText)
    made.setWordWrap(wraps)
    made.setTextInteractionFlags(Qt.TextSelectableByMouse)
    if role:
        made.setProperty("role", role)
    return made


class FindingList(QScrollArea):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)

    def show_findings(self, found: Sequence[Finding], note: str) -> None:
        """`note` stands above them: what is going on, or that all is fine."""
        place = self.verticalScrollBar().value()
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(10)
        if note:
            column.addWidget(label(note, "note"))
        worst = findings.worst_first(found)
        for one in worst:
            if one.state != OK:
                column.addWidget(_trouble(one))
        fine = [one for one in worst if one.state == OK]
        if fine:
            column.addWidget(_fine(fine))
        column.addStretch(1)
        self.setWidget(inner)
        self.verticalScrollBar().setValue(place)


def _trouble(finding: Finding) -> QFrame:
    card = QFrame()
    card.setProperty("role", "card")
    row = QHBoxLayout(card)
    row.setContentsMargins(14, 12, 14, 12)
    row.setSpacing(12)
    icon = QLabel()
    icon.setPixmap(style.pixmap(ICONS[finding.state], colour(finding.state), ICON, card.devicePixelRatioF()))
    row.addWidget(icon, 0, Qt.AlignTop)
    words = QVBoxLayout()
    words.setSpacing(6)
    head = QHBoxLayout()
    head.addWidget(label(finding.title, "heading", wraps=False))
    head.addWidget(_figure(finding), 1)
    words.addLayout(head)
    words.addWidget(label(finding.text))
    for mend in finding.mends:
        words.addWidget(label(mend.text, "note"))
        words.addLayout(_command(mend))
    row.addLayout(words, 1)
    return card


def _figure(finding: Finding) -> QLabel:
    """One line; a path or a fingerprint that is longer than the page is wide is cut, and whole in its tip."""
    made = label(finding.figure, "note", wraps=False)
    made.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
    made.setToolTip(finding.figure)
    return made


def _command(mend: Mend) -> QHBoxLayout:
    """The command in a line that can be scrolled and marked, and a button that copies it whole."""
    row = QHBoxLayout()
    row.setSpacing(8)
    line = QLineEdit(mend.command)
    line.setReadOnly(True)
    line.setProperty("role", "command")
    line.setCursorPosition(0)
    line.setToolTip(mend.command)
    line.setAccessibleName(mend.command)
    copy = QPushButton(t("window.doctor.copy"))
    copy.clicked.connect(functools.partial(_copy, copy, mend.command))
    row.addWidget(line, 1)
    row.addWidget(copy)
    return row


def _copy(button: QPushButton, command: str, _checked: bool = False) -> None:
    QApplication.clipboard().setText(command)
    button.setText(t("window.copied"))


def _fine(found: Sequence[Finding]) -> QFrame:
    """In few words: a name and its figure each."""
    card = QFrame()
    card.setProperty("role", "card")
    column = QVBoxLayout(card)
    column.setContentsMargins(14, 12, 14, 12)
    column.setSpacing(4)
    column.addWidget(label(t("window.doctor.fine"), "heading"))
    for one in found:
        row = QHBoxLayout()
        row.setSpacing(8)
        tick = QLabel()
        tick.setPixmap(style.pixmap("tick", colour(OK), 14, card.devicePixelRatioF()))
        row.addWidget(tick)
        name = label(one.title, wraps=False)
        name.setMinimumWidth(190)
        name.setSizePolicy(QSizePolicy.Fixed, QSizePolicy.Preferred)
        row.addWidget(name)
        row.addWidget(_figure(one), 1)
        column.addLayout(row)
    return card
