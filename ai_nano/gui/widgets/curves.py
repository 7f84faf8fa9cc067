"""The learning curves: loss and accuracy, for train and val, as they come."""

from collections.abc import Sequence
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QColor, QFont
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ai_nano.core.events import Metric
from ai_nano.core.recipes import word
from ai_nano.core.report import Epoch
from ai_nano.core.texts import t
from ai_nano.gui import style

MOST_POINTS = 5000
MOST_STAGES = 8


class Curves(QWidget):
    """Empty until `prepare`: pyqtgraph takes half a second to import, which is nobody's wait at the start."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(14)
        self._words = QLabel()
        self._words.setAlignment(Qt.AlignCenter)
        self._words.setProperty("role", "note")
        self._layout.addWidget(self._words)
        self._metrics: list[Metric | Epoch] = []
        self._plots: dict[str, Any] = {}
        self._lines: dict[tuple[str, str], Any] = {}
        self._legends: list[Any] = []
        self._marks: list[tuple[Any, Any]] = []
        self._pyqtgraph: Any = None

    @property
    def epochs(self) -> Sequence[int]:
        return [one.epoch for one in self._metrics]

    def prepare(self, pyqtgraph: Any) -> None:
        """Make the plots; `pyqtgraph` is the imported module."""
        if self._plots:
            return
        self._words.hide()
        self._pyqtgraph = pyqtgraph
        for name in ("loss", "accuracy"):
            plot = pyqtgraph.PlotWidget()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.showGrid(x=False, y=True, alpha=0.25)
            if name == "accuracy":
                plot.setYRange(0, 1.04)
            plot.setMinimumSize(200, 120)
            self._legends.append(plot.addLegend(offset=(-10, 10) if name == "loss" else (-10, -34)))
            self._plots[name] = plot
            card = QFrame()
            style.set_role(card, "card")
            inside = QVBoxLayout(card)
            inside.setContentsMargins(8, 8, 12, 6)
            inside.addWidget(plot)
            self._layout.addWidget(card, 1)
            for part in ("train", "val"):
                self._lines[name, part] = plot.plot([], [], name=part)
        self.restyle(pyqtgraph)
        self._draw()

    def restyle(self, pyqtgraph: Any) -> None:
        """Colours and words of now."""
        tokens = style.tokens()
        font = QFont(self.font())
        font.setPointSizeF(tokens.small_pt)
        for name, plot in self._plots.items():
            plot.setBackground(tokens.surface)
            plot.setTitle(t(f"window.train.{name}"), color=tokens.text, size=f"{tokens.font_pt}pt")
            for axis in ("left", "bottom"):
                plot.getAxis(axis).setPen(tokens.border)
                plot.getAxis(axis).setTextPen(tokens.muted)
                plot.getAxis(axis).setTickFont(font)
            plot.setLabel("bottom", t("window.train.epoch"), color=tokens.muted)
        for (_, part), line in self._lines.items():
            colour = tokens.train_curve if part == "train" else tokens.val_curve
            dash = Qt.SolidLine if part == "train" else Qt.DashLine
            line.setPen(pyqtgraph.mkPen(QColor(colour), width=2, style=dash))
        for legend in self._legends:
            for _, label in legend.items:
                label.setText(label.text, color=tokens.text)
        self._mark_stages()

    def show_words(self, words: str) -> None:
        self._words.setText(words)

    def clear(self) -> None:
        self._metrics = []
        self._draw()

    def add(self, metrics: Sequence[Metric | Epoch]) -> None:
        self._metrics += metrics
        del self._metrics[:-MOST_POINTS]
        self._draw()

    def _draw(self) -> None:
        for (name, part), line in self._lines.items():
            points = [(one.epoch, getattr(one, f"{part}_{name}")) for one in self._metrics]
            points = [(epoch, value) for epoch, value in points if value is not None]
            line.setData([epoch for epoch, _ in points], [value for _, value in points])
        self._mark_stages()

    def _mark_stages(self) -> None:
        """A thin line where each stage of the training begins, with its name at the accuracy's."""
        for plot, mark in self._marks:
            plot.removeItem(mark)
        self._marks = []
        tokens = style.tokens()
        pairs = list(zip(self._metrics, self._metrics[1:], strict=False))
        begun = [later for earlier, later in pairs if later.stage != earlier.stage][-MOST_STAGES:]
        for one in [*self._metrics[:1], *begun] if begun else []:
            for name, plot in self._plots.items():
                beside = {"position": 0.06, "color": tokens.muted, "anchors": [(0, 1), (0, 1)]}
                told = {"label": word(one.stage or ""), "labelOpts": beside}
                mark = self._pyqtgraph.InfiniteLine(one.epoch, angle=90, **(told if name == "accuracy" else {}),
                                                    pen=self._pyqtgraph.mkPen(QColor(tokens.border), width=1))
                plot.addItem(mark, ignoreBounds=True)
                self._marks.append((plot, mark))
