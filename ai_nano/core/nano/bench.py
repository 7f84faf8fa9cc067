"""All Nanos of a room watched at once: who uses each one, and what is seen there, whoever started it (doc/design/boards.md)."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from ai_nano.core import answers, wire
from ai_nano.core.asking import Asking, Watches, again_after
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Detached, MachineError
from ai_nano.core.events import Health, Log, Prediction
from ai_nano.core.nano import boards
from ai_nano.core.nano.boards import Autostart, Use
from ai_nano.core.pace import Pace
from ai_nano.core.ports import Bitmap, Images, Lab, Machine, Picture

CLASSIFY = "jetson_nano/classify.py"
# How often a Nano is asked what runs there.
ASK_S = 3.0
# What starts at boot hardly changes: with each so many answers.
AT_BOOT_EVERY = 10
# Nothing heard for so long: what was shown is no longer what the pins do.
SILENT_S = 1.5
# Tiles are small and there are many of them: fewer pictures than the Nano would send.
PICTURE_EVERY_S = 0.2
PICTURE_SIZE = (640, 360)
# A Nano's clock was set between two frames.
CLOCK_SET_S = 10.0
# A thread that looks on ends within its poll; one that is just connecting delivers nothing any more.
JOIN_S = 5.0

log = logging.getLogger(__name__)


class Doing(Enum):
    """What a Nano does, as far as it is known."""

    ASKING = "asking"  # nobody has answered yet
    ABSENT = "absent"  # out of reach, or it refuses
    FREE = "free"  # no laptop's program runs there
    OTHER = "other"  # one that shows nothing: an engine is built, LEDs blink
    STARTING = "starting"  # a classification without a result so far
    LIVE = "live"
    SILENT = "silent"  # a classification of which nothing is heard
    NO_CAMERA = "no_camera"  # it looks for its camera


@dataclass(frozen=True)
class Sight:
    """One Nano at a moment. `error`: why it is absent, or cannot be looked at. `uses` are all programs that run there, the
    oldest first and last those that wait for their turn; `model`, `pins` (in the order of the classes), `prediction`, `rate`
    (frames per second), `health` and `picture` are of the classification among them. `at_boot`: what it does without a laptop,
    None as long as nobody knows."""

    name: str
    doing: Doing = Doing.ASKING
    error: AiNanoError | None = None
    uses: tuple[Use, ...] = ()
    model: str | None = None
    pins: tuple[int, ...] = ()
    prediction: Prediction | None = None
    rate: float | None = None
    health: Health | None = None
    picture: Bitmap | None = None
    at_boot: Autostart | None = None


class RunSight:
    """A classification that is looked at in two threads: what it says, and its pictures. Nothing of it is ended by leaving."""

    def __init__(self, machine: Machine, run: Mapping[str, Any], images: Images, on_end: Callable[[], None]) -> None:
        """`run` is one of machine.jobs(); `on_end` is called when it has ended, not when it is left."""
        self.id = str(run["id"])
        params = run["params"]
        self._model = PurePosixPath(str(params.get("model_dir") or "")).name or None
        pins = params.get("pins")
        self._pins = tuple(pin for pin in pins if isinstance(pin, int)) if isinstance(pins, list) else ()
        self._machine, self._images, self._on_end = machine, images, on_end
        self._cancel = CancelToken()
        self._lock = threading.Lock()
        self._pace = Pace()
        self._at = 0.0
        self._heard: float | None = None
        self._prediction: Prediction | None = None
        self._health: Health | None = None
        self._picture: Bitmap | None = None
        self._camera_lost = False
        self._failed: AiNanoError | None = None
        self._threads = [threading.Thread(target=self._carefully, args=(work,), name=f"bench-{machine.name}", daemon=True)
                         for work in (self._follow, self._watch)]
        for thread in self._threads:
            thread.start()

    @property
    def broken(self) -> bool:
        """Contact was lost, and looking on is to be begun anew; a run that cannot be understood is not."""
        return isinstance(self._failed, MachineError)

    def leave(self) -> None:
        self._cancel.cancel()
        for thread in self._threads:
            thread.join(JOIN_S)

    def show(self, sight: Sight) -> Sight:
        """The sight with what is known of the run."""
        with self._lock:
            sight = replace(sight, doing=self._doing(), error=self._failed, model=self._model, pins=self._pins,
                            health=self._health)
            if sight.doing is not Doing.LIVE:
                return sight
            return replace(sight, prediction=self._prediction, rate=self._pace.rate(self._at), picture=self._picture)

    def _doing(self) -> Doing:
        if self._camera_lost:
            return Doing.NO_CAMERA
        if self._heard is None:
            return Doing.STARTING if self._failed is None else Doing.SILENT
        return Doing.LIVE if time.monotonic() - self._heard < SILENT_S else Doing.SILENT

    # ---- in the threads ----------------------------------------------------------------------------------------------

    def _carefully(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("looking at %s on %s has failed", self.id, self._machine.name)

    def _follow(self) -> None:
        try:
            self._machine.look_on(self.id).follow(self._hear, self._cancel)
        except Detached:
            return
        except AiNanoError as error:
            log.info("not looking at %s on %s: %s", self.id, self._machine.name, error.code)
            self._failed = error
            return
        self._on_end()

    def _hear(self, raw: Mapping[str, Any]) -> None:
        try:
            event = wire.to_event(raw, "infer", self._machine.name)
        except answers.Nonsense:
            return
        with self._lock:
            match event:
                case Prediction():
                    self._take(event)
                case Health():
                    self._health = event
                case Log(code="infer.camera_lost"):
                    self._camera_lost = True
                case Log(code="infer.camera_back"):
                    self._camera_lost = False

    def _take(self, event: Prediction) -> None:
        """Frames are counted by the Nano's clock: the first ones come all at once."""
        if not 0 <= event.t - self._at < CLOCK_SET_S:
            self._pace.clear()
        self._pace.add(event.t, event.ms)
        self._at, self._heard = event.t, time.monotonic()
        self._prediction = event
        self._camera_lost = False

    def _watch(self) -> None:
        self._machine.look_on(self.id).watch(self._take_picture, self._cancel)

    def _take_picture(self, picture: Picture) -> None:
        """The Nano sends another one only when this one has been dealt with."""
        bitmap = self._images.bitmap(picture.jpeg, *PICTURE_SIZE)
        if bitmap is not None:
            with self._lock:
                self._picture = bitmap
        self._cancel.wait(PICTURE_EVERY_S)


class NanoWatch(Asking):
    """Watches one Nano: `run` in a thread of its own until `stop`, `sight` from any."""

    def __init__(self, name: str, machine: Callable[[], Machine], images: Images) -> None:
        """`machine` may raise ConfigError, for a Nano that this version cannot work with."""
        super().__init__()
        self._name, self._open, self._images = name, machine, images
        self._asked_at = 0.0
        self._answers = 0
        self._sight = Sight(name)
        self._run: RunSight | None = None

    def sight(self) -> Sight:
        sight, run = self._sight, self._run
        since = time.monotonic() - self._asked_at
        sight = replace(sight, uses=tuple(replace(use, age_s=use.age_s + since) for use in sight.uses))
        return run.show(sight) if run is not None else sight

    def ask(self) -> float | None:
        try:
            machine = self._open()
            # Those that wait for their turn come last.
            running = sorted((run for run in machine.jobs() if run["state"] == "running"),
                             key=lambda run: bool(run.get("waiting")))
            asked_at = time.monotonic()
            at_boot = self._at_boot(machine)
        except AiNanoError as error:
            self.leave()
            self._sight = Sight(self._name, Doing.ABSENT, error)
            self._answers = 0
            return again_after(error)
        if not self._over:
            self._attend(machine, next((run for run in running if run["program"] == CLASSIFY), None))
        uses = tuple(Use(run["id"], run["program"], run["student"], run["age_s"]) for run in running)
        self._asked_at = asked_at
        self._sight = Sight(self._name, Doing.OTHER if uses else Doing.FREE, uses=uses, at_boot=at_boot)
        return ASK_S

    def _at_boot(self, machine: Machine) -> Autostart | None:
        """None where the board cannot say."""
        self._answers += 1
        if self._answers % AT_BOOT_EVERY != 1:
            return self._sight.at_boot
        with contextlib.suppress(AiNanoError):
            return boards.autostart_status(machine)
        return None

    def _attend(self, machine: Machine, run: Mapping[str, Any] | None) -> None:
        """Look at this run and at no other."""
        known = self._run
        if known is not None and (run is None or known.id != run["id"] or known.broken):
            self.leave()
        if run is not None and self._run is None:
            self._run = RunSight(machine, run, self._images, self._wake.set)

    def leave(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.leave()


class Bench(Watches[NanoWatch]):
    """The filled Nanos of a room."""

    def __init__(self, lab: Lab) -> None:
        def watch(name: str) -> NanoWatch:
            return NanoWatch(name, lambda: lab.nano(name), lab.images)

        super().__init__([watch(nano.name) for nano in lab.config.filled_nanos])

    def sights(self) -> list[Sight]:
        return [watch.sight() for watch in self.watches]
