"""Step 2: recording images of a class from the camera, or importing images made elsewhere."""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.events import Log, Progress
from ai_nano.core.files import is_image_name, storage_error, storage_errors, write_atomically
from ai_nano.core.ports import Camera, Frame, Images, StepContext
from ai_nano.core.progress import Pace
from ai_nano.core.workspace import Receipt, Workspace, new_take


@dataclass(frozen=True)
class RecordOptions:
    """`count` images or `seconds` of them, `fps` a second (at most what the camera gives)."""

    class_name: str
    camera: str | None = None
    count: int | None = None
    seconds: float | None = None
    fps: float = 10.0


@dataclass(frozen=True)
class ImportOptions:
    class_name: str
    paths: tuple[Path, ...]


class Recorder:
    """Saves due frames on the capture side, so that a slow window never loses a photograph.

    One thread reads the camera and writes; whoever looks on asks `saved` and `error`. Files appear whole, are named by
    time and class, and are noted in takes.jsonl.
    """

    def __init__(self, workspace: Workspace, class_name: str, camera: Camera, images: Images, fps: float,
                 count: int | None) -> None:
        self._workspace = workspace
        self._class_name = class_name
        self._camera = camera
        self._images = images
        self._period = 1.0 / fps
        self._count = count
        self._stop = threading.Event()
        self.saved = 0
        # Frames that were due, and that disk or encoder were too slow for.
        self.missed = 0
        self.error: AiNanoError | None = None
        self.take = new_take()
        self._thread = threading.Thread(target=self._record, name=f"record-{class_name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _record(self) -> None:
        try:
            due: float | None = None
            while not self._stop.is_set() and (self._count is None or self.saved < self._count):
                frame = self._camera.read()
                due = frame.t if due is None else due
                # Half a frame of a 30 fps camera early is on time; waiting for the next one would halve the rate.
                if frame.t >= due - 0.016:
                    if frame.missed:
                        self.missed += int((frame.t - due) / self._period)
                    self._save(frame)
                    due = max(due + self._period, frame.t - self._period)
        except AiNanoError as error:
            self.error = error
        except OSError as error:
            self.error = storage_error(error, self._workspace.path)

    def _save(self, frame: Frame) -> None:
        name = f"{self.take}-{self.saved + 1:05d}.jpg"
        height, width = frame.image.shape[:2]
        target = self._workspace.image_folder(self._class_name) / name
        write_atomically(target, self._images.encode_jpeg(frame.image), sync=False)
        self._workspace.note_image({"file": name, "class": self._class_name, "take": self.take, "t": frame.t,
                                    "camera": self._camera.uri, "width": width, "height": height})
        self.saved += 1


class RecordStep:
    name = "record"
    lane: str | None = None

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
        camera = context.lab.open_camera(uri)
        try:
            recorder = Recorder(workspace, name, camera, context.lab.images, options.fps, options.count)
            self._follow(recorder, options, context)
        finally:
            camera.close()
        if recorder.missed:
            context.emit(Log("record.missed", {"missed": recorder.missed, "fps": options.fps}, "warning"))
        context.emit(Log("record.done", {"name": name, "saved": recorder.saved, "count": workspace.count(name)}))
        if recorder.error is not None and not (recorder.error.code == "camera.ended" and recorder.saved):
            raise recorder.error
        return Receipt(self.name, "done", "", facts={"class": name, "saved": recorder.saved, "camera": uri})

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
                if stopped or (options.seconds is not None and elapsed >= options.seconds):
                    break
        finally:
            recorder.stop()


class ImportStep:
    """Images or folders made elsewhere, as JPEG files of a take of their own."""

    name = "import"
    lane: str | None = "laptop"

    def check(self, workspace: Workspace, options: ImportOptions) -> list[AiNanoError]:
        problems = _check_class(workspace, options.class_name)
        problems += [BadInput("import.missing", file=path) for path in options.paths
                     if not (path.is_file() or path.is_dir())]
        return problems

    def run(self, workspace: Workspace, options: ImportOptions, context: StepContext) -> Receipt:
        name = names.class_name(options.class_name)
        files = [file for path in options.paths for file in _image_files(path)]
        take = new_take()
        left_out: list[str] = []
        folder = workspace.image_folder(name)
        saved = 0
        with storage_errors(workspace.path):
            folder.mkdir(parents=True, exist_ok=True)
            for number, file in enumerate(files, 1):
                context.cancel.check()
                converted = context.lab.images.as_jpeg(file)
                if converted is None:
                    left_out.append(str(file))
                    context.emit(Log("import.left_out", {"file": file}, "warning"))
                    continue
                data, width, height = converted
                saved += 1
                target = f"{take}-{saved:05d}.jpg"
                write_atomically(folder / target, data, sync=False)
                workspace.note_image({"file": target, "class": name, "take": take, "t": file.stat().st_mtime,
                                      "camera": file.resolve().as_uri(), "width": width, "height": height})
                context.emit(Progress(self.name, number, len(files), "images"))
        if not saved:
            raise BadInput("import.nothing", paths=options.paths)
        context.emit(Log("record.done", {"name": name, "saved": saved, "count": workspace.count(name)}))
        return Receipt(self.name, "done", "", facts={"class": name, "saved": saved, "left_out": left_out})


def _check_class(workspace: Workspace, raw: str) -> list[AiNanoError]:
    try:
        name = names.class_name(raw)
    except BadInput as error:
        return [error]
    if name not in workspace.classes:
        return [BadInput("record.unknown_class", name=name, classes=workspace.classes)]
    return []


def _image_files(path: Path) -> Iterator[Path]:
    """The file itself, whatever its name, or a folder's images in order of name."""
    if path.is_dir():
        yield from sorted(one for one in path.rglob("*") if one.is_file() and is_image_name(one))
    else:
        yield path

