"""What the window works on: the room, the workspace in it, the steps that run, and what is known of all of them.

Lives in the Qt thread. Whatever may take longer than a moment is done elsewhere and comes back over the bridge.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from ai_nano.core import runs, wire
from ai_nano.core.errors import AiNanoError, Cancelled, Detached, MissingPrerequisite
from ai_nano.core.events import Log
from ai_nano.core.lanes import Lanes
from ai_nano.core.overview import stepping_in
from ai_nano.core.ports import CameraOptions, Questions
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.recording import camera_options
from ai_nano.core.room import defaults
from ai_nano.core.room.config import Config
from ai_nano.core.room.ended import whose
from ai_nano.core.running import Running, Status, StepStatus
from ai_nano.core.runs import Run
from ai_nano.core.unexpected import explained
from ai_nano.core.workflow import Workflow, start_alone
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.inbox import Batch, Inbox
from ai_nano.lab import Lab, build_lab, build_workflow, steps
from ai_nano.steps.project import ProjectOptions, open_or_create

T = TypeVar("T")

DRAIN_MS = 50
MACHINES_MS = 1000
# Newer sshd versions shut out frequent visitors who do not log in.
LOOK_AROUND_S = 30
END_WAIT_S = 12.0


class Session(QObject):
    """Signals: `arrived` a Batch of events; `changed` statuses, workspace or room; `started` and `ended` a step."""

    arrived = pyqtSignal(object)
    changed = pyqtSignal()
    started = pyqtSignal(str)
    ended = pyqtSignal(str, object)
    machines_changed = pyqtSignal()

    def __init__(self, bridge: Bridge, questions: Questions, folder: Path) -> None:
        super().__init__()
        self.bridge = bridge
        self.inbox = Inbox()
        self.lab: Lab | None = None
        self.workflow: Workflow | None = None
        self.statuses: dict[str, StepStatus] = {}
        self.errors: dict[str, AiNanoError] = {}
        self._questions = questions
        self._folder = folder
        self._lanes = Lanes()
        self._running: dict[str, Running | None] = {}
        self._threads: list[threading.Thread] = []
        self._looking = self._look_again = False
        self._machines_before: object = None
        self._ticks = 0
        self._drain = QTimer(self)
        self._drain.timeout.connect(self.drain)
        self._drain.start(DRAIN_MS)
        self._machine_timer = QTimer(self)
        self._machine_timer.timeout.connect(self._watch_machines)
        self._machine_timer.start(MACHINES_MS)

    # ---- the room and the workspace ----------------------------------------------------------------------------------

    @property
    def workspace(self) -> Workspace | None:
        return self.workflow.workspace if self.workflow is not None else None

    @property
    def config(self) -> Config:
        assert self.lab is not None, "a page of the eight steps is shown in a room only"
        return self.lab.config

    def enter(self, config: Config, folder: Path | None = None) -> None:
        """Into the room that the config names; `folder` is where its known_hosts lies (None: the user's).

        Not while a step runs (`busy`): it would be left alone in the old room.
        """
        self.leave_workspace()
        if self.lab is not None:
            old = self.lab
            self._thread(old.close, "leave-room")
        self.lab = build_lab(config, self._questions, folder or self._folder, patience_s=None)
        self._machines_before, self._ticks = None, 0
        if config.open_to_others:
            self.inbox.put(Log("config.open_to_others", {"file": config.path}, "warning"))
        self.changed.emit()
        self.look_around()

    def open(self, path: Path, options: ProjectOptions, done: Callable[[str], object],
             failed: Callable[[AiNanoError], object]) -> None:
        """Step 1: the workspace that is there, whoever made it, else a new one with these options.

        `done` gets the step at which it goes on. While a step runs, the workspace that it works on stays open.
        """
        lab, current = self.lab, self.workflow
        assert lab is not None, "a workspace is opened in a room"
        if current is not None and current.workspace.path.resolve() == path.resolve():
            self.look(lambda: self._again(current, path, options), done, failed)
            return
        busy = self.busy()
        if busy is not None:
            failed(busy)
            return

        options = replace(options, settings=defaults.load(self._folder).for_project())

        def work() -> tuple[Workflow, list[StepStatus], str]:
            workflow = build_workflow(open_or_create(path, options), lab, self._lanes)
            return workflow, workflow.status(), workflow.landing_step()

        def opened(found: tuple[Workflow, list[StepStatus], str]) -> None:
            self.leave_workspace()
            self.workflow, statuses, landing = found
            self.statuses = {one.step: one for one in statuses}
            self.changed.emit()
            done(landing)

        self.look(work, opened, failed)

    def _again(self, workflow: Workflow, path: Path, options: ProjectOptions) -> str:
        """The open workspace, with another camera perhaps."""
        open_or_create(path, options)
        workflow.workspace.look_again()
        return workflow.landing_step()

    @property
    def camera(self) -> str:
        """The URI of the laptop's camera: the workspace's, else the room's."""
        chosen = self.workspace.settings.get("camera") if self.workspace is not None else None
        return str(chosen or self.config.camera)

    @property
    def camera_options(self) -> CameraOptions:
        return camera_options.of(self.workspace.settings if self.workspace is not None else {})

    @property
    def mirrored(self) -> bool:
        """Whether the view of the laptop's camera shows left and right as a mirror does."""
        return camera_options.mirrored(self.workspace.settings if self.workspace is not None else {})

    def busy(self) -> AiNanoError | None:
        """Why the room or the project cannot be left now; None when it can."""
        return MissingPrerequisite("window.busy", step=self.running_steps[0]) if self._running else None

    def leave_workspace(self) -> None:
        self.workflow = None
        self.statuses, self.errors = {}, {}
        self.changed.emit()

    # ---- steps -------------------------------------------------------------------------------------------------------

    def status(self, step: str) -> StepStatus:
        known = self.statuses.get(step)
        if self.is_running(step):
            running = self._running[step]
            if running is None or running is _CANCELLED:
                return StepStatus(step, Status.RUNNING, "status.running")
            return running.status
        if known is not None:
            return known
        if step == "project":
            return StepStatus(step, Status.READY, "status.project.ready")
        if step == "infer" and self.workflow is None:
            return StepStatus(step, Status.READY, "status.infer.alone")
        return StepStatus(step, Status.BLOCKED, "status.no_project")

    def is_running(self, step: str) -> bool:
        return step in self._running

    @property
    def running_steps(self) -> list[str]:
        return list(self._running)

    def start(self, step: str, options: Any) -> None:
        """Start a step; what its check finds, and how it ends, comes with `ended`."""
        if step in self._running or self.lab is None:
            return
        self._running[step] = None
        self.errors.pop(step, None)
        workflow, lab = self.workflow, self.lab

        def begin() -> Running:
            if workflow is not None:
                return workflow.start(step, options, self.inbox.put)
            return start_alone(steps()[step], options, lab, self.inbox.put)

        # The step first: a recording is to begin with the frame after the press, not with the one after all is drawn anew.
        self.look(begin, lambda running: self._begun(step, running), lambda error: self._over(step, error))
        self.started.emit(step)

    def _begun(self, step: str, running: Running) -> None:
        cancelled = step in self._running and self._running[step] is _CANCELLED
        self._running[step] = running
        if cancelled:
            running.cancel()
        running.future.add_done_callback(lambda future: self.bridge.post(lambda: self._over(step, _outcome(future))))

    def _over(self, step: str, outcome: Receipt | BaseException) -> None:
        self.drain()
        self._running.pop(step, None)
        if not isinstance(outcome, Receipt):
            outcome = explained(outcome)
            if not isinstance(outcome, (Cancelled, Detached)):
                self.errors[step] = outcome
        self.ended.emit(step, outcome)
        self.refresh()

    def cancel(self, step: str) -> None:
        if step in self._running:
            running = self._running[step]
            if running is None:
                self._running[step] = _CANCELLED
            else:
                running.cancel()

    def send(self, step: str, command: dict[str, Any]) -> None:
        """A command to a live step; nothing when it does not run."""
        running = self._running.get(step)
        if running is not None:
            running.send(command)

    # ---- looking -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Compute the statuses anew, beside the window: they read folders of thousands of files."""
        if self.workflow is None:
            self.changed.emit()
            return
        if self._looking:
            self._look_again = True
            return
        self._looking, workflow = True, self.workflow

        def done(statuses: list[StepStatus] | None) -> None:
            self._looking = False
            if workflow is self.workflow and statuses is not None:
                self.statuses = {one.step: one for one in statuses}
                self.changed.emit()
            if self._look_again:
                self._look_again = False
                self.refresh()

        self.look(workflow.status, done, lambda _error: done(None))

    def look(self, work: Callable[[], T], done: Callable[[T], object],
             failed: Callable[[AiNanoError], object] = lambda error: None) -> None:
        """Carry out `work` in a thread of its own, then `done` or `failed` in the Qt thread."""
        def carry_out() -> None:
            try:
                result = work()
            except Exception as error:
                told = explained(error)
                self.bridge.post(lambda: failed(told))
            else:
                self.bridge.post(lambda: done(result))

        self._thread(carry_out, "look")

    def change(self, what: str, work: Callable[[Workspace], T], done: Callable[[T], object],
               failed: Callable[[AiNanoError], object]) -> None:
        """Change `classes` or the `bin` of the open workspace, beside the window; refused while a step goes by them."""
        workflow = self.workflow
        if workflow is None:
            return

        def carry_out() -> T:
            with workflow.changing(what):
                return work(workflow.workspace)

        def over(result: T) -> None:
            done(result)
            self.refresh()

        self.look(carry_out, over, failed)

    def models_on(self, nano: str, done: Callable[[Sequence[Mapping[str, Any]]], object],
                  failed: Callable[[AiNanoError], object]) -> None:
        """The models that are on a Nano, as `store.py models` tells them."""
        lab = self.lab
        if lab is not None:
            self.look(lambda: wire.to_models(lab.nano(nano).store("models"), nano), done, failed)

    def runs(self, done: Callable[[dict[str, list[Run] | AiNanoError]], object],
             failed: Callable[[AiNanoError], object]) -> None:
        """What runs on each machine of the room, by its name; or why the machine cannot say."""
        lab = self.lab

        def ask() -> dict[str, list[Run] | AiNanoError]:
            assert lab is not None
            asked = runs.machines(lab)
            return dict(zip((machine.name for machine in asked), runs.ask_all(asked), strict=True))

        if lab is not None:
            self.look(ask, done, failed)

    def end_run(self, run: Run, done: Callable[[object], object], failed: Callable[[AiNanoError], object]) -> None:
        """End a run of `runs`, whoever started it; one without `student` is this laptop's own."""
        lab = self.lab
        if lab is not None:
            by = whose(lab.config.student, run.get("student", lab.config.student))
            self.look(lambda: stepping_in.end(stepping_in.machine_of(lab, run["machine"]), run["id"], by), done, failed)

    def _thread(self, work: Callable[[], object], name: str) -> None:
        self._threads = [one for one in self._threads if one.is_alive()]
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def drain(self) -> None:
        """Hand on what came since the last time."""
        batch: Batch = self.inbox.fetch()
        if batch:
            self.arrived.emit(batch)

    # ---- machines ----------------------------------------------------------------------------------------------------

    def look_around(self) -> None:
        """Ask every machine that is not connected whether it is there; no login, no question."""
        if self.lab is not None:
            self.look(self.lab.look_around, lambda _: self._watch_machines())

    def _watch_machines(self) -> None:
        if self.lab is None:
            return
        self._ticks += 1
        if self._ticks % LOOK_AROUND_S == 0:
            self.look_around()
        reports = self.lab.machine_reports()
        if reports != self._machines_before:
            self._machines_before = reports
            self.machines_changed.emit()

    # ---- the end -----------------------------------------------------------------------------------------------------

    def let_go(self, keep: tuple[str, ...] = ()) -> bool:
        """Cancel every step but those to keep, which go on without this program; True when nothing is left to wait for."""
        for step, running in list(self._running.items()):
            if step not in keep:
                self.cancel(step)
            elif running is not None:
                running.detach()
        return not self._running

    def close(self) -> None:
        """After `let_go`."""
        self._drain.stop()
        self._machine_timer.stop()
        self.bridge.close()
        if self.lab is not None:
            self.lab.close()
        if not self._running:  # a step that does not end must not keep the program
            self._lanes.close()
        for thread in self._threads:
            thread.join(END_WAIT_S)


def _outcome(future: "Future[Receipt]") -> Receipt | BaseException:
    error = future.exception()
    return error if error is not None else future.result()


# Stands in for a start that was cancelled before its check had ended.
_CANCELLED = Running("cancelled")
