"""All models of the project that have a report: listed, compared side by side, deployed again."""

import time
from collections.abc import Callable, Collection, Sequence

from PyQt5.QtCore import QItemSelectionModel
from PyQt5.QtWidgets import QLabel, QPushButton, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import amount, duration, percent
from ai_nano.core.recipes import NETWORKS, word
from ai_nano.core.report import model_runs
from ai_nano.core.report.model_runs import ModelRun
from ai_nano.core.texts import t
from ai_nano.gui.pages.base import Page
from ai_nano.gui.session import Session
from ai_nano.gui.shell import Shell
from ai_nano.gui.widgets.figure_table import FigureTable

COLUMNS = ("model", "recipe", "arch", "test", "images", "seconds", "when", "where")
COMPARED = ("recipe", "arch", "test", "interval", "val", "ece", "images", "seconds", "milliseconds", "bytes", "seed", "when",
            "where")

OnModel = Callable[[str], None]


class RunsPage(Page):
    file = "runs"
    table: FigureTable
    comparing: QLabel
    compared: FigureTable
    none: QLabel
    filler: QWidget
    report: QPushButton
    deploy: QPushButton
    back: QPushButton

    def __init__(self, session: Session, window: Shell, on_report: OnModel, on_deploy: OnModel) -> None:
        """`on_report` and `on_deploy` are given a model."""
        super().__init__(session)
        self._runs: Sequence[ModelRun] = ()
        self.table.choose_rows()
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.table.itemDoubleClicked.connect(lambda _item: self._with_chosen(on_report))
        self.report.clicked.connect(lambda: self._with_chosen(on_report))
        self.deploy.clicked.connect(lambda: self._with_chosen(on_deploy))
        self.back.clicked.connect(lambda: window.show_page("train"))
        session.changed.connect(self._on_changed)

    @property
    def chosen(self) -> list[ModelRun]:
        """In the order of the list."""
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        return [self._runs[row] for row in rows if row < len(self._runs)]

    def entered(self) -> None:
        super().entered()
        self._look()

    def _on_changed(self) -> None:
        if self.isVisible():
            self._look()

    def _look(self) -> None:
        """The reports are read beside the window."""
        workspace = self.session.workspace
        if workspace is None:
            self._show([])
            return

        def failed(error: AiNanoError) -> None:
            self.show_problem(error)

        self.session.look(lambda: model_runs.runs(workspace),
                          lambda found: self._show(found) if workspace is self.session.workspace else None, failed)

    def _show(self, found: Sequence[ModelRun]) -> None:
        if found != self._runs:
            kept = {run.model for run in self.chosen}
            self._runs = found
            self._draw(kept)

    def redraw(self) -> None:
        self._draw({run.model for run in self.chosen})

    def _draw(self, chosen: Collection[str]) -> None:
        """The list anew; what was chosen stays so."""
        self.table.show_rows([t(f"window.runs.{name}") for name in COLUMNS],
                             [[cell(run, name) for name in COLUMNS] for run in self._runs])
        self.none.setVisible(not self._runs)
        self.table.setVisible(bool(self._runs))
        model, selection = self.table.model(), self.table.selectionModel()
        selection.clearSelection()
        for row, run in enumerate(self._runs):
            if run.model in chosen:
                selection.select(model.index(row, 0), QItemSelectionModel.Select | QItemSelectionModel.Rows)
        self._show_chosen()

    def _show_chosen(self) -> None:
        chosen = self.chosen
        self.report.setEnabled(len(chosen) == 1)
        self.deploy.setEnabled(len(chosen) == 1 and chosen[0].exported)
        several = len(chosen) > 1
        self.comparing.setVisible(several)
        self.compared.setVisible(several)
        self.filler.setVisible(not several)
        if several:
            rows = [[t(f"window.runs.{name}"), *(cell(run, name) for run in chosen)] for name in COMPARED]
            self.compared.show_rows(["", *(run.model for run in chosen)], rows, fit=False)

    def _with_chosen(self, do: OnModel) -> None:
        chosen = self.chosen
        if len(chosen) == 1:
            do(chosen[0].model)


def cell(run: ModelRun, name: str) -> str:
    """What a table says of a run."""
    told = run.report
    match name:
        case "model":
            return run.model
        case "recipe":
            return word(told.recipe)
        case "arch":
            return NETWORKS.get(told.arch, told.arch)
        case "test":
            return model_runs.with_interval(told)
        case "val":
            return percent(told.val_accuracy)
        case "interval":
            return "–" if told.interval is None else t("window.runs.between", low=percent(told.interval[0]),
                                                       high=percent(told.interval[1]))
        case "ece":
            return percent(run.ece)
        case "images":
            return str(sum(told.images.values()))
        case "seconds":
            return "–" if told.total_s is None else duration(told.total_s)
        case "milliseconds":
            return "–" if told.milliseconds is None else f"{told.milliseconds:.1f} ms"
        case "bytes":
            return "–" if told.bytes is None else amount(told.bytes, "bytes")
        case "seed":
            return "–" if told.settings.get("seed") is None else f"{told.settings['seed']:.0f}"
        case "when":
            return time.strftime("%d.%m. %H:%M", time.localtime(run.at))
        case "where":
            if run.nanos or run.exported:
                return ", ".join(run.nanos)
            return t("window.runs.so_far" if run.so_far else "window.runs.not_exported")
    raise AssertionError(name)
