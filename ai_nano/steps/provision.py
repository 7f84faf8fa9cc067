"""`ai-nano provision`: what the server and the Nanos need is put on them, side by side, as far as that needs no root."""

import hashlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ai_nano import resources
from ai_nano.core import wire
from ai_nano.core.answers import shown
from ai_nano.core.cancel import CancelToken, OnlookersToken
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, ConfigError, Detached, MachineError, WorkFailed
from ai_nano.core.events import Event, Listener, Log, Progress
from ai_nano.core.ports import Machine, Parcel, Upload
from ai_nano.core.provisioned import Prepared, Wants
from ai_nano.core.provisioned import read as read_result
from ai_nano.core.room.config import FILE_NAME, Config, NanoConfig, ServerConfig
from ai_nano.steps import wheels
from ai_nano.steps.upload import contact, progress

NAME = "provision"
SERVER_PROGRAM, NANO_PROGRAM = "gpu_server/provision.py", "jetson_nano/provision.py"
OLDEST_ON_SERVER, OLDEST_ON_NANO = (3, 8), (3, 6)
# pip first, then the packages; a machine that asks for more is broken.
MOST_ROUNDS = 4
PLACE = "wheels"

# The machine by its name in config.json, whose programs run under the system's Python.
Open = Callable[[str], Machine]


@dataclass(frozen=True)
class ProvisionOptions:
    """`wheels`: a folder of wheels to be used instead of any registry; `registry` false: the laptop's registry, not the
    machine's. `requirements`: lines instead of those that travel with the programs."""

    machines: tuple[str, ...] = ()
    wheels: Path | None = None
    registry: bool = True
    dry: bool = False
    requirements: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of each machine, in the room's order."""

    prepared: tuple[Prepared, ...]
    failed: Mapping[str, AiNanoError]
    dry: bool = False

    @property
    def problem(self) -> AiNanoError | None:
        """One for all that failed; the machine's own where it was the only one that was asked."""
        if not self.failed:
            return None
        first = next(iter(self.failed.values()))
        if len(self.failed) == 1 and not self.prepared:
            return first
        kind = MachineError if all(isinstance(one, MachineError) for one in self.failed.values()) else WorkFailed
        code = "provision.not_looked" if self.dry else "provision.failed"
        return kind(code, machines=list(self.failed), prepared=[one.machine for one in self.prepared] or "–",
                    details=[f"{name}: {error.what} → {error.hint}" for name, error in self.failed.items()])


def provision(config: Config, open_machine: Open, cache: Path, options: ProvisionOptions, emit: Listener,
              cancel: CancelToken) -> Outcome:
    """All machines side by side; one that fails holds up no other.

    BadInput for a name that the room has not; ConfigError `config.empty` for a room without machines; Cancelled.
    """
    chosen = _chosen(config, options)
    prepared: dict[str, Prepared] = {}
    failed: dict[str, AiNanoError] = {}
    together = _Together(len(chosen), emit)

    def prepare(machine: ServerConfig | NanoConfig) -> None:
        try:
            prepared[machine.name] = _One(machine, open_machine(machine.name), cache, options, together.of(machine.name),
                                          cancel).carry_out()
            together.over(machine.name)
        except AiNanoError as error:
            failed[machine.name] = error
            if len(chosen) > 1 and not isinstance(error, Cancelled):
                emit(Log("provision.machine_failed", {"what": error.what}, "warning", machine.name))

    with ThreadPoolExecutor(len(chosen)) as pool:
        list(pool.map(prepare, chosen))
    cancel.check()
    names = [machine.name for machine in chosen]
    return Outcome(tuple(prepared[name] for name in names if name in prepared),
                   {name: failed[name] for name in names if name in failed}, options.dry)


def _chosen(config: Config, options: ProvisionOptions) -> Sequence[ServerConfig | NanoConfig]:
    machines = config.machines
    if not machines:
        raise ConfigError("config.empty", file=config.path or FILE_NAME)
    known = [machine.name for machine in machines]
    for name in options.machines:
        if name not in known:
            raise BadInput("provision.unknown", name=name, known=known)
    if options.wheels is not None and not options.wheels.is_dir():
        raise BadInput("provision.no_folder", folder=options.wheels)
    return [machine for machine in machines if not options.machines or machine.name in options.machines]


class _Together:
    """One bar for several machines: how many steps all of them have done. With one machine, all that it says."""

    def __init__(self, machines: int, emit: Listener) -> None:
        self._machines = machines
        self._emit = emit
        self._lock = threading.Lock()
        self._share: dict[str, float] = {}

    def of(self, name: str) -> Listener:
        return self._emit if self._machines == 1 else lambda event: self._take(name, event)

    def over(self, name: str) -> None:
        if self._machines > 1:
            self._tell(name, 1.0)

    def _take(self, name: str, event: Event) -> None:
        if not isinstance(event, Progress):
            self._emit(event)
        elif event.unit == "steps" and event.total:
            self._tell(name, event.done / event.total)

    def _tell(self, name: str, share: float) -> None:
        with self._lock:
            self._share[name] = max(share, self._share.get(name, 0.0))
            done = sum(self._share.values())
        self._emit(Progress(NAME, round(done, 2), self._machines, "machines", None, "provision.together"))


class _One:
    """One machine: it looks and does what it can; what it cannot get, the laptop brings, and it goes on."""

    def __init__(self, config: ServerConfig | NanoConfig, machine: Machine, cache: Path, options: ProvisionOptions,
                 emit: Listener, cancel: CancelToken) -> None:
        self._config = config
        self._machine = machine
        self._cache = cache
        self._options = options
        self._emit = emit
        self._cancel = cancel
        self._program = SERVER_PROGRAM if isinstance(config, ServerConfig) else NANO_PROGRAM

    def carry_out(self) -> Prepared:
        self._follow_others()
        sent: str | None = None
        done: tuple[str, ...] = ()
        for _ in range(MOST_ROUNDS):
            self._cancel.check()
            prepared = self._round(sent)
            done += prepared.done
            if prepared.wants is None:
                self._tidy()
                if self._config.python and prepared.environment:
                    self._emit(Log("provision.python_named", {"python": self._config.python}, "warning", self._machine.name))
                return Prepared(prepared.machine, prepared.dry, done, prepared.needs, prepared.python, prepared.environment,
                                prepared.packages)
            sent = self._send(prepared.wants)
        raise MachineError("machine.nonsense", machine=self._machine.name)

    def _follow_others(self) -> None:
        """Somebody, maybe we before the lid was closed, is at it already: what comes of it is looked at afterwards."""
        for run in self._machine.jobs():
            if run["program"] == self._program and run["state"] == "running":
                self._emit(Log("provision.taken_up", {"run": run["id"]}, machine=self._machine.name))
                own = run["params"].get("owner") == _owner()
                cancel = self._cancel if own else OnlookersToken(self._cancel)
                try:
                    wire.follow(self._machine.attach(str(run["id"])), NAME, self._machine.name, self._emit, cancel)
                except (WorkFailed, Cancelled):
                    self._cancel.check()
                except Detached:
                    self._cancel.check()
                    raise

    def _round(self, sent: str | None) -> Prepared:
        job = self._machine.start(NAME, self._program, self._params(sent))
        result = wire.follow(job, NAME, self._machine.name, self._emit, self._cancel)
        return read_result(result, self._machine.name, self._config.login)

    def _params(self, sent: str | None) -> dict[str, Any]:
        server = isinstance(self._config, ServerConfig)
        registry = self._options.registry and self._options.wheels is None
        params: dict[str, Any] = {
            "requirements": self._requirements(), "oldest": list(OLDEST_ON_SERVER if server else OLDEST_ON_NANO),
            "python": self._config.python, "wheels": sent, "registry": registry, "dry_run": self._options.dry,
            "owner": _owner()}
        if isinstance(self._config, ServerConfig):
            return {**params, "weights": self._config.weights}
        return {**params, "board": {"leds": self._config.leds, "container": bool(self._config.container)}}

    def _requirements(self) -> list[str]:
        if isinstance(self._config, NanoConfig) and self._config.engine != "onnxruntime":
            return []
        if self._options.requirements is not None:
            return list(self._options.requirements)
        folder = "gpu_server" if isinstance(self._config, ServerConfig) else "jetson_nano"
        return requirements(resources.remote_folder() / folder / "requirements.txt")

    def _send(self, wants: Wants) -> str:
        """The wheels as a parcel, which is taken up where it was cut off; its folder there."""
        self._emit(Log("provision.brings", {"python": wants.python}, machine=self._machine.name))
        files = wheels.collect(wants, self._options.wheels, self._cache, self._emit, self._cancel)
        uploads = tuple(Upload(file, PurePosixPath(PLACE, file.name)) for file in files)
        parcel = Parcel(uploads, _owner(), _place(), like=(_place(),), replaces=True, on_contact=lambda there: self._emit(
            contact(NAME, () if there else (self._machine.name,), self._machine.name)))
        delivery = self._machine.upload(parcel, lambda sent: self._emit(progress(NAME, sent)), self._cancel)
        if delivery.path is None:
            raise MachineError("machine.nonsense", machine=self._machine.name)
        self._emit(Log("provision.brought", {"files": delivery.files, "sent": delivery.sent}, machine=self._machine.name))
        return f"{delivery.path}/{PLACE}"

    def _tidy(self) -> None:
        """The wheels, which may be gigabytes, from the machine's disk, also those of a start that was ended."""
        try:
            self._machine.store("delete", _place())
        except WorkFailed as error:
            if error.code != "store.missing":
                self._emit(Log("provision.left", {"what": error.what}, "warning", self._machine.name))


def requirements(file: Path) -> list[str]:
    """The lines without comments."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def _owner() -> str:
    return hashlib.sha256(socket.gethostname().encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _place() -> str:
    return shown(f"{PLACE}-{_owner()}")
