"""config.json: the room's machines. The form that exists in the field is accepted as it stands; every other key has a default.

Errors name the key, its line and the likely mend.
"""

import difflib
import getpass
import re
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ai_nano.core.errors import ConfigError
from ai_nano.core.json_source import Located, parse
from ai_nano.core.room import config_values as values
from ai_nano.core.room import scheduler, via
from ai_nano.core.room.config_values import text as _text
from ai_nano.core.room.scheduler import SlurmConfig as SlurmConfig
from ai_nano.core.secret import Secret as Secret

FILE_NAME = "config.json"

# BOARD numbers of the Nano's header that can drive an LED (facts page; the rest is power, ground, I2C and console).
LED_PINS = (7, 11, 12, 13, 15, 16, 18, 19, 21, 22, 23, 24, 26, 29, 31, 32, 33, 35, 36, 37, 38, 40)
DEFAULT_PINS = (12, 16, 18)
DEFAULT_THRESHOLD = 0.6
DEFAULT_NANO_CAMERA = "csi://0"
DEFAULT_CAMERA = "webcam:0"
DEFAULT_ROOT = "ai_nano"


@dataclass(frozen=True)
class MachineConfig:
    """One machine. `host` is a name or an address; `root` the folder there, relative to the login's home."""

    name: str
    host: str
    login: str
    password: Secret | None = field(default=None, repr=False)
    port: int = 22
    key_file: Path | None = None
    via: str | None = None
    host_key: str | None = None
    root: str = DEFAULT_ROOT
    python: str | None = None

    @property
    def filled_in(self) -> bool:
        return bool(self.host and self.login)


@dataclass(frozen=True)
class ServerConfig(MachineConfig):
    """`gpus`: how many train at a time (None: as many as the server has GPUs); `queue`: a folder there that logins share."""

    scheduler: str = "auto"
    gpus: int | None = None
    queue: str | None = None
    slurm: SlurmConfig = SlurmConfig()
    transfer: str = "auto"
    weights: str | None = None


@dataclass(frozen=True)
class NanoConfig(MachineConfig):
    """`turn`: minutes that a classification lasts at most while others wait for the Nano; 0: no limit."""

    pins: tuple[int, ...] = DEFAULT_PINS
    camera: str = DEFAULT_NANO_CAMERA
    flip: str | None = None
    engine: str = "tensorrt"
    leds: str = "gpio"
    threshold: float = DEFAULT_THRESHOLD
    container: str | None = None
    turn: float = 5.0


@dataclass(frozen=True)
class Config:
    """The room. `problems` would be an error already: a Config that exists is whole, though maybe not filled in."""

    server: ServerConfig
    nanos: tuple[NanoConfig, ...]
    camera: str = DEFAULT_CAMERA
    student: str = ""
    path: Path | None = None
    open_to_others: bool = False

    @property
    def filled_in(self) -> bool:
        return self.server.filled_in

    @property
    def machines(self) -> "tuple[ServerConfig | NanoConfig, ...]":
        """Those that are filled in: the server, then the Nanos in order."""
        return (*((self.server,) if self.server.filled_in else ()), *self.filled_nanos)

    @property
    def hosts(self) -> tuple[MachineConfig, ...]:
        """All that have a host key: the machines, and the jump hosts that only `via` names."""
        found: dict[str, MachineConfig] = {machine.name: machine for machine in self.machines}
        for machine in self.machines:
            if (jump := self.jump(machine)) is not None:
                found.setdefault(jump.name, jump)
        return tuple(found.values())

    @property
    def filled_nanos(self) -> tuple[NanoConfig, ...]:
        """config.json as it comes has one that is not."""
        return tuple(nano for nano in self.nanos if nano.filled_in)

    def nano(self, name: str | None) -> NanoConfig:
        """The Nano of that name; the first one for None. ConfigError when there is none."""
        filled = self.filled_nanos
        if name is None:
            if not filled:
                raise ConfigError("config.no_nano", file=self.path)
            return filled[0]
        for nano in filled:
            if nano.name == name:
                return nano
        raise ConfigError("config.unknown_nano", name=name, known=[nano.name for nano in filled])

    def jump(self, machine: MachineConfig) -> MachineConfig | None:
        """The jump host by which `machine` is reached: another machine of the room, or one that only `via` names.

        None when it is reached directly. What stands before it in its turn is `jump` of it.
        """
        if not machine.via:
            return None
        for other in (self.server, *self.nanos):
            if other.name.casefold() == machine.via.casefold():
                return other
        hop = via.parse(machine.via)
        if hop is None:  # in a config that was not read from a file
            raise ConfigError("config.via", details=(), key=f"{machine.name}.via", value=machine.via)
        return MachineConfig(hop.name, hop.host, hop.login or machine.login, port=hop.port)


# ---- the schema: JSON key -> (field, reader) -------------------------------------------------------------------------

Reader = Callable[["_Place", Any], Any]


@dataclass(frozen=True)
class _Place:
    """Where a value stands: for the words of an error."""

    key: str
    line: int = 1
    column: int = 1

    def error(self, code: str, /, **params: object) -> ConfigError:
        return ConfigError(code, details=(), key=self.key, line=self.line, column=self.column, **params)

    def wrong(self, expected: str) -> ConfigError:
        return self.error("config.type", expected=expected)

    def inside(self, parent: Located, key: str) -> "_Place":
        return _Place(f"{self.key}.{key}" if self.key else key, *parent.places[key])


def _password(place: _Place, value: Any) -> Secret | None:
    text = _text(place, value)
    return Secret(text) if text else None


def _via(place: _Place, value: Any) -> str | None:
    text = _text(place, value)
    if text and via.parse(text) is None:  # a machine's name has the form of a host name
        raise place.error("config.via", value=text)
    return text or None


def _path(place: _Place, value: Any) -> Path | None:
    text = _text(place, value)
    return Path(text).expanduser() if text else None


def _pins(place: _Place, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(pin, int) and not isinstance(pin, bool) for pin in value):
        raise place.wrong("[12, 16, 18]")
    for pin in value:
        if pin not in LED_PINS:
            raise place.error("config.pin", pin=pin, pins=LED_PINS)
        if value.count(pin) > 1:
            raise place.error("config.pin_twice", pin=pin)
    return tuple(value)


def _one_of(*choices: str) -> Reader:
    def read(place: _Place, value: Any) -> str:
        if value not in choices:
            raise place.wrong(" | ".join(choices))
        return str(value)
    return read


def _slurm(place: _Place, value: Any) -> SlurmConfig:
    return SlurmConfig(**_read_object(place, value, scheduler.SLURM_SCHEMA))


# SERVER_SCHEMA and NANO_SCHEMA are public: config_file.py writes the keys that are read here.
Schema = Mapping[str, tuple[str, Reader]]

_MACHINE: Schema = {
    "name": ("name", _text), "ip": ("host", _text), "login": ("login", _text), "pwd": ("password", _password),
    "port": ("port", values.port), "key_file": ("key_file", _path), "via": ("via", _via),
    "host_key": ("host_key", values.host_key), "root": ("root", values.root), "python": ("python", _text),
}
SERVER_SCHEMA: Schema = {
    **_MACHINE, "scheduler": ("scheduler", _one_of(*scheduler.SCHEDULERS)), "slurm": ("slurm", _slurm),
    "gpus": ("gpus", scheduler.whole(scheduler.MOST_GPUS)), "queue": ("queue", scheduler.folder),
    "transfer": ("transfer", _one_of("auto", "sftp", "tar")), "weights": ("weights", _text),
}
NANO_SCHEMA: Schema = {
    **_MACHINE, "pins": ("pins", _pins), "camera": ("camera", _text), "flip": ("flip", _text),
    "engine": ("engine", _one_of("tensorrt", "onnxruntime")), "leds": ("leds", _one_of("gpio", "file", "none")),
    "threshold": ("threshold", values.up_to(1)), "container": ("container", _text),
    "turn": ("turn", values.up_to(24 * 60, null=0)),
}
# What other programs call our keys.
_OTHER_WORDS = {"user": "login", "username": "login", "password": "pwd", "passwd": "pwd", "host": "ip", "hostname": "ip",
                "address": "ip", "server": "dl_server", "nano": "jetson_nano", "nanos": "jetson_nano"}
_TOP = ("DL_server", "jetson_nano", "camera", "student")


def _read_object(place: _Place, value: Any, schema: Schema) -> dict[str, Any]:
    if not isinstance(value, Located):
        raise place.wrong("{...}")
    _refuse_unknown(value, schema, place)
    read = {}
    for key, (name, reader) in schema.items():
        if key in value:
            read[name] = reader(place.inside(value, key), value[key])
    return read


def _refuse_unknown(value: Located, known: Iterable[str], where: _Place) -> None:
    known = list(known)
    for key in value:
        if key not in known:
            meant = _OTHER_WORDS.get(key.lower(), key.lower())
            near = difflib.get_close_matches(meant, [one.lower() for one in known])
            near.sort(key=lambda one: sorted(one) != sorted(meant))  # two letters exchanged beat two letters changed
            likely = next((one for one in known if near and one.lower() == near[0]), None)
            place = where.inside(value, key)
            if likely:
                raise place.error("config.unknown_key_near", likely=likely)
            raise place.error("config.unknown_key", known=known)


def _machine(place: _Place, value: Any, schema: Schema, default_name: str) -> dict[str, Any]:
    read = _read_object(place, value, schema)
    for key in ("ip", "login"):
        if key not in value:
            raise place.error("config.missing_key", missing=key)
    read["name"] = read.get("name") or default_name
    if not re.fullmatch(r"[\w.-]{1,40}", read["name"]):
        raise place.inside(value, "name").error("config.machine_name", name=read["name"])
    if read["host"].startswith("-") or re.search(r"[\s/@]", read["host"]):
        raise place.inside(value, "ip").error("config.host", value=read["host"])
    return read


def default_student() -> str:
    """login@host of this computer."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = "student"
    return f"{login}@{socket.gethostname()}"


def read(text: str, path: Path | None = None) -> Config:
    """The configuration in `text`. Raises ConfigError."""
    document = parse(text)
    if not isinstance(document, Located):
        raise _Place(FILE_NAME).wrong("{...}")
    _refuse_unknown(document, _TOP, _Place(""))
    if "DL_server" not in document:
        raise _Place(FILE_NAME).error("config.missing_key", missing="DL_server")
    server_place = _Place("").inside(document, "DL_server")
    server = ServerConfig(**_machine(server_place, document["DL_server"], SERVER_SCHEMA, "DL"))
    places = {server.name: server_place.inside(document["DL_server"], "via") if server.via else server_place}
    nanos: list[NanoConfig] = []
    listed = document.get("jetson_nano", [])
    nanos_place = _Place("").inside(document, "jetson_nano") if "jetson_nano" in document else _Place("")
    if not isinstance(listed, list):
        raise nanos_place.wrong("[{...}, ...]")
    for number, one in enumerate(listed, 1):
        first = min(one.places.values()) if isinstance(one, Located) and one else (nanos_place.line, nanos_place.column)
        place = _Place(f"jetson_nano[{number}]", *first)
        nano = NanoConfig(**_machine(place, one, NANO_SCHEMA, f"nano{number}"))
        for other in (server, *nanos):
            if other.name.casefold() == nano.name.casefold():
                raise place.error("config.same_name", name=nano.name)
        nanos.append(nano)
        places[nano.name] = place.inside(one, "via") if "via" in one else place
    room = Config(server, tuple(nanos))
    for machine in (server, *nanos):
        _check_way(room, machine, places[machine.name])
    top = _read_object(_Place(""), _part(document, ("camera", "student")),
                       {"camera": ("camera", _text), "student": ("student", _text)})
    return Config(server=server, nanos=tuple(nanos), camera=top.get("camera") or DEFAULT_CAMERA,
                  student=top.get("student") or default_student(), path=path)


def _check_way(room: Config, machine: MachineConfig, place: _Place) -> None:
    """ConfigError when the jump hosts by which it is reached lead back to it, or to a machine that is not filled in."""
    names = [machine.name]
    jump = room.jump(machine)
    while jump is not None:
        if jump.name == machine.name:
            raise place.error("config.via_circle", way=" → ".join([*names, jump.name]))
        if jump.name in names:
            return  # a circle of others, who are told
        if not jump.filled_in:
            raise place.error("config.via_empty", via=jump.name)
        names.append(jump.name)
        jump = room.jump(jump)


def _part(document: Located, keys: Iterable[str]) -> Located:
    part = Located()
    for key in keys:
        if key in document:
            part[key] = document[key]
            part.places[key] = document.places[key]
    return part


def nowhere() -> Config:
    """A room that is not filled in yet."""
    return Config(server=ServerConfig(name="DL", host="", login=""), nanos=(), student=default_student())


def load(path: Path) -> Config:
    """The configuration file at `path`. Raises ConfigError."""
    try:
        text = Secret(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("config.missing", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config.unreadable", file=path, reason=str(error)) from None
    try:
        config = read(text, path)
    except ConfigError as error:
        error.params.setdefault("file", path)
        raise
    has_password = any(machine.password for machine in (config.server, *config.nanos))
    exposed = has_password and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    return replace(config, open_to_others=exposed)


def find(explicit: Path | None, user_folder: Path, here: Path | None = None) -> Config:
    """The room's configuration: `--config`, then ./config.json when filled in, then the user's folder.

    Raises ConfigError: `config.not_there` for `--config`, `config.missing` when there is none, `config.empty` when one is there
    but not filled in.
    """
    if explicit is not None:
        if not explicit.exists():
            raise ConfigError("config.not_there", file=explicit)
        config = load(explicit)
        if not config.filled_in:
            raise ConfigError("config.empty", file=explicit)
        return config
    empty: Path | None = None
    for path in ((here or Path.cwd()) / FILE_NAME, user_folder / FILE_NAME):
        if path.exists():
            config = load(path)
            if config.filled_in:
                return config
            empty = empty or path
    if empty is not None:
        raise ConfigError("config.empty", file=empty)
    raise ConfigError("config.missing", file=user_folder / FILE_NAME)
