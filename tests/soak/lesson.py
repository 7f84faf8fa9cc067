"""One laptop's lesson: the commands of the eight steps up to the Nano, one after the other, each a process of its own."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laptops import Broken, Laptop, Running, hashes, pictures, receipt

from tests.soak.room import Owner, Room

CLASSES = ("cat", "Rubik's cube", "日本")
CARDS = ("cat", "coffee", "rocket")
PHASES = ("new", "import", "split", "upload", "train", "export", "deploy")
LOOK_S = 0.1
# A command may wait for as many trainings as the class has laptops.
PATIENCE_S = 3600.0
# A training's first word of work, once its libraries are loaded.
AT_WORK = "train.device"


@dataclass
class Phase:
    """Times are unix times: all that is simulated has one clock."""

    name: str
    began: float
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Training:
    """When the server had it, when its turn came and its program was started, when its work began (the laptop heard it), and
    when it was over. 0 what never was."""

    began: float = 0.0
    asked: float = 0.0
    turn: float = 0.0
    ended: float = 0.0

    @property
    def whole(self) -> bool:
        return 0.0 < self.asked <= self.turn <= self.began <= self.ended


@dataclass
class Told:
    """What is known of a lesson at its end; `failure` is empty when all went well."""

    phases: list[Phase] = field(default_factory=list)
    training: Training = field(default_factory=Training)
    failure: str = ""
    home: dict[str, tuple[int, str]] = field(default_factory=dict)


class Lesson:
    """`begin` starts its thread, which ends with the last command, with the first that fails, or soon after `stop`."""

    def __init__(self, owner: Owner, room: Room, folder: Path, images: int, width: int, hosts: bool) -> None:
        self.owner = owner
        self.told = Told()
        self.pictures = folder / "pictures"
        self.laptop = Laptop(folder, owner.project, owner.login, owner.host if hosts else "", PATIENCE_S, keeps=True)
        for number, (name, card) in enumerate(zip(CLASSES, CARDS, strict=True)):
            # The same card in other hands and in other light on each laptop.
            pictures(self.pictures / name, card, "record", images, seed=1000 * owner.number + number, width=width)
        room.write_config(owner, folder)
        self._server = room.server
        self._nano = room.nano_of(owner).name
        self._running: Running | None = None
        self._after_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lesson-{owner.number}")

    def begin(self, after_s: float) -> None:
        self._after_s = after_s
        self._thread.start()

    def stop(self) -> None:
        """Its command is killed; what it began on other machines goes with the room."""
        self._stopped.set()
        running = self._running
        if running is not None:
            running.kill()

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def pid(self) -> int | None:
        """Of its command, which leads a session of its own."""
        running = self._running
        return running.pid if running is not None else None

    # ---- its thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._stopped.wait(self._after_s)
        try:
            for name in PHASES:
                phase = Phase(name, time.time())
                self.told.phases.append(phase)
                try:
                    self._command(self.words(name), self._hear_training if name == "train" else None)
                finally:
                    phase.ended = time.time()
            self._look_at_training()
            self.told.home = fingerprint(self.laptop.folder)
        except (Broken, OSError, ValueError, KeyError) as error:
            self.told.failure = f"{self.told.phases[-1].name}: {error}"

    def words(self, phase: str) -> tuple[str, ...]:
        project = self.owner.project
        if phase == "new":
            return "new", project, "--classes", ",".join(CLASSES)
        if phase == "import":
            return "import", project, str(self.pictures)
        if phase == "train":
            return "train", project, "--recipe", "quick"
        if phase == "deploy":
            return "deploy", project, "--nano", self._nano
        return phase, project

    def _command(self, words: tuple[str, ...], hear: Callable[[dict[str, Any]], None] | None) -> None:
        if self._stopped.is_set():
            raise Broken("broken off")
        self._running = running = self.laptop.start(*words)
        try:
            if self._stopped.is_set():
                running.kill()
            if hear is not None:
                while running.runs:
                    for line in running.look():
                        hear(line)
                    time.sleep(LOOK_S)
                for line in running.look():
                    hear(line)
        finally:
            tried = running.wait()
            self._running = None
        if tried.code:
            said = " ".join(str(tried.told[key]) for key in ("code", "what", "why") if tried.told.get(key))
            raise Broken(f"exit {tried.code}: {said or tried.errors[-300:] or 'no word'}")

    def _hear_training(self, line: dict[str, Any]) -> None:
        if line.get("code") == AT_WORK and not self.told.training.began:
            self.told.training.began = time.time()

    def _look_at_training(self) -> None:
        """What its run's folder on the server tells."""
        model, training = receipt(self.laptop, "train")["model"], self.told.training
        for spec in (self._server.root / ".ai_nano" / "runs").glob("*-train-*/spec.json"):
            told = json.loads(spec.read_text(encoding="utf-8"))
            if told["program"] == "gpu_server/train.py" and told["params"]["model"] == model:
                training.asked = float(told["started"])
                training.turn = spec.with_name("pid.json").stat().st_mtime
                training.ended = spec.with_name("exit.json").stat().st_mtime


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """Of each file below: when it was last written, and its content."""
    return {name: ((folder / name).stat().st_mtime_ns, digest) for name, digest in hashes(folder).items()}
