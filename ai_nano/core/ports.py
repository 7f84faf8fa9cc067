"""What the steps see of the outside world. The real parts live in `machines/` and `cameras/`; tests bring their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ai_nano.core.cancel import CancelToken
from ai_nano.core.commands import Commands
from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Listener
from ai_nano.core.importing.pictures import Brought, Glimpse
from ai_nano.core.look import Look
from ai_nano.core.room import ended
from ai_nano.core.room.config import Config, NanoConfig, Secret, ServerConfig
from ai_nano.core.texts import t
from ai_nano.core.watching import Watching


@dataclass(frozen=True)
class Upload:
    """One file to send: `target` is relative to the model's folder."""

    source: Path
    target: PurePosixPath


@dataclass(frozen=True)
class Parcel:
    """Files for one model's folder on a machine, which appears there whole or not at all (doc/design/transfers.md).

    `model` None: the next free name of `stem`, with a number beyond `above`, told to `on_name` before the first byte. `owner`
    names laptop and workspace.
    `like`: models there that may have some of the files. `replaces`: an older model of that name gives way, if it is of one of
    these `workspaces` (their ids), of nobody's that is known, or with `force`. `spare_bytes`: what the machine needs beside the
    files. `compares`: by content, not by size and modification time. `on_contact` is told False when the machine is lost and
    will be tried again, and True once something arrives there again.
    """

    files: tuple[Upload, ...]
    owner: str
    model: str | None = None
    stem: str = ""
    above: int = 0
    like: tuple[str, ...] = ()
    replaces: bool = False
    compares: bool = False
    workspaces: tuple[str, ...] = ()
    force: bool = False
    spare_bytes: int = 0
    on_name: Callable[[str], None] = field(default=lambda name: None, compare=False)
    on_contact: Callable[[bool], None] = field(default=lambda there: None, compare=False)


@dataclass(frozen=True)
class Sent:
    """How far a transfer is: bytes and whole files that are there, of how many; `bytes_per_s` None while nobody can say."""

    done_bytes: int
    total_bytes: int
    done_files: int
    total_files: int
    bytes_per_s: float | None = None

    @property
    def eta_s(self) -> float | None:
        return (self.total_bytes - self.done_bytes) / self.bytes_per_s if self.bytes_per_s else None


@dataclass(frozen=True)
class Delivery:
    """What came of a transfer: `sent` of `files` went over the network, `linked` the machine had in other models.

    `path`: the model's folder there, absolute; None from a machine where our programs do not run.
    """

    model: str
    files: int
    sent: int
    linked: int = 0
    path: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. `state` is done, failed or cancelled; `result` the program's last word, `error` its (code, params).

    `why`, of a job that left no exit: `rebooted` when its machine was started anew, else `vanished`. `ended_by`: somebody else
    cancelled it, and said so.
    """

    state: str
    result: Mapping[str, Any] = field(default_factory=dict)
    error: tuple[str, Mapping[str, Any]] | None = None
    exit: Mapping[str, Any] | None = None
    last_lines: tuple[str, ...] = ()
    why: str | None = None
    ended_by: ended.EndedBy | None = None


@dataclass(frozen=True)
class Picture:
    """What a running program's camera saw, as JPEG; `frame` is the number of the prediction made of it, `t` its unix time
    there, `width` and `height` are the JPEG's pixels."""

    jpeg: bytes
    frame: int
    t: float
    width: int
    height: int


class MachineState(Enum):
    """What is known of a machine just now."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    ABSENT = "absent"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True)
class MachineReport:
    """A machine's name and state; `error` says why it is absent, lost or refused."""

    name: str
    state: MachineState
    error: AiNanoError | None = None

    @property
    def text(self) -> str:
        """The state in one or two words."""
        return t(f"machine.state.{self.state.value}")


@dataclass(frozen=True)
class MachineFacts:
    """What a test of a machine found. `round_trip_s` is a request and its answer; `python` the version there."""

    name: str
    round_trip_s: float
    free_bytes: int
    total_bytes: int
    python: str | None
    fingerprint: str


@dataclass(frozen=True)
class Answer:
    """A password that a person gave; `keep`: in the system's keyring, once it has let us in."""

    password: Secret
    keep: bool = False


class Questions(Protocol):
    """What only a person can answer. Asked in worker threads, of several machines at the same time; may take minutes."""

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        """Is this unknown key the machine's? It is shown once."""

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        """The password, or None when there is nobody to ask; `can_keep`: whether it is worth asking if it may be kept."""


class RemoteJob(Protocol):
    """A detached program on a machine, followed from here."""

    id: str

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None],
               cancel: CancelToken, on_contact: Callable[[bool], None] | None = None) -> JobEnd:
        """Deliver every event once, in order, until the job ends; cancelling ends the job. ContactLost when unreachable.

        `on_contact` is told False at each attempt to reach the machine that failed, and True when it is there again.
        """

    def send(self, command: Mapping[str, Any]) -> None:
        """Pass a command to the running program."""

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken, watching: Watching | None = None,
              adaptive: bool = True) -> None:
        """Deliver live pictures in the calling thread until cancelled or the job has ended; the newest when one is done.

        Tries again each second while the machine is out of reach: it is `follow` that says so, and gives up. Through
        `watching` full frames are asked for and answered. `adaptive`: as large and as many as the link carries without
        delay, else as the program has them by itself.
        """

    def cancel(self, by: ended.By | None = None) -> bool:
        """End the whole process group; True when it is known to be gone. `by`: it is somebody else's, who is told."""


class Onlooker(Protocol):
    """A run that is only looked at: it is sent nothing, its lease is not renewed, and leaving it ends nothing."""

    id: str

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], cancel: CancelToken) -> JobEnd:
        """Deliver the last that the run said and what it says from now on, until it ends. Detached once cancelled;
        MachineError as soon as the machine is out of reach."""

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken) -> None:
        """As RemoteJob.watch."""


class Machine(Protocol):
    """One of the other computers (or this one, for `try`), reached through its programs."""

    name: str

    def store(self, operation: str, *words: str) -> Mapping[str, Any]:
        """A short operation of shared/store.py; its error becomes a WorkFailed."""

    def board(self, operation: str, *words: str) -> Mapping[str, Any]:
        """A short operation of jetson_nano/board.py, of a Nano alone; its error becomes a WorkFailed."""

    def upload(self, parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        """Send what is missing or differs; the model's folder appears there when all is whole and verified.

        A lost machine is tried again for a while. Raises MachineError, WorkFailed (`store.exists`: another model has that
        name), Cancelled; what arrived stays there for the next try.
        """

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        """Fetch one file of the machine's root; it appears at `target` only when whole."""

    def start(self, label: str, program: str, params: Mapping[str, Any], lease_s: float | None = None,
              on_id: Callable[[str], None] = lambda run: None, schedule: Mapping[str, Any] | None = None) -> RemoteJob:
        """Start a program of `remote/` detached. `on_id` is told the run's id before anything is sent: whoever notes it
        finds the run again, however the laptop ends. With a `schedule` (core/room/scheduler.py) it waits there for a GPU,
        by whichever scheduler the machine has, and whoever follows it hears `queue` meanwhile."""

    def warm_up(self) -> None:
        """A program will be wanted there soon: load what it needs ahead. Never waits and never fails; a hint, no more."""

    def attach(self, run_id: str) -> RemoteJob:
        """An already started job."""

    def look_on(self, run_id: str) -> Onlooker:
        """A job, whoever started it, to be looked at."""

    def inventory(self) -> Mapping[str, Any]:
        """What of whom lies there: shared/inventory.py (doc/design/wire.md)."""

    def remove(self, things: Sequence[Mapping[str, Any]], keep_models: bool, progress: Callable[[int, int], None],
               cancel: CancelToken) -> Mapping[str, Any]:
        """Remove these things of its inventory for good: shared/removal.py. `progress` is told files and bytes so far."""

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        """Runs on the machine, oldest first: `list` of runner.py (doc/design/wire.md), with `age_s` since their start."""

    def room(self) -> Mapping[str, Any]:
        """The answer to `room` of runner.py: the runs that go on, how far they are, and those that failed lately
        (core/overview reads it)."""

    def close(self) -> None:
        """Close the connection; whatever runs there goes on."""


@dataclass(frozen=True)
class Frame:
    """`image` is uint8, (height, width, 3), BGR; `t` the unix time of its capture.

    `missed`: frames that the camera gave since the one before, and that nobody took in time.
    """

    image: Any
    t: float
    missed: int = 0


@dataclass(frozen=True)
class Bitmap:
    """A picture for a screen: `data` is a contiguous uint8 array (height, width, 4), BGRA."""

    data: Any
    width: int
    height: int


@dataclass(frozen=True)
class CameraOptions:
    """What is asked of a camera; None: what is usual for it. One that cannot do it gives what it can.

    `width` and `height` in pixels and `fps` are a webcam's. `rotate` turns the picture of any camera clockwise, by 0, 90,
    180 or 270 degrees: what is saved is turned too.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    rotate: int = 0


class Camera(Protocol):
    uri: str

    def read(self) -> Frame:
        """The next frame. CameraError when it is gone or a file has ended (`camera.ended`)."""

    def close(self) -> None: ...


class Images(Protocol):
    """Reading and writing image files, so that no step needs OpenCV."""

    def encode_jpeg(self, image: Any) -> bytes: ...

    def as_jpeg(self, path: Path) -> tuple[bytes, int, int] | None:
        """The file as JPEG bytes, width and height; None when it is no image."""

    def glimpse(self, head: bytes, name: str, whole: Callable[[], bytes]) -> Glimpse:
        """What a file's first bytes tell of the picture in it; `whole` reads all of it. LeftOut for what is no picture."""

    def take_in(self, data: bytes, name: str) -> Brought:
        """A whole file of any kind (`name` has its suffix) as an image of a project. LeftOut, and nothing else."""

    def thumbnail(self, path: Path, width: int) -> bytes | None:
        """A small JPEG of that width, narrower where the image is very tall; None when the file is no image."""

    def look(self, path: Path) -> Look | None:
        """What hints need of the picture; None when the file is no image."""

    def bitmap(self, jpeg: bytes, width: int, height: int) -> Bitmap | None:
        """A JPEG made to fit into width x height for a screen; None when it is none."""

    def image_hash(self, path: Path) -> int | None:
        """A perceptual hash of 64 bits, which differs in few bits where images look alike; None when the file is no image."""


class Lab(Protocol):
    """The room: what a step may use."""

    config: Config

    @property
    def images(self) -> Images: ...

    @property
    def server(self) -> Machine: ...

    @property
    def server_config(self) -> ServerConfig: ...

    def nano_config(self, name: str | None) -> NanoConfig: ...

    def nano(self, name: str | None) -> Machine: ...

    def here(self) -> Machine:
        """This computer as a machine, for the Nano's program as a local process."""

    @property
    def own_projects(self) -> frozenset[str]:
        """The ids of what this person has sent to machines from here."""

    def note_project(self, ident: str, name: str) -> None:
        """This person's project of that id has something on the machines: `clean` and `models --delete` go by it."""

    def open_camera(self, uri: str, options: CameraOptions | None = None) -> Camera:
        """The camera, shared with whoever has it open: size and rate are then those of the first."""


@dataclass(frozen=True)
class StepContext:
    """What a running step is given beside its workspace and options."""

    lab: Lab
    emit: Listener
    cancel: CancelToken
    commands: Commands = field(default_factory=Commands)

