"""The room pack: one file with which an instructor gives a class its machines, `config.json` and their host keys.

A zip: `room.json` says what it is, with the instructor's note and settings, `config.json` has no passwords and no key files,
`known_hosts` has the lines of the machines in it, and `images/<class>/` may hold pictures to start with. A pack comes by mail
or from a web page, so it is read as something that a stranger made (pack_zip.py), and everything is checked before the first
byte is written here.
"""

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core import names
from ai_nano.core.answers import Nonsense
from ai_nano.core.errors import BadInput, ConfigError, HostKeyError
from ai_nano.core.files import write_atomically
from ai_nano.core.room import config as configuration
from ai_nano.core.room import config_file, defaults, known_hosts
from ai_nano.core.room.config import Config, MachineConfig
from ai_nano.core.room.defaults import RoomDefaults
from ai_nano.core.room.known_hosts import HostKey
from ai_nano.core.room.pack_zip import CONFIG, IMAGES, KNOWN_HOSTS, LARGEST, MANIFEST, MOST_IMAGES, PackZip, Picture

SUFFIX = ".ainano"
# A pack without pictures is one that version 1 opens as well.
PLAIN, WITH_IMAGES = 1, 2
VERSIONS = (PLAIN, WITH_IMAGES)

_KIND = re.compile(r"[a-z0-9][a-z0-9@.-]*")


@dataclass(frozen=True)
class Starter:
    """Pictures to start with: a project of that name, its classes in order, and each file with its class."""

    name: str
    classes: tuple[str, ...]
    files: Sequence[tuple[str, Path]] = field(repr=False, default=())


@dataclass(frozen=True)
class Pack:
    """What is in a pack. `project` None: there are no pictures."""

    config: Config
    host_keys: tuple[HostKey, ...]
    defaults: RoomDefaults
    project: str | None
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]


# ---- making ----------------------------------------------------------------------------------------------------------


def target_of(file: Path) -> Path:
    """Where `pack` writes: `.ainano` is appended where it is missing."""
    return file if file.suffix == SUFFIX else file.with_name(file.name + SUFFIX)


def pack(config: Config, hosts: Path, file: Path, told: RoomDefaults | None = None, starter: Starter | None = None) -> Path:
    """Write the room to `target_of(file)` and return that.

    `hosts` is the known_hosts from which the machines' lines are taken. Who works at this computer (`student`) stays here.
    BadInput when the room is not filled in or the file cannot be written.
    """
    if not config.filled_in:
        raise ConfigError("config.empty", file=config.path)
    names = {machine.name for machine in config.hosts}
    machines = config_file.document(config, secrets=False)
    machines.pop("student", None)
    manifest = {"v": WITH_IMAGES if starter else PLAIN, "type": "room",
                "made": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", **(told or RoomDefaults()).to_json(),
                **({"project": {"name": starter.name, "classes": list(starter.classes)}} if starter else {})}
    members = {
        MANIFEST: json.dumps(manifest, ensure_ascii=False) + "\n",
        CONFIG: config_file.as_text(machines),
        KNOWN_HOSTS: "".join(key.line for key in known_hosts.read(hosts) if key.name in names),
    }
    target = target_of(file)
    try:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in members.items():
                archive.writestr(name, text.encode("utf-8"))
            _put_pictures(archive, starter, target)
        write_atomically(target, data.getvalue())
    except OSError as error:
        raise BadInput("room_pack.not_saved", file=target, reason=error.strerror or str(error)) from error
    return target


def _put_pictures(archive: zipfile.ZipFile, starter: Starter | None, target: Path) -> None:
    """Under names that are each taken once, whatever computer opens it."""
    size, taken = 0, set()
    files = starter.files if starter else ()
    if len(files) > MOST_IMAGES:
        raise BadInput("room_pack.too_many", file=target, most=MOST_IMAGES)
    for number, (class_name, path) in enumerate(files, 1):
        name = f"{IMAGES}{class_name}/{path.name}"
        if names.folded(name) in taken:
            name = f"{IMAGES}{class_name}/{number}-{path.name}"
        taken.add(names.folded(name))
        data = path.read_bytes()
        size += len(data)
        if size > LARGEST:
            raise BadInput("room_pack.too_big", file=target, member=IMAGES, limit=LARGEST)
        archive.writestr(name, data, zipfile.ZIP_STORED)


def without_host_key(config: Config, hosts: Path) -> list[str]:
    """Names of the machines and jump hosts of which no host key is known: their first contact asks each student."""
    known = {key.name for key in known_hosts.read(hosts)}
    return [machine.name for machine in config.hosts if not machine.host_key and machine.name not in known]


# ---- opening ---------------------------------------------------------------------------------------------------------


def look(file: Path) -> Pack:
    """What is in the pack, without writing anything. BadInput when it is not one that may be trusted."""
    with PackZip(file) as archive:
        told, project, classes = _manifest(file, archive.text(MANIFEST) or b"", archive.pictures)
        config = _config(file, archive.text(CONFIG) or b"")
        packed = _host_keys(file, archive.text(KNOWN_HOSTS) or b"", config)
        return Pack(config, tuple(packed), told, project, classes, archive.pictures)


def check(file: Path, folder: Path) -> Pack:
    """`look`, and whether its host keys are the ones known here. Nothing is written. BadInput, HostKeyError."""
    found = look(file)
    path, hosts = folder / configuration.FILE_NAME, folder / known_hosts.FILE_NAME
    known = known_hosts.read(hosts)
    before = {machine.name: machine for machine in _before(path).machines}
    for machine in found.config.hosts:
        _check_host_keys(file, machine, list(found.host_keys), known, hosts, before.get(machine.name), path)
    return found


def open_pack(file: Path, folder: Path) -> Config:
    """Take over the room into the user's config folder; returns it as saved. Its pictures are core/project/starter.py's.

    BadInput when the file is not a room pack that may be trusted, HostKeyError when it names another host key for a
    machine than the one known here. Then nothing has been changed.
    """
    found = check(file, folder)
    path, hosts = folder / configuration.FILE_NAME, folder / known_hosts.FILE_NAME
    before = {machine.name: machine for machine in _before(path).machines}
    packed = list(found.host_keys)
    config = dataclasses.replace(found.config, server=_keep_pin(found.config.server, packed, before),
                                 nanos=tuple(_keep_pin(nano, packed, before) for nano in found.config.nanos))
    known = known_hosts.read(hosts)
    known_hosts.remember(hosts, [key for key in packed if key not in known])
    saved = config_file.save(config, path)
    try:
        defaults.save(folder, found.defaults)
    except OSError as error:
        raise ConfigError("config.not_saved", file=folder / defaults.FILE_NAME, reason=error.strerror or str(error)) from error
    return saved


def _manifest(file: Path, data: bytes, pictures: Sequence[Picture]) -> tuple[RoomDefaults, str | None, tuple[str, ...]]:
    """The instructor's settings, and name and classes of the starter project. Keys that this version does not know are for
    later ones."""
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput("room_pack.damaged", file=file, member=MANIFEST) from error
    if not isinstance(manifest, dict) or manifest.get("type") != "room":
        raise BadInput("room_pack.not_a_pack", file=file)
    if manifest.get("v") not in VERSIONS or isinstance(manifest["v"], bool):
        raise BadInput("room_pack.version", file=file, version=str(manifest.get("v"))[:20])
    try:
        told = defaults.read(manifest)
        if not pictures:
            return told, None, ()
        project = manifest.get("project")
        if not isinstance(project, dict) or not isinstance(project.get("classes"), list):
            raise Nonsense("project")
        name = names.class_name(str(project.get("name")))
        classes = tuple(names.different_names([str(one) for one in project["classes"]]))
    except (Nonsense, BadInput) as error:
        raise BadInput("room_pack.damaged", file=file, member=MANIFEST) from error
    for picture in pictures:
        if picture.class_name not in classes:
            raise BadInput("room_pack.damaged", file=file, member=MANIFEST)
    return told, name, classes


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
