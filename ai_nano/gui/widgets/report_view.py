"""A report's figures in the window: the same as report.html tells."""

from collections.abc import Mapping, Sequence

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ai_nano.core.figures import amount, duration, percent
from ai_nano.core.nano import nano_test
from ai_nano.core.nano.nano_test import NanoTest
from ai_nano.core.recipes import NETWORKS, word
from ai_nano.core.report import Report
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.widgets.calibration_chart import CalibrationChart
from ai_nano.gui.widgets.figure_table import ConfusionTable, FigureTable
from ai_nano.gui.widgets.mistake_list import MistakeList, mistakes


class ReportView(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 6, 0)
        self._rows.setSpacing(12)

    def clear(self) -> None:
        while self._rows.count():
            old = self._rows.takeAt(0).widget()
            if old is not None:
                old.hide()
                old.deleteLater()

    def show_figures(self, told: Report, pictures: Mapping[str, QImage], tests: Sequence[NanoTest] = ()) -> None:
        """`pictures` of the mistakes, by file."""
        self.clear()
        self._rows.addWidget(self._chips(told))
        self._rows.addWidget(_side_by_side(self._confusion(told), self._per_class(told)))
        self._rows.addWidget(self._mistakes(told, pictures))
        if tests:
            self._rows.addWidget(self._nanos(told, tests))
        right = [self._export(told), self._numbers(told)]
        self._rows.addWidget(_side_by_side(self._calibration(told), _column(right)))
        self._rows.addStretch(1)

    def _chips(self, told: Report) -> QWidget:
        seconds = "–" if told.total_s is None else duration(told.total_s)
        chips = [(percent(told.test_accuracy), "test"), (percent(told.val_accuracy), "val"),
                 (" / ".join(str(count) for count in told.images.values()), "images"), (seconds, "seconds"),
                 (f"{word(told.recipe)}, {NETWORKS.get(told.arch, told.arch)}", "recipe")]
        around, column = _card()
        row = QHBoxLayout()
        row.setSpacing(18)
        for value, name in chips:
            pair = QVBoxLayout()
            pair.setSpacing(0)
            pair.addWidget(_label(value, "big" if name == "test" else "heading"), 1, Qt.AlignBottom)
            pair.addWidget(_label(t(f"window.report.{name}"), "note"))
            row.addLayout(pair)
        row.addStretch(1)
        column.addLayout(row)
        if words := _in_words(told):
            column.addWidget(_label(words, "", wrap=True))
        return around

    def _confusion(self, told: Report) -> QWidget:
        table = ConfusionTable()
        table.show_matrix(told.classes, told.confusion)
        return _section("window.report.confusion", [_label(t("window.report.confusion.how"), "note", wrap=True), table])

    def _per_class(self, told: Report) -> QWidget:
        table = FigureTable()
        columns = [t(f"window.report.{name}") for name in ("class", "precision", "recall", "count")]
        table.show_rows(columns, [(name, percent(one.precision, 0), percent(one.recall, 0), str(one.images))
                                  for name, one in told.per_class.items()])
        return _section("window.report.classes", [table])

    def _mistakes(self, told: Report, pictures: Mapping[str, QImage]) -> QWidget:
        wrong = mistakes(told)
        if not wrong:
            return _section("window.report.mistakes", [_label(t("window.report.mistakes.none"), "note")])
        pictured = MistakeList()
        pictured.show_samples(wrong, pictures)
        return _section("window.report.mistakes", [pictured])

    def _calibration(self, told: Report) -> QWidget:
        if told.calibration is None:
            return _section("window.report.calibration", [_label("–", "note")])
        chart = CalibrationChart()
        chart.show_bins(told.calibration.after.bins)
        words = t("window.report.calibration.how", after=percent(told.calibration.after.ece),
                  before=percent(told.calibration.before.ece), temperature=f"{told.calibration.temperature:.2f}")
        return _section("window.report.calibration", [chart, _label(words, "note", wrap=True)])

    def _export(self, told: Report) -> QWidget:
        done = told.export
        if done is None:
            return _section("window.report.export", [_label(t("window.report.export.none"), "note", wrap=True)])
        rows = [(t("window.report.export.same"), t("window.report.export.same.value", share=percent(done.agreement, 0),
                                                   images=done.images)),
                (t("window.report.export.difference"), f"{done.max_difference:.1g}")]
        if done.refused:
            rows.append((t("window.report.export.refused"), ", ".join(done.refused)))
        if done.fp16 is not None:
            rows.append((t("window.report.export.half"), t("window.report.export.half.value",
                                                           accuracy=percent(done.fp16.accuracy),
                                                           share=percent(done.fp16.agreement, 0))))
        if done.milliseconds is not None:
            rows.append((t("window.report.onnx_milliseconds"), f"{done.milliseconds:.1f} ms"))
        return _section("window.report.export", [_pairs(rows)])

    def _nanos(self, told: Report, tests: Sequence[NanoTest]) -> QWidget:
        table = FigureTable()
        table.show_rows(nano_test.headings(), nano_test.rows(told, tests))
        return _section("window.report.nanos", [table])

    def _numbers(self, told: Report) -> QWidget:
        rows = [(t("window.report.stage", stage=word(one.stage)),
                 t("window.report.stage.value", seconds="–" if one.seconds is None else duration(one.seconds),
                   val=percent(one.val_accuracy))) for one in told.stages]
        if told.parameters is not None:
            rows.append((t("window.report.parameters"), f"{told.parameters / 1e6:.1f} M"))
        if told.bytes is not None:
            rows.append((t("window.report.bytes"), amount(told.bytes, "bytes")))
        if told.milliseconds is not None:
            rows.append((t("window.report.milliseconds", device=told.device or "?"), f"{told.milliseconds:.1f} ms"))
        return _section("window.report.numbers", [_pairs(rows)] if rows else [_label("–", "note")])


def _in_words(told: Report) -> str:
    if not told.tested or told.interval is None:
        return t("window.report.no_test") if not told.tested else ""
    return t("window.report.between", images=told.tested, right=told.right, low=percent(told.interval[0], 0),
             high=percent(told.interval[1], 0))


def _label(text: str, role: str, wrap: bool = False) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.PlainText)
    label.setText(text)
    label.setWordWrap(wrap)
    if role:
        style.set_role(label, role)
    return label


def _pairs(rows: Sequence[tuple[str, str]]) -> QWidget:
    """What is measured, and its value, one below the other; long ones are wrapped."""
    around = QWidget()
    grid = QGridLayout(around)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(7)
    for place, (name, value) in enumerate(rows):
        for column, label in enumerate((_label(name, "note", wrap=True), _label(value, "figure", wrap=True))):
            grid.addWidget(label, place, column, Qt.AlignTop)
            grid.setColumnStretch(column, 1)
    return around


def _card() -> tuple[QFrame, QVBoxLayout]:
    card = QFrame()
    style.set_role(card, "card")
    column = QVBoxLayout(card)
    column.setContentsMargins(16, 12, 16, 14)
    column.setSpacing(8)
    return card, column


def _section(title: str, widgets: Sequence[QWidget]) -> QWidget:
    card, column = _card()
    column.addWidget(_label(t(title), "heading"))
    for widget in widgets:
        column.addWidget(widget)
    column.addStretch(1)
    return card


def _column(widgets: Sequence[QWidget]) -> QWidget:
    around = QWidget()
    column = QVBoxLayout(around)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(12)
    for place, widget in enumerate(widgets):
        column.addWidget(widget, 1 if place == len(widgets) - 1 else 0)
    return around


def _side_by_side(left: QWidget, right: QWidget) -> QWidget:
    around = QWidget()
    row = QHBoxLayout(around)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(12)
    row.addWidget(left, 1)
    row.addWidget(right, 1)
    return around
