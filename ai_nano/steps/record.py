"""Step 2: recording images of a class from the camera. Importing images made elsewhere: import_images.py."""

import math
import time
from dataclasses import dataclass

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.events import Log, Progress
from ai_nano.core.files import storage_errors
from ai_nano.core.ports import StepContext
from ai_nano.core.progress import Pace
from ai_nano.core.project import leftovers
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.recording import camera_options
from ai_nano.steps.recorder import Recorder as Recorder

# After the seconds that were asked for: a camera that hangs does not tell that they are over.
GRACE_S = 2.0
# A camera that gives clearly less than was asked for is named, once there was time to count.
SLOW, COUNTED_S = 0.8, 2.0


@dataclass(frozen=True)
class RecordOptions:
    """`count` images or `seconds` of them, `fps` a second (at most what the camera gives)."""

    class_name: str
    camera: str | None = None
    count: int | None = None
    seconds: float | None = None
    fps: float = 10.0


class RecordStep:
    name = "record"
    lane: str | None = None

    def __init__(self) -> None:
        self._in_order: Workspace | None = None

    def check(self, workspace: Workspace, options: RecordOptions) -> list[AiNanoError]:
        problems = _check_class(workspace, options.class_name)
        for option, value in (("--count", options.count), ("--seconds", options.seconds), ("--fps", options.fps)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                problems.append(BadInput("record.positive", option=option, value=value))
        return problems

    def run(self, workspace: Workspace, options: RecordOptions, context: StepContext) -> Receipt:
        uri = options.camera or str(workspace.settings.get("camera") or context.lab.config.camera)
        name = names.class_name(options.class_name)
        with storage_errors(workspace.path):
            workspace.image_folder(name).mkdir(parents=True, exist_ok=True)
            self._clear_up(workspace, context)
        camera = context.lab.open_camera(uri, camera_options.of(workspace.settings))
        try:
            recorder = Recorder(workspace, name, camera, context.lab.images, options.fps, options.count,
                                options.seconds if options.count is None else None)
            self._follow(recorder, options, context)
        finally:
            camera.close()
        if recorder.missed:
            context.emit(Log("record.missed", {"missed": recorder.missed, "fps": options.fps}, "warning"))
        given = recorder.frames / recorder.elapsed_s if recorder.elapsed_s >= COUNTED_S else options.fps
        if given < SLOW * options.fps and recorder.error is None:
            context.emit(Log("record.slow", {"given": round(given, 1), "fps": options.fps}, "warning"))
        context.emit(Log("record.done", {"name": name, "saved": recorder.saved, "count": workspace.count(name)}))
        if recorder.error is not None and not (recorder.error.code == "camera.ended" and recorder.saved):
            self._in_order = None
            raise recorder.error
        return Receipt(self.name, "done", "", facts={"class": name, "saved": recorder.saved, "camera": uri,
                                                     "take": recorder.take, "missed": recorder.missed})

    def _clear_up(self, workspace: Workspace, context: StepContext) -> None:
        """What an earlier program left, once; a student who holds the key down again and again does not wait for it."""
        if self._in_order is not workspace:
            leftovers.clear_up(workspace, context.lab.images)
            self._in_order = workspace

    def _follow(self, recorder: Recorder, options: RecordOptions, context: StepContext) -> None:
        pace = Pace()
        started = time.monotonic()
        recorder.start()
        try:
            while recorder.running:
                stopped = context.cancel.wait(0.1)
                elapsed = time.monotonic() - started
                if options.seconds is not None and options.count is None:
                    done, total, unit = min(elapsed, options.seconds), options.seconds, "seconds"
                else:
                    done, total, unit = recorder.saved, options.count or 0, "images"
                context.emit(Progress(self.name, done, total, unit, pace.eta(done, total) if total else None))
                # Without a limit, stopping is how a recording ends.
                if stopped and (options.count or options.seconds):
                    context.cancel.check()
                if stopped or (options.seconds is not None and elapsed >= options.seconds + GRACE_S):
                    break
        finally:
            recorder.stop()


def _check_class(workspace: Workspace, raw: str) -> list[AiNanoError]:
    try:
        name = names.class_name(raw)
    except BadInput as error:
        return [error]
    if name not in workspace.classes:
        return [BadInput("record.unknown_class", name=name, classes=workspace.classes)]
    return []
