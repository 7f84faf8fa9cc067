"""What the steps see of the outside world. The real parts live in `machines/` and `cameras/`; tests bring their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ai_nano.core.cancel import CancelToken
from ai_nano.core.config import Config, NanoConfig, ServerConfig
from ai_nano.core.errors import AiNanoError
from ai_nano.core.events import Listener
from ai_nano.core.texts import t


@dataclass(frozen=True)
class Upload:
    """One file to send: `target` is relative to the machine's root."""

    source: Path
    target: PurePosixPath


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. `state` is done, failed or cancelled; `result` the program's last word, `error` its (code, params)."""

    state: str
    result: Mapping[str, Any] = field(default_factory=dict)
    error: tuple[str, Mapping[str, Any]] | None = None
    exit: Mapping[str, Any] | None = None
    last_lines: tuple[str, ...] = ()


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


class Questions(Protocol):
    """What only a person can answer. Asked in worker threads, of several machines at the same time; may take minutes."""

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        """Is this unknown key the machine's? It is shown once."""

    def password(self, machine: str, login: str) -> str | None:
        """The password, or None when there is nobody to ask."""


class RemoteJob(Protocol):
    """A detached program on a machine, followed from here."""

    id: str

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None],
               cancel: CancelToken) -> JobEnd:
        """Deliver every event once, in order, until the job ends; cancelling ends the job. ContactLost when unreachable."""

    def send(self, command: Mapping[str, Any]) -> None:
        """Pass a command to the running program."""

    def cancel(self) -> bool:
        """End the whole process group; True when it is known to be gone."""


class Machine(Protocol):
    """One of the other computers (or this one, for `try`), reached through its programs."""

    name: str

    def store(self, operation: str, *words: str) -> Mapping[str, Any]:
        """A short operation of shared/store.py; its error becomes a WorkFailed."""

    def upload(self, files: Sequence[Upload], progress: Callable[[int, int], None], cancel: CancelToken) -> int:
        """Send what is missing or differs; bytes done and total go to `progress`; returns the number of files sent."""

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        """Fetch one file of the machine's root; it appears at `target` only when whole."""

    def start(self, label: str, program: str, params: Mapping[str, Any], lease_s: float | None = None) -> RemoteJob:
        """Start a program of `remote/` detached."""

    def attach(self, run_id: str) -> RemoteJob:
        """An already started job."""

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        """Runs on the machine, oldest first."""

    def close(self) -> None:
        """Close the connection; whatever runs there goes on."""


@dataclass(frozen=True)
class Frame:
    """`image` is uint8, (height, width, 3), BGR; `t` the unix time of its capture."""

    image: Any
    t: float


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

    def thumbnail(self, path: Path, width: int) -> bytes | None:
        """A small JPEG; None when the file is no image."""


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

    def open_camera(self, uri: str) -> Camera: ...


@dataclass(frozen=True)
class StepContext:
    """What a running step is given beside its workspace and options."""

    lab: Lab
    emit: Listener
    cancel: CancelToken

