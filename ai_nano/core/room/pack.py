"""The room pack: one file with which an instructor gives a class its machines, `config.json` and their host keys.

A zip of three members: `room.json` says what it is, `config.json` has no passwords and no key files, `known_hosts` has the
lines of the machines in it. A pack comes by mail or from a web page, so it is read as something that a stranger made: only
these members, only so many bytes, and everything is checked before the first byte is written here.
"""

import dataclasses
import io
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core.errors import BadInput, ConfigError, HostKeyError
from ai_nano.core.files import write_atomically
from ai_nano.core.room import config as configuration
from ai_nano.core.room import config_file, known_hosts
from ai_nano.core.room.config import Config, MachineConfig
from ai_nano.core.room.known_hosts import HostKey

SUFFIX = ".ainano"
VERSION = 1
LIMIT = 1_000_000  # bytes of a member
MANIFEST, CONFIG, KNOWN_HOSTS = "room.json", configuration.FILE_NAME, known_hosts.FILE_NAME
MEMBERS = (MANIFEST, CONFIG, KNOWN_HOSTS)

_KIND = re.compile(r"[a-z0-9][a-z0-9@.-]*")
# What zipfile raises for a file that is cut, changed, encrypted or packed in a way that it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)


# ---- making ----------------------------------------------------------------------------------------------------------


def pack(config: Config, hosts: Path, file: Path) -> Path:
    """Write the room to `file` and return its path: `.ainano` is appended where it is missing.

    `hosts` is the known_hosts from which the machines' lines are taken. Who works at this computer (`student`) stays here.
    BadInput when the room is not filled in or the file cannot be written.
    """
    if not config.filled_in:
        raise ConfigError("config.empty", file=config.path)
    names = {machine.name for machine in config.hosts}
    told = config_file.document(config, secrets=False)
    told.pop("student", None)
    members = {
        MANIFEST: json.dumps({"v": VERSION, "type": "room", "made": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}) + "\n",
        CONFIG: config_file.as_text(told),
        KNOWN_HOSTS: "".join(key.line for key in known_hosts.read(hosts) if key.name in names),
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text.encode("utf-8"))
    target = file if file.suffix == SUFFIX else file.with_name(file.name + SUFFIX)
    try:
        write_atomically(target, data.getvalue())
    except OSError as error:
        raise BadInput("room_pack.not_saved", file=target, reason=error.strerror or str(error)) from error
    return target


def without_host_key(config: Config, hosts: Path) -> list[str]:
    """Names of the machines and jump hosts of which no host key is known: their first contact asks each student."""
    known = {key.name for key in known_hosts.read(hosts)}
    return [machine.name for machine in config.hosts if not machine.host_key and machine.name not in known]


# ---- opening ---------------------------------------------------------------------------------------------------------


def open_pack(file: Path, folder: Path) -> Config:
    """Take over the room into the user's config folder; returns it as saved.

    BadInput when the file is not a room pack that may be trusted, HostKeyError when it names another host key for a
    machine than the one known here. Then nothing has been changed.
    """
    members = _members(file)
    _check_manifest(file, members[MANIFEST])
    config = _config(file, members[CONFIG])
    packed = _host_keys(file, members.get(KNOWN_HOSTS, b""), config)
    path, hosts = folder / configuration.FILE_NAME, folder / known_hosts.FILE_NAME
    known = known_hosts.read(hosts)
    before = {machine.name: machine for machine in _before(path).machines}
    for machine in config.hosts:
        _check_host_keys(file, machine, packed, known, hosts, before.get(machine.name), path)
    config = dataclasses.replace(config, server=_keep_pin(config.server, packed, before),
                                 nanos=tuple(_keep_pin(nano, packed, before) for nano in config.nanos))
    known_hosts.remember(hosts, [key for key in packed if key not in known])
    return config_file.save(config, path)


def _members(file: Path) -> dict[str, bytes]:
    """The three members' contents. Nothing is ever extracted to the disk."""
    try:
        if file.stat().st_size > len(MEMBERS) * LIMIT:
            raise BadInput("room_pack.too_big", file=file, member=file.name, limit=len(MEMBERS) * LIMIT)
        data = file.read_bytes()
    except OSError as error:
        raise BadInput("room_pack.missing", file=file, reason=error.strerror or str(error)) from error
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN as error:
        raise BadInput("room_pack.not_a_pack", file=file) from error
    found: dict[str, bytes] = {}
    for info in archive.infolist():
        # As it stands in the file: zipfile's own `filename` ends at the first NUL.
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name not in MEMBERS or name in found or kind not in (0, stat.S_IFREG):
            raise BadInput("room_pack.member", file=file, member=ascii(name[:60]), known=MEMBERS)
        found[name] = _content(file, archive, info)
    if MANIFEST not in found or CONFIG not in found:
        raise BadInput("room_pack.not_a_pack", file=file)
    return found


def _content(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """At most LIMIT bytes, whatever size the file's own table tells."""
    try:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(info.compress_type)
        with archive.open(info) as stream:
            data = stream.read(LIMIT + 1)
    except _BROKEN as error:
        raise BadInput("room_pack.damaged", file=file, member=info.orig_filename) from error
    if len(data) > LIMIT:
        raise BadInput("room_pack.too_big", file=file, member=info.orig_filename, limit=LIMIT)
    return data


def _check_manifest(file: Path, data: bytes) -> None:
    """Keys that this version does not know are for later ones."""
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput("room_pack.damaged", file=file, member=MANIFEST) from error
    if not isinstance(manifest, dict) or manifest.get("type") != "room":
        raise BadInput("room_pack.not_a_pack", file=file)
    if manifest.get("v") != VERSION or isinstance(manifest["v"], bool):
        raise BadInput("room_pack.version", file=file, version=str(manifest.get("v"))[:20])


def _config(file: Path, data: bytes) -> Config:
    path = Path(f"{file.name}: {CONFIG}")
    try:
        config = configuration.read(data.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise BadInput("room_pack.damaged", file=file, member=CONFIG) from error
    except ConfigError as error:
        error.params.setdefault("file", path)
        raise
    if not config.filled_in:
        raise ConfigError("config.empty", file=path)
    for machine in (config.server, *config.nanos):
        if machine.password or machine.key_file:
            raise BadInput("room_pack.secrets", file=file, key=f"{machine.name}: {'pwd' if machine.password else 'key_file'}")
    return config


def _host_keys(file: Path, data: bytes, config: Config) -> list[HostKey]:
    """The pack's keys. A line that is not understood, or of a machine that is not in the pack, is a damaged pack."""
    names = {machine.name for machine in config.hosts}
    found = []
    try:
        for line in data.decode("utf-8").splitlines():
            if not line.strip():
                continue
            name, kind, text = line.split()
            key = HostKey(name, kind, text)
            if name not in names or not _KIND.fullmatch(kind) or not key.fingerprint:
                raise ValueError(line)
            found.append(key)
    except ValueError as error:  # also UnicodeDecodeError
        raise BadInput("room_pack.damaged", file=file, member=KNOWN_HOSTS) from error
    return found


def _before(path: Path) -> Config:
    """The room that was known until now; one that cannot be read pins nothing, and is kept beside the new one."""
    try:
        return configuration.load(path)
    except ConfigError:
        return configuration.nowhere()


def _check_host_keys(file: Path, machine: MachineConfig, packed: list[HostKey], known: list[HostKey], hosts: Path,
                     before: MachineConfig | None, path: Path) -> None:
    """Every key that the pack gives a machine must be one known here, unless none is. HostKeyError.

    That one of several fits is not enough: host keys are public, so a forged pack could hold the true one beside its own.
    """
    given = [_print(key) for key in packed if key.name == machine.name]
    if machine.host_key:
        given.append(_pin(machine.host_key))
    pins = {_print(key): hosts for key in known if key.name == machine.name}
    if before and before.host_key:
        pins = {_pin(before.host_key): path}  # host_key wins over known_hosts, in machines/hostkeys.py too
    strange = [one for one in given if one not in pins]
    if pins and strange:
        raise HostKeyError("room_pack.host_key", file=file, machine=machine.name, known=list(pins), packed=strange,
                           place=next(iter(pins.values())))


def _keep_pin(machine: Any, packed: list[HostKey], before: Mapping[str, MachineConfig]) -> Any:
    """The machine (of the type given), with the `host_key` that was pinned until now where the pack has none for it."""
    pinned = before[machine.name].host_key if machine.name in before else None
    if not pinned or machine.host_key or any(key.name == machine.name for key in packed):
        return machine
    return dataclasses.replace(machine, host_key=pinned)


def _print(key: HostKey) -> str:
    try:
        return key.fingerprint
    except ValueError:
        return key.key


def _pin(host_key: str) -> str:
    """The fingerprint of a config's `host_key`, which is one already or `KIND KEY`."""
    words = host_key.split()
    return _print(HostKey("", words[0], words[1])) if len(words) > 1 else host_key.strip()
