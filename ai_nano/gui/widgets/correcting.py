"""“That was wrong”: which class a frame really shows, asked in place of the bars; and what the student is to do with it then.

The frames are those of a running classification, frozen by a button, and those of which it was not sure, which it kept.
"""

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent
from PyQt5.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Log, Prediction
from ai_nano.core.figures import percent
from ai_nano.core.keeper import Keeper
from ai_nano.core.ports import Bitmap, Picture
from ai_nano.core.project.corrections import Corrections, Seen, refusal
from ai_nano.core.project.uncertain import UncertainFrame, UncertainFrames
from ai_nano.core.texts import t
from ai_nano.core.watching import Kept
from ai_nano.core.workflow import Workflow
from ai_nano.gui import style
from ai_nano.gui.inbox import Batch
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.afterwards import Afterwards
from ai_nano.gui.widgets.video import VideoView
from ai_nano.steps.keeping import ANSWER_S, full_size

COLUMNS = 2
PICTURE = (1280, 720)
# Predictions come on another channel than pictures, before or after them.
KEPT_PREDICTIONS = 120


@dataclass
class _Wrong:
    """A frame that is being put right: `said` once its prediction is there, which may come after its picture, `kept` once the
    program has answered, `class_name` once the student has."""

    workflow: Workflow
    corrections: Corrections
    model: str
    picture: Picture
    said: Prediction | None
    t: float = field(default_factory=time.time)
    kept: Kept | None = None
    class_name: str | None = None


@dataclass
class _Sorting:
    """The uncertain frames that are gone through; `takes` by camera."""

    workflow: Workflow
    store: UncertainFrames
    frames: list[UncertainFrame]
    total: int
    takes: dict[str, Corrections] = field(default_factory=dict)


class Correcting(QFrame):
    """Hidden unless a question is open. `button` is the one that says “That was wrong”, `view` has the frame that it is about,
    `instead_of` gives way meanwhile. `changed`: a question was opened or closed. `trouble`: an AiNanoError for the page.
    """

    changed = pyqtSignal()
    trouble = pyqtSignal(object)

    def __init__(self, session: Session, go: Callable[[str], object], button: QPushButton, view: VideoView,
                 instead_of: Sequence[QWidget]) -> None:
        super().__init__()
        self._session = session
        self._button, self._view, self._instead_of = button, view, tuple(instead_of)
        self._model = self._camera = ""
        self._keeper = Keeper()
        self._corrections: Corrections | None = None
        self._picture: Picture | None = None
        self._predictions: OrderedDict[int, Prediction] = OrderedDict()
        self._wrong: _Wrong | None = None
        self._sorting: _Sorting | None = None
        self._choices: list[QPushButton] = []
        self.afterwards = Afterwards(session, go, self.sort)
        self._build()
        button.clicked.connect(self.ask)
        button.setEnabled(False)
        self.hide()
        self.retranslate()

    def _build(self) -> None:
        self._title, self._note = QLabel(), QLabel()
        style.set_role(self._title, "heading")
        style.set_role(self._note, "note")
        for label in (self._title, self._note):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
        self._bin, self._close = QPushButton(), QPushButton()
        self._bin.clicked.connect(self._on_bin)
        self._close.clicked.connect(self.close_question)
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 6, 0)
        self._grid.setSpacing(6)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        area.setWidget(inside)
        below = QHBoxLayout()
        below.addWidget(self._bin)
        below.addStretch(1)
        below.addWidget(self._close)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for widget in (self._title, self._note):
            column.addWidget(widget)
        column.addWidget(area, 1)
        column.addLayout(below)

    # ---- what the page tells -------------------------------------------------------------------------------------------

    def begin(self, model: str, camera: str) -> Keeper:
        """A session begins; what is put right in it is one take. The keeper is for its options."""
        self._model, self._camera = model, camera
        self._keeper, self._corrections, self._picture = Keeper(), None, None
        self._predictions.clear()
        self.afterwards.forget_what_is_learned()
        return self._keeper

    def end(self) -> None:
        """The session is over; a question that is open stays."""
        self._picture = None
        self._button.setEnabled(False)

    def hear(self, batch: Batch, laptop: bool) -> None:
        """The predictions of this computer, or those of a Nano."""
        for event in batch.recent:
            if (event.machine == "laptop") is laptop:
                self._predictions[event.frame] = event
        wrong = self._wrong
        if wrong is not None and wrong.said is None and wrong.picture.frame in self._predictions:
            wrong.said = self._predictions[wrong.picture.frame]
            self.retranslate()
            self.changed.emit()
        while len(self._predictions) > KEPT_PREDICTIONS:
            self._predictions.popitem(last=False)
        told = [line.event for line in batch.lines if isinstance(line.event, Log) and line.event.code == "infer.uncertain_kept"]
        if told:
            self.afterwards.show_uncertain(int(str(told[-1].params["count"])))

    def show_picture(self, picture: Picture) -> None:
        """The page shows it now."""
        self._picture = picture
        self._button.setEnabled(True)

    @property
    def frozen(self) -> bool:
        """Picture and words of the page are those of the question."""
        return self._wrong is not None or self._sorting is not None

    @property
    def said(self) -> str | None:
        """What the model said of the frame in question; None while that is not known."""
        if self._wrong is not None and self._wrong.said is not None:
            return _said(self._wrong.said.class_name, self._wrong.said.sure)
        if self._sorting is not None and self._sorting.frames:
            seen = self._sorting.frames[0].seen
            return _said(seen.class_name, seen.confidence)
        return None

    # ---- a frame that was wrong ------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Freeze the picture, and ask the program for that very frame before it is gone."""
        workflow, picture = self._session.workflow, self._picture
        if picture is None or self.frozen:
            return
        newest = next(reversed(self._predictions.values()), None)
        classes = newest.probabilities if newest is not None else ()
        refused = refusal(workflow.workspace if workflow is not None else None, classes)
        if refused is not None or workflow is None:
            self.trouble.emit(refused)
            return
        if self._corrections is None:
            self._corrections = Corrections(workflow.workspace, self._camera)
        self._wrong = wrong = _Wrong(workflow, self._corrections, self._model, picture,
                                     self._predictions.get(picture.frame))
        keeper = self._keeper

        def answered(kept: Kept) -> None:
            wrong.kept = kept
            self._save_when_known(wrong)

        self._session.look(lambda: keeper.fetch(picture.frame, ANSWER_S), answered)
        self._open(workflow)

    def _save_when_known(self, wrong: _Wrong) -> None:
        name, kept, lab = wrong.class_name, wrong.kept, self._session.lab
        if name is None or kept is None or lab is None:
            return
        seen = Seen(wrong.model, wrong.said.class_name, wrong.said.sure) if wrong.said is not None else None

        def save() -> None:
            shot = full_size(kept, wrong.picture, wrong.t, lab.images)
            with wrong.workflow.correcting():
                wrong.corrections.add(shot, name, seen)

        self._session.look(save, lambda _: self._added(name), self.trouble.emit)

    def _added(self, name: str) -> None:
        self.afterwards.added(name)
        self._session.refresh()

    # ---- uncertain frames --------------------------------------------------------------------------------------------------

    def sort(self) -> None:
        """Go through the uncertain frames of the workspace, oldest first."""
        workflow = self._session.workflow
        if workflow is None or self.frozen:
            return
        store = UncertainFrames(workflow.workspace)

        def found(frames: list[UncertainFrame]) -> None:
            if not self.frozen and workflow is self._session.workflow:
                self._sorting = _Sorting(workflow, store, frames, len(frames))
                self._show_next()

        self._session.look(store.frames, found, self.trouble.emit)

    def _show_next(self) -> None:
        sorting, lab = self._sorting, self._session.lab
        if sorting is None or lab is None:
            return
        if not sorting.frames:
            self.close_question()
            return
        frame = sorting.frames[0]

        def shown(bitmap: Bitmap | None) -> None:
            if self._sorting is sorting and bitmap is not None:
                self._view.show_bitmap(bitmap)

        self._view.show_words("")
        self._session.look(lambda: lab.images.bitmap(frame.path.read_bytes(), *PICTURE), shown)
        self._open(sorting.workflow)

    def _settle(self, work: Callable[[UncertainFrame], object], done: Callable[[], object]) -> None:
        sorting = self._sorting
        if sorting is None:
            return
        frame = sorting.frames.pop(0)
        self._enable(False)

        def over(_result: object) -> None:
            done()
            if self._sorting is sorting:
                self._show_next()

        def failed(error: AiNanoError) -> None:
            self.close_question()
            self.trouble.emit(error)

        self._session.look(lambda: work(frame), over, failed)

    def _on_bin(self) -> None:
        if self._sorting is not None:
            self._settle(self._sorting.store.bin, lambda: None)

    # ---- the question --------------------------------------------------------------------------------------------------

    def _open(self, workflow: Workflow) -> None:
        for choice in self._choices:
            self._grid.removeWidget(choice)
            choice.deleteLater()
        self._choices = []
        for place, name in enumerate(workflow.workspace.classes):
            choice = QPushButton(name.replace("&", "&&"))
            choice.setToolTip(style.plain(name))
            choice.setMinimumWidth(40)
            choice.clicked.connect(functools.partial(self._on_chosen, name))
            self._grid.addWidget(choice, place // COLUMNS, place % COLUMNS)
            self._choices.append(choice)
        self._grid.setRowStretch(len(self._choices), 1)
        self._button.setEnabled(False)
        self.retranslate()
        self._enable(True)
        for widget in self._instead_of:
            widget.hide()
        self.afterwards.give_way(True)
        self.show()
        if self._choices:
            self._choices[0].setFocus()
        self.changed.emit()

    def _enable(self, so: bool) -> None:
        for widget in (*self._choices, self._bin):
            widget.setEnabled(so)

    def _on_chosen(self, name: str, _checked: bool = False) -> None:
        wrong, sorting = self._wrong, self._sorting
        if wrong is not None:
            wrong.class_name = name
            self._save_when_known(wrong)
            self.close_question()
        elif sorting is not None:
            def settle(frame: UncertainFrame) -> None:
                take = sorting.takes.setdefault(frame.camera, Corrections(sorting.workflow.workspace, frame.camera))
                with sorting.workflow.correcting():
                    sorting.store.settle(frame, name, take)

            self._settle(settle, lambda: self._added(name))

    def close_question(self) -> None:
        """Without an answer, unless one was given."""
        self._wrong = self._sorting = None
        self.hide()
        for widget in self._instead_of:
            widget.show()
        self.afterwards.give_way(False)
        self._button.setEnabled(self._picture is not None)
        self.afterwards.look()
        self.changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key_Escape:
            self.close_question()
        else:
            super().keyPressEvent(event)

    def retranslate(self) -> None:
        sorting = self._sorting
        self._bin.setVisible(sorting is not None)
        self._bin.setText(t("window.uncertain.bin"))
        self._close.setText(t("window.uncertain.later" if sorting is not None else "window.cancel"))
        if sorting is not None and sorting.frames:
            number = sorting.total - len(sorting.frames) + 1
            self._title.setText(t("window.uncertain.title", number=number, count=sorting.total))
            self._note.setText(t("window.uncertain.said", said=self.said))
        elif self._wrong is not None:
            self._title.setText(t("window.correct.title"))
            self._note.setText(t("window.correct.frozen") if self.said is None else t("window.correct.said", said=self.said))
        self.afterwards.retranslate()


def _said(name: str | None, confidence: float) -> str:
    if name is None:
        return t("window.correct.nothing", confidence=percent(confidence))
    return f"{name} {percent(confidence)}"
