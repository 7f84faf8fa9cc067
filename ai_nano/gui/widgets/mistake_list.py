"""The most confident mistakes with their images."""

from collections.abc import Mapping, Sequence

from PyQt5.QtCore import QSize, Qt
from PyQt5.QtGui import QIcon, QImage, QPixmap, QResizeEvent
from PyQt5.QtWidgets import QAbstractItemView, QListView, QListWidget, QListWidgetItem, QWidget

from ai_nano.core.figures import percent
from ai_nano.core.report import Report, Sample
from ai_nano.core.texts import t
from ai_nano.gui import style

PICTURE = QSize(160, 90)
CELL = QSize(182, 146)
MOST = 24
NO_BREAK = "\u00a0"


def mistakes(told: Report) -> list[Sample]:
    """The most confident first."""
    return sorted((one for one in told.samples if not one.right), key=lambda one: -(one.confidence or 0.0))


class MistakeList(QListWidget):
    """As high as its rows of pictures."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListView.IconMode)
        self.setResizeMode(QListView.Adjust)
        self.setMovement(QListView.Static)
        self.setSelectionMode(QAbstractItemView.NoSelection)
        self.setFocusPolicy(Qt.NoFocus)
        self.setWordWrap(True)
        self.setIconSize(PICTURE)
        self.setGridSize(CELL)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        style.set_role(self, "pictures")

    def show_samples(self, samples: Sequence[Sample], pictures: Mapping[str, QImage]) -> None:
        """`pictures` by file; one that is not there has its words alone."""
        self.clear()
        for sample in samples[:MOST]:
            item = QListWidgetItem(t("window.report.mistake", name=sample.name, predicted=sample.predicted,
                                     confidence=percent(sample.confidence, 0).replace(" ", NO_BREAK)))
            item.setToolTip(style.plain(sample.file))
            item.setTextAlignment(int(Qt.AlignHCenter | Qt.AlignTop))
            if sample.file in pictures:
                item.setIcon(QIcon(QPixmap.fromImage(pictures[sample.file])))
            self.addItem(item)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        columns = max(1, (self.width() - 20) // CELL.width())
        rows = -(-self.count() // columns)
        if self.height() != max(1, rows) * CELL.height() + 14:
            self.setFixedHeight(max(1, rows) * CELL.height() + 14)
