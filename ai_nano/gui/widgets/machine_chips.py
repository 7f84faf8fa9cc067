"""The machines of the room by name and state, in the status bar."""

from collections.abc import Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from ai_nano.core.ports import MachineReport
from ai_nano.core.texts import t
from ai_nano.gui import style

# With more machines the words would not fit; icon, colour and tool tip still tell.
WORDS_UP_TO = 4
# The rest is in a menu: a room has a dozen Nanos, a status bar has no room for them.
SHOWN = 6


class MachineChips(QWidget):
    check_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(8, 2, 8, 2)
        self._row.setSpacing(4)
        self._row.addStretch(1)
        self._chips: list[QToolButton] = []
        self._more = self._make(0)
        self._more.hide()

    def show_reports(self, reports: Sequence[MachineReport]) -> None:
        shown, rest = reports[:SHOWN], reports[SHOWN:]
        while len(self._chips) > len(shown):
            self._chips.pop().deleteLater()
        while len(self._chips) < len(shown):
            self._chips.append(self._make(len(self._chips)))
        self._more.setVisible(bool(rest))
        self._more.setText(f"+{len(rest)}")
        self._fill_more(self._more.menu(), rest)
        for chip, report in zip(self._chips, shown, strict=True):
            word = report.text
            colour, _ = style.tokens().of(report.state.value)
            chip.setIcon(style.icon("unknown" if report.state.value == "unknown" else "dot", colour, 14))
            chip.setText(f"{report.name}: {word}" if len(reports) <= WORDS_UP_TO else report.name)
            why = report.error.what if report.error is not None else word
            chip.setToolTip(f"{report.name}: {why}")
            self._fill(chip.menu(), report, why)

    def _make(self, place: int) -> QToolButton:
        chip = QToolButton(self)
        chip.setToolButtonStyle(Qt.ToolButtonTextBesideIcon)
        chip.setAutoRaise(True)
        chip.setPopupMode(QToolButton.InstantPopup)
        chip.setMenu(QMenu(chip))
        self._row.insertWidget(place, chip)
        return chip

    def _fill_more(self, menu: QMenu, reports: Sequence[MachineReport]) -> None:
        menu.clear()
        for report in reports:
            colour, _ = style.tokens().of(report.state.value)
            menu.addAction(style.icon("dot", colour, 14), f"{report.name}: {report.text}")
        menu.addSeparator()
        menu.addAction(t("window.machine.check")).triggered.connect(lambda: self.check_wanted.emit())

    def _fill(self, menu: QMenu, report: MachineReport, why: str) -> None:
        menu.clear()
        menu.addAction(f"{report.name}: {why}").setEnabled(False)
        if report.error is not None:
            menu.addAction(f"→ {report.error.hint}").setEnabled(False)
        menu.addSeparator()
        menu.addAction(t("window.machine.check")).triggered.connect(lambda: self.check_wanted.emit())
