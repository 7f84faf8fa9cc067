"""Writing config.json, for the window's forms and for room packs, by the schema that reads it."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ai_nano.core.errors import ConfigError
from ai_nano.core.files import write_atomically
from ai_nano.core.room import config as configuration
from ai_nano.core.room.config import (
    DEFAULT_CAMERA,
    NANO_SCHEMA,
    SERVER_SCHEMA,
    Config,
    MachineConfig,
    NanoConfig,
    ServerConfig,
)

SERVER = "gpu_server"
NANO = "jetson_nano"

_ALWAYS = ("name", "ip", "login", "pwd")
_SECRETS = ("pwd", "key_file")
# The password in a camera's address: rtsp://user:password@host.
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/@:]*):[^/@]*@")
_FORM_WORDS = {"password": "pwd"}


def document(config: Config, secrets: bool = True) -> dict[str, Any]:
    """The room in config.json's form; only what differs from its default, beside ip, login, name and pwd.

    `secrets=False` leaves out passwords (also those in a camera's address) and key files.
    """
    told: dict[str, Any] = {"DL_server": _machine(config.server, secrets),
                            "jetson_nano": [_machine(nano, secrets) for nano in config.nanos]}
    if config.camera != DEFAULT_CAMERA:
        told["camera"] = _address(config.camera, secrets)
    if config.student not in ("", configuration.default_student()):
        told["student"] = config.student
    return told


def as_text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def save(config: Config, path: Path) -> Config:
    """Write the room to `path`, whole or not at all, for the owner's eyes only; returns it as read back.

    A different file that was there is kept as `<name>.bak`. ConfigError when the room is not one that could be read again
    (then nothing is written), or when the disk refuses.
    """
    text = as_text(document(config))
    configuration.read(text, path)
    try:
        data = text.encode("utf-8")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and (before := path.read_bytes()) != data:
            write_atomically(backup(path), before, mode=0o600)
        write_atomically(path, data, mode=0o600)
    except (OSError, UnicodeError) as error:  # UnicodeError: half a character, pasted into a form
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError("config.not_saved", file=path, reason=reason) from error
    return configuration.load(path)


def backup(path: Path) -> Path:
    """Where `save` keeps the file that it replaces."""
    return path.with_name(path.name + ".bak")


# ---- forms -----------------------------------------------------------------------------------------------------------


def machine_form(values: Mapping[str, str], role: str, among: Config | None = None,
                 replacing: MachineConfig | None = None) -> ServerConfig | NanoConfig:
    """The machine that a form describes: `values` holds the typed text by config.json's key (`password` for `pwd`).

    An empty field means the default; `pins` are numbers with commas or spaces between. `role` is gpu_server or
    jetson_nano, `among` the room that it joins, `replacing` the machine of that room which is edited: its keys that the
    form does not ask for stay. ConfigError as for a file; its params["key"], like `jetson_nano[1].pins`, names the field.
    """
    others = among.filled_nanos if among else ()
    position = next((index for index, nano in enumerate(others) if replacing and nano.name == replacing.name), None)
    nanos = [_machine(nano) for nano in others]
    entry = _machine(replacing) if replacing else {}
    for key, text in values.items():
        key = _FORM_WORDS.get(key, key)
        entry.pop(key, None)
        if text.strip():
            entry[key] = _typed(key, text)
    if role == SERVER:
        place, told = "DL_server", {"DL_server": entry, "jetson_nano": nanos}
    else:
        index = len(nanos) if position is None else position
        nanos[index:index if position is None else index + 1] = [entry]
        place = f"jetson_nano[{index + 1}]"
        told = {"DL_server": _machine((among or configuration.nowhere()).server), "jetson_nano": nanos}
    for key in ("ip", "login"):
        if not entry.get(key):
            raise ConfigError("config.field_empty", key=f"{place}.{key}")
    try:
        room = configuration.read(as_text(told))
    except ConfigError as error:
        params = {key: value for key, value in error.params.items() if key not in ("line", "column")}
        if error.code == "config.same_name":
            params["key"] = f"{place}.name"  # for a file it is the later one of the two
        raise ConfigError(error.code, details=(), **params) from None
    return room.server if role == SERVER else room.nanos[index]


def with_machine(config: Config | None, machine: ServerConfig | NanoConfig, replacing: str | None = None) -> Config:
    """The room with this machine: the server, or a Nano in the place of the one called `replacing`, else behind the others.

    Nanos that are not filled in are left out: config.json as it comes has one.
    """
    room = config or configuration.nowhere()
    if isinstance(machine, ServerConfig):
        return dataclasses.replace(room, server=machine)
    nanos = list(room.filled_nanos)
    position = next((index for index, nano in enumerate(nanos) if nano.name == replacing), len(nanos))
    nanos[position:position + 1] = [machine]
    return dataclasses.replace(room, nanos=tuple(nanos))


def _typed(key: str, text: str) -> Any:
    """A field's text as the value that config.json would hold; what is no number stays text, which the reading refuses."""
    if key == "pwd":
        return text
    text = text.strip()
    try:
        match key:
            case "port":
                return int(text)
            case "threshold" | "turn":
                return float(text)
            case "pins":
                return [int(pin) for pin in re.split(r"[\s,;]+", text) if pin]
    except ValueError:
        pass
    return text


# ---- machines --------------------------------------------------------------------------------------------------------


def _machine(machine: MachineConfig, secrets: bool = True) -> dict[str, Any]:
    defaults = {field.name: field.default for field in dataclasses.fields(machine)}
    told: dict[str, Any] = {}
    for key, (name, _) in (NANO_SCHEMA if isinstance(machine, NanoConfig) else SERVER_SCHEMA).items():
        if key in _SECRETS and not secrets:
            continue
        value = getattr(machine, name)
        if key in _ALWAYS or value != defaults[name]:
            told[key] = _address(value, secrets) if key == "camera" else _value(value)
    return told


def _value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: one for name, one in dataclasses.asdict(value).items() if one is not None}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, (int, float)):
        return value
    return "" if value is None else str(value)


def _address(uri: str, secrets: bool) -> str:
    return uri if secrets else _PASSWORD_IN_ADDRESS.sub(r"\1@", uri)
