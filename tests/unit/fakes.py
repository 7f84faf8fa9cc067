"""Doubles for the steps: a machine, a job and a camera without sockets.

They keep what they were given, and fail where the real ones fail. What the real ones do is tested in tests/integration.
"""

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import CameraError, Detached, WorkFailed
from ai_nano.core.ports import Camera, CameraOptions, Delivery, Frame, JobEnd, Parcel, Picture, Sent
from ai_nano.core.room.config import Config, NanoConfig, ServerConfig
from ai_nano.core.room.ended import By
from ai_nano.core.watching import Kept, Watching


class FakeJob:
    """Plays the events and pictures of its machine; `end` as RemoteJob.follow returns it."""

    def __init__(self, run_id: str, machine: "FakeMachine", events: Sequence[Mapping[str, Any]],
                 end: JobEnd | Exception) -> None:
        self.id = run_id
        self._machine = machine
        self._events = events
        self._end = end
        self._hold = machine.hold

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None],
               cancel: CancelToken, on_contact: Callable[[bool], None] | None = None) -> JobEnd:
        for event in self._events:
            on_event({"v": 1, **event})
        while self._hold is not None and not self._hold.wait(0.01):
            if cancel.cancelled:
                return JobEnd("cancelled")
            if {"type": "stop"} in self._machine.commands and isinstance(self._end, JobEnd):
                return JobEnd("done", {**self._end.result, "stopped": True})
        for line in () if isinstance(self._end, Exception) else self._end.last_lines:
            on_log(line + "\n")
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    def send(self, command: Mapping[str, Any]) -> None:
        self._machine.commands.append(command)

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken, watching: Watching | None = None,
              adaptive: bool = True) -> None:
        """As the real one: it shows what there is, then waits for more until it is cancelled. It has kept full frames of
        all that it has shown."""
        self._machine.watched += 1
        shown = {}
        for picture in self._machine.pictures:
            if not cancel.cancelled:
                shown[picture.frame] = picture
                on_picture(picture)
        while watching is not None and not cancel.wait(0.01):
            for frame in watching.to_ask():
                one = shown.get(frame)
                watching.answer(Kept(frame, None) if one is None else Kept(frame, one.jpeg, one.t, one.width, one.height))
        cancel.wait(20)
        if watching is not None:
            watching.end()

    def cancel(self, by: By | None = None) -> bool:
        self._machine.cancelled.append(self.id)
        self._machine.ended_by.append(by)
        return True


class FakeOnlooker:
    """Plays what its machine says of the run; then it lasts until it is left, or until the machine's `hold` is set."""

    def __init__(self, run_id: str, machine: "FakeMachine") -> None:
        self.id = run_id
        self._machine = machine

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], cancel: CancelToken) -> JobEnd:
        self._machine.looked_on.append(self.id)
        for event in self._machine.events.get(self.id, []):
            on_event({"v": 1, **event})
        error = self._machine.ends.get(self.id)
        if isinstance(error, Exception):
            raise error
        while self._machine.hold is None or not self._machine.hold.wait(0.01):
            if cancel.wait(0.01):
                raise Detached()
        return JobEnd("done")

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken) -> None:
        FakeJob(self.id, self._machine, (), JobEnd("done")).watch(on_picture, cancel)


class FakeMachine:
    """A machine whose ROOT is a folder here. `ends` maps a program to how its next jobs end."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.started: list[tuple[str, Mapping[str, Any]]] = []
        self.events: dict[str, list[Mapping[str, Any]]] = {}
        self.ends: dict[str, JobEnd | Exception] = {}
        self.running: list[Mapping[str, Any]] = []
        self.fail_after: int | None = None
        self.pictures: list[Picture] = []
        self.watched = 0
        self.warmed = 0
        self.commands: list[Mapping[str, Any]] = []
        self.asked: list[tuple[str, ...]] = []
        self.board_answers: dict[str, Mapping[str, Any] | Exception] = {}
        # Where there is one, a job that is started then ends only once it is set.
        self.hold: threading.Event | None = None
        self.looked_on: list[str] = []
        self.cancelled: list[str] = []
        self.things: list[dict[str, Any]] | Exception = []
        self.stubborn: tuple[str, ...] = ()
        self.go_on_removing = threading.Event()
        self.go_on_removing.set()
        self.ended_by: list[By | None] = []
        # As `room` of runner.py has them.
        self.works: list[Mapping[str, Any]] = []

    def store(self, operation: str, *words: str) -> Mapping[str, Any]:
        models = self.root / "models"
        models.mkdir(parents=True, exist_ok=True)
        match operation:
            case "clone":
                new = self._next(words[1], int(words[-1].removeprefix("--above=")))
                shutil.copytree(models / words[0], models / new)
                return {"model": new}
            case "models":
                return {"models": [{"model": one.name, "path": str(one), "classes": []} for one in sorted(models.iterdir())]}
            case "free":
                return {"free_bytes": 1, "total_bytes": 2}
            case "delete":
                shutil.rmtree(models / words[0])
                return {"model": words[0]}
        raise AssertionError(operation)

    def board(self, operation: str, *words: str) -> Mapping[str, Any]:
        """What the test has put there for that operation, an answer or an error."""
        self.asked.append((operation, *words))
        answer = self.board_answers[operation]
        if isinstance(answer, Exception):
            raise answer
        return {"v": 1, "type": "result", **answer}

    def upload(self, parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        """File by file into a place aside; the model's folder appears when all are there."""
        models = self.root / "models"
        models.mkdir(parents=True, exist_ok=True)
        model = parcel.model or self._next(parcel.stem, parcel.above)
        if parcel.model is None:
            (models / model).mkdir()
            parcel.on_name(model)
        target, aside = models / model, self.root / "incoming" / f"{model}.{parcel.owner}"
        wanted = {file.target: file.source for file in parcel.files}
        if target.is_dir() and all(_same(source, target / path) for path, source in wanted.items()):
            return Delivery(model, len(wanted), 0, path=str(target))
        if target.is_dir() and any(target.iterdir()) and not parcel.replaces:
            raise WorkFailed("store.exists", model=model)
        sent = linked = 0
        for path, source in wanted.items():
            cancel.check()
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            if _same(source, aside / path):
                continue
            if any(_same(source, models / one / path) for one in parcel.like):
                linked += 1
            elif self.fail_after is not None and sent >= self.fail_after:
                raise WorkFailed("transfer.disk_full", machine=self.name)
            else:
                sent += 1
            shutil.copy2(source, aside / path)
            progress(Sent(sent + linked, len(wanted), sent + linked, len(wanted)))
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        return Delivery(model, len(wanted), sent, linked, str(target))

    def _next(self, stem: str, above: int) -> str:
        taken = [int(one.name.rpartition("-")[2]) for one in (self.root / "models").glob(f"{stem}-*")]
        return f"{stem}-{max([above, *taken]) + 1:03d}"

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        shutil.copy2(self.root / source, target)

    def start(self, label: str, program: str, params: Mapping[str, Any], lease_s: float | None = None,
              on_id: Callable[[str], None] = lambda run: None,
              schedule: Mapping[str, Any] | None = None) -> FakeJob:
        self.started.append((program, params))
        on_id(f"run-{len(self.started)}")
        return self._job(f"run-{len(self.started)}", program)

    def warm_up(self) -> None:
        self.warmed += 1

    def attach(self, run_id: str) -> FakeJob:
        return self._job(run_id, "attached")

    def look_on(self, run_id: str) -> FakeOnlooker:
        return FakeOnlooker(run_id, self)

    def inventory(self) -> Mapping[str, Any]:
        """What the test has put there, or no machine."""
        if isinstance(self.things, Exception):
            raise self.things
        return {"v": 1, "type": "result", "things": self.things}

    def remove(self, things: Sequence[Mapping[str, Any]], keep_models: bool, progress: Callable[[int, int], None],
               cancel: CancelToken) -> Mapping[str, Any]:
        assert isinstance(self.things, list)
        while not self.go_on_removing.wait(0.02):
            cancel.check()
        names = {(one["kind"], one["name"]) for one in things}
        gone = [one for one in self.things if (one["kind"], one["name"]) in names and one["name"] not in self.stubborn]
        self.things = [one for one in self.things if one not in gone]
        gone_now = {"files": 1, "bytes": 10, "left": None, "params": {}}
        refused = {"files": 0, "bytes": 0, "left": "clean.left.refused", "params": {"error": "no"}}
        return {"v": 1, "type": "result", "things": [
            {"kind": kind, "name": name, **(refused if name in self.stubborn else gone_now)} for kind, name in sorted(names)]}

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        return self.running

    def room(self) -> Mapping[str, Any]:
        return {"v": 1, "type": "room", "now": 0.0, "runs": self.works}

    def close(self) -> None:
        """Nothing is open."""

    def _job(self, run_id: str, program: str) -> FakeJob:
        end = self.ends.get(program, JobEnd("done", {"model": "m"}))
        return FakeJob(run_id, self, self.events.get(program, []), end)


def _same(source: Path, there: Path) -> bool:
    return there.is_file() and there.read_bytes() == source.read_bytes()


class FakeCamera:
    """Frames on a clock of its own, `fps` a second, `frames` in all; then it is lost."""

    uri = "fake:camera"

    def __init__(self, frames: int, fps: float = 30.0) -> None:
        self._left = frames
        self._period = 1.0 / fps
        self._t = 1000.0
        self.closed = False

    def read(self) -> Frame:
        if self._left == 0:
            raise CameraError("camera.lost", uri=self.uri)
        self._left -= 1
        self._t += self._period
        time.sleep(0.0005)
        return Frame(numpy.full((48, 64, 3), self._left % 255, numpy.uint8), self._t)

    def close(self) -> None:
        self.closed = True


class FakeLab:
    """A room of one server, one Nano and one camera, all doubles."""

    def __init__(self, folder: Path, camera: Camera | None = None) -> None:
        server = ServerConfig(name="DL", host="here", login="nano")
        self.nano_settings = NanoConfig(name="nano1", host="here", login="nano")
        self.config = Config(server=server, nanos=(self.nano_settings,), student="ada@lab")
        self.images = ImageFiles()
        self._server = FakeMachine("DL", folder / "server")
        self._nano = FakeMachine("nano1", folder / "nano")
        self._camera = camera
        self.projects: dict[str, str] = {}
        self.data_folder = folder / "data"

    @property
    def server(self) -> FakeMachine:
        return self._server

    @property
    def server_config(self) -> ServerConfig:
        return self.config.server

    @property
    def own_projects(self) -> frozenset[str]:
        return frozenset(self.projects)

    def note_project(self, ident: str, name: str) -> None:
        self.projects[ident] = name

    def nano_config(self, name: str | None) -> NanoConfig:
        return self.config.nano(name)

    def nano(self, name: str | None) -> FakeMachine:
        return self._nano

    def here(self) -> FakeMachine:
        return self._nano

    def open_camera(self, uri: str, options: CameraOptions | None = None) -> Camera:
        if self._camera is None:
            raise CameraError("camera.missing", uri=uri)
        return self._camera
