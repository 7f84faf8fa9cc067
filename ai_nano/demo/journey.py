"""The whole journey in the embedded classroom, on a terminal: eight steps, then cards before the Nano's camera.

Every step is started as a student's would be; this module only holds up the cards, and judges at the end.
"""

import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from ai_nano.core import bundle, report
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, CameraError, ContactLost, MachineError, MissingPrerequisite, WorkFailed
from ai_nano.core.events import Event, Listener, Log, Prediction, Progress, State
from ai_nano.core.figures import percent
from ai_nano.core.files import write_json
from ai_nano.core.lanes import Lanes
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.running import Running
from ai_nano.core.texts import t
from ai_nano.core.workflow import Workflow
from ai_nano.demo.classroom import Classroom
from ai_nano.demo.verdict import EMPTY, SETTLE_S, Verdict, judge, read_lines
from ai_nano.lab import Lab, build_lab, build_workflow
from ai_nano.steps import project
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.export import ExportOptions, write_page
from ai_nano.steps.infer import InferOptions
from ai_nano.steps.record import RecordOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions

CLASSES = ("cat", "coffee", "rocket", EMPTY)
DEFAULT_FOLDER = Path("ai_nano-demo")
MARKER = "made-by-ai-nano-demo"
SEED = 0

TAKES = 4
IMAGES_A_TAKE = 30
RECORD_FPS = 25.0
# Four fresh takes of each card, at least 20 frames each: more than 300 frames in all.
SHOWINGS = 4
FRAMES_A_SHOWING = 20
SHOWING_TIMEOUT_S = 12.0
FIRST_FRAME_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class DemoOptions:
    """`folder` None: `ai_nano-demo` in the current folder. What an earlier demo left there is replaced."""

    folder: Path | None = None


class NobodyAsks:
    """The embedded classroom's host keys and logins are in its config: a question would be a mistake."""

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


@dataclass(frozen=True)
class Outcome:
    workspace: Path
    report: Path
    verdict: Verdict
    test_accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        return {"step": "demo", "workspace": str(self.workspace), "report": str(self.report), "screenshots": [],
                "accuracy": self.verdict.accuracy, "frames": self.verdict.frames, "test_accuracy": self.test_accuracy,
                "led_share": self.verdict.led_share}

    @property
    def text(self) -> str:
        return t("demo.passed", workspace=self.workspace, report=self.report)


def run_demo(options: DemoOptions, emit: Listener, cancel: CancelToken) -> Outcome:
    """All eight steps anew. Raises WorkFailed when the Nano lit a wrong LED or was wrong too often."""
    folder = prepare_folder(options.folder)
    try:
        with Classroom(folder / "classroom", SEED) as classroom, Journey(folder, classroom, emit, cancel) as journey:
            journey.prepare()
            return journey.present()
    except (MachineError, CameraError, MissingPrerequisite, ContactLost) as error:
        # Here the machines are the demo's own: whatever they refuse, it is the demo that failed.
        raise WorkFailed("demo.failed", what=error.what, details=[error.why, error.hint, *error.details]) from error


def prepare_folder(wanted: Path | None) -> Path:
    """The demo's folder, always anew; but one that is not an earlier demo's is nobody's to delete. Raises BadInput."""
    folder = (wanted or DEFAULT_FOLDER).absolute()
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARKER).exists()):
            raise BadInput("demo.folder", folder=folder)
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise BadInput("workspace.read_only", folder=folder) from error
    return folder


class Journey:
    """Steps 1 to 6 are `prepare`, 7 and 8 with the verdict `present`; used with `with`, since its room must be closed."""

    def __init__(self, folder: Path, classroom: Classroom, emit: Listener, cancel: CancelToken,
                 showings: int = SHOWINGS) -> None:
        self.folder = folder
        self.classroom = classroom
        self.emit = emit
        self.cancel = cancel
        self._showings = showings
        self._lanes = Lanes()
        self._lab = build_lab(classroom.config, NobodyAsks(), classroom.folder)
        self.workflow: Workflow

    def __enter__(self) -> "Journey":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lanes.close()
        self._lab.close()

    def prepare(self) -> None:
        """From a new project to an exported model."""
        self.emit(State("project", "running", "status.running"))
        workspace = project.create(self.folder, project.ProjectOptions(CLASSES, "demo"))
        self.emit(Log("project.created", {"folder": self.folder, "classes": CLASSES}))
        self.open(workspace)
        for name in CLASSES:
            self.record(name)
        for step, step_options in (("split", SplitOptions(seed=SEED)), ("upload", UploadOptions()),
                                   ("train", TrainOptions(seed=SEED)), ("export", ExportOptions())):
            self.carry_out(step, step_options)

    def open(self, workspace: Workspace) -> None:
        self.workflow = build_workflow(workspace, self._lab, self._lanes)

    def present(self) -> Outcome:
        """Push the model, show the cards, judge."""
        self.carry_out("deploy", DeployOptions())
        predictions = self.show_cards()
        return self.conclude(predictions)

    def carry_out(self, step: str, options: object, listener: Listener | None = None) -> Receipt:
        running = self.workflow.start(step, options, listener or self.emit)
        return self.wait(running)

    def wait(self, running: Running) -> Receipt:
        while not running.future.done():
            if self.cancel.wait(0.05):
                running.cancel()
                return running.result()
        return running.result()

    # ---- step 2 ------------------------------------------------------------------------------------------------------

    def record(self, name: str) -> None:
        """Several takes of one card, each in another pose, light and place; one progress bar for all."""
        total = TAKES * IMAGES_A_TAKE
        for take in range(TAKES):
            def listener(event: Event, take: int = take) -> None:
                if isinstance(event, Progress):
                    done = take * IMAGES_A_TAKE + event.done
                    self.emit(replace(event, done=done, total=total, eta_s=(total - done) / RECORD_FPS))
                elif take == 0 and name == CLASSES[0] and isinstance(event, State):
                    self.emit(event)
                elif take == TAKES - 1 and isinstance(event, Log):
                    self.emit(event)

            self.classroom.stage.show("laptop", _card(name), "record", take)
            self.carry_out("record", RecordOptions(name, count=IMAGES_A_TAKE, fps=RECORD_FPS), listener)

    # ---- step 8 ------------------------------------------------------------------------------------------------------

    def show_cards(self) -> list[Prediction]:
        """Hold fresh takes before the Nano's camera, one after another; returns every prediction that came."""
        watch = _Watch(self.emit)
        running = self.workflow.start("infer", InferOptions(), watch)
        try:
            self._await(lambda: watch.count_since(0.0) > 0, running, FIRST_FRAME_TIMEOUT_S)
            for take in range(self._showings):
                for name in CLASSES:
                    since = self.classroom.stage.show("nano", _card(name), "show", take) + SETTLE_S
                    self._await(lambda since=since: watch.count_since(since) >= FRAMES_A_SHOWING, running,
                                SHOWING_TIMEOUT_S)
                    last = watch.last()
                    mark = "✓" if last is not None and list(last.lit) == self._pins(name) else "✗"
                    self.emit(Log("demo.showing", {"name": name, "words": last.text if last else t("demo.no_frame"),
                                                   "mark": mark}))
            # One more change, so that the stage's record says when the last card was taken away.
            self.classroom.stage.show("nano", None, "show", self._showings)
        finally:
            running.cancel()
        running.result()
        return watch.predictions

    def _pins(self, name: str) -> list[int]:
        """The pin of a class, by the student's order of classes and the config; none for those beyond the last pin."""
        pins, index = self._lab.nano_config(None).pins, CLASSES.index(name)
        return [pins[index]] if index < len(pins) else []

    def _await(self, condition: Any, running: Running, seconds: float) -> None:
        """Wait for frames; where the Nano is too slow for as many, the verdict counts what came."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            if running.future.done():
                running.result()
            if self.cancel.wait(0.02):
                running.cancel()
                running.future.exception()
                self.cancel.check()

    # ---- the end -----------------------------------------------------------------------------------------------------

    def conclude(self, predictions: list[Prediction]) -> Outcome:
        workspace, lab = self.workflow.workspace, self._lab
        pins = {name: pin for name in CLASSES for pin in self._pins(name)}
        verdict = judge(read_lines(self.classroom.stage.record), read_lines(self.classroom.leds_file), predictions, pins)
        write_json(self.folder / "showing.json", verdict.to_json())
        model = str(workspace.receipts["export"].facts["model"])
        figures = self._write_report(workspace, lab, model, verdict)
        self.emit(Log("demo.figures", {
            "frames": verdict.frames, "accuracy": percent(verdict.accuracy), "leds": percent(verdict.led_share),
            "test": percent(figures.test_accuracy), "images": figures.images["test"]}))
        details = [t("demo.row", name=row.showing.card, expected=sorted(row.expected) or "-", share=percent(row.led_share),
                     seen=[f"{name} {count}" for name, count in row.seen.items()]) for row in verdict.rows]
        if not verdict.leds_agree:
            raise WorkFailed("demo.leds_disagree", details=details, leds=self.classroom.leds_file,
                             stage=self.classroom.stage.record)
        if not verdict.accurate:
            raise WorkFailed("demo.inaccurate", details=details, accuracy=percent(verdict.accuracy), frames=verdict.frames)
        return Outcome(self.folder, workspace.model_folder(model) / bundle.REPORT_HTML, verdict, figures.test_accuracy)

    def _write_report(self, workspace: Workspace, lab: Lab, model: str, verdict: Verdict) -> report.Report:
        """The training's report again, with the figure of the fresh takes beside the split's."""
        fresh = report.Fresh(verdict.accuracy, verdict.frames, verdict.confusion(CLASSES))
        return write_page(workspace, workspace.model_folder(model), lab.images, fresh)


class _Watch:
    """Keeps the predictions, and passes everything on."""

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self.predictions: list[Prediction] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Prediction):
            with self._lock:
                self.predictions.append(event)
        self._emit(event)

    def count_since(self, t: float) -> int:
        with self._lock:
            return sum(1 for one in self.predictions if one.t >= t)

    def last(self) -> Prediction | None:
        with self._lock:
            return self.predictions[-1] if self.predictions else None


def _card(name: str) -> str | None:
    return None if name == EMPTY else name
