"""Looks at this machine without changing anything, and says what is wrong: what the server and a Nano have in common.

It is run from memory (in_memory.py) as gpu_server.doctor or jetson_nano.doctor, with the words `--root ROOT`; what config.json
says of this machine follows on standard input, as JSON: a camera's address may hold a password, and anybody reads command
lines. doc/design/doctor.md has the checks, wire.md the lines.
"""

import argparse
import json
import os
import platform
import pwd
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from shared import console
from shared.findings import METADATA_S, Check, Findings, carry_out, login

# A dataset of 600 photographs and what training makes of it; an engine and its workspace on a Nano.
LITTLE_BYTES = 2 << 30
TOO_LITTLE_BYTES = 200 << 20
LITTLE_INODES = 20_000
TOO_FEW_INODES = 1_000
# For all deep checks of a machine: importing torch from a network disk, an engine's first CUDA context on a Nano.
DEEP_S = 120.0

# Folders in which we ask for none.
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr")
OWN_FOLDER = ".ai_nano"
ROOT_CODES = {"mounted_readonly": "doctor.root.mounted_readonly", "file": "doctor.root.file", "system": "doctor.root.system",
              "closed": "doctor.root.closed", "other": "doctor.root.other", "readonly": "doctor.root.readonly"}

Asked = Dict[str, Any]


def nearest(root: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    while not os.path.isdir(str(root)) and root != root.parent:
        root = root.parent
    return root


def size(value: float) -> str:
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def check_python(needed: Tuple[int, int]) -> Check:
    def check(findings: Findings) -> None:
        version = platform.python_version()
        if sys.version_info[:2] < needed:
            findings.bad("python", "doctor.python.old", version, version=version, needed=".".join(map(str, needed)))
        else:
            findings.ok("python", f"{version} ({sys.executable})")
    return check


def check_disk(root: Path) -> Check:
    def check(findings: Findings) -> None:
        place = str(nearest(root))
        usage = shutil.disk_usage(place)
        figure = f"{size(usage.free)} / {size(usage.total)}"
        told = {"path": str(root), "free": size(usage.free)}
        if usage.free < TOO_LITTLE_BYTES:
            findings.bad("disk", "doctor.disk.full", figure, **told)
        elif usage.free < LITTLE_BYTES:
            findings.warn("disk", "doctor.disk.low", figure, **told)
        else:
            findings.ok("disk", figure)
        inodes = os.statvfs(place)
        if inodes.f_files == 0:  # btrfs and others make them as they need them
            findings.ok("inodes")
        elif inodes.f_favail < TOO_FEW_INODES:
            findings.bad("inodes", "doctor.inodes.full", f"{inodes.f_favail} / {inodes.f_files}", path=str(root))
        elif inodes.f_favail < LITTLE_INODES:
            findings.warn("inodes", "doctor.inodes.low", f"{inodes.f_favail} / {inodes.f_files}", path=str(root))
        else:
            findings.ok("inodes", f"{inodes.f_favail} / {inodes.f_files}")
    return check


def check_root(root: Path) -> Check:
    """Whether the login may write there; nothing is written. A file system may be mounted for reading alone."""
    def check(findings: Findings) -> None:
        place = nearest(root)
        mount = os.statvfs(str(place))
        why = "mounted_readonly" if mount.f_flag & os.ST_RDONLY else forbidden(root, lambda inside: OWN_FOLDER in inside)
        if why is None:
            findings.ok("root", str(root))
        else:
            findings.bad("root", ROOT_CODES[why], str(root), path=str(root), owner=owner(place), login=login())
    return check


def forbidden(folder: Path, ours: Callable[[List[str]], bool]) -> Optional[str]:
    """Why the login cannot write in a folder there; None where it can. `ours` knows one that we made by the names in it.

    Only `readonly` ones (not there yet, or empty) and `other` ones (ours) may be changed by a mend: nobody else needs them.
    """
    folder = Path(os.path.realpath(str(folder)))
    place = nearest(folder)
    if place != folder and os.path.lexists(str(place / folder.relative_to(place).parts[0])):
        return "file"
    if os.access(str(place), os.R_OK | os.W_OK | os.X_OK):
        return None
    inside = _inside(folder)
    if _is_kept(folder) or (inside and not ours(inside)):
        return "system"
    if place != folder and not os.access(str(place), os.X_OK):
        return "closed"
    return "other" if inside else "readonly"


def _inside(folder: Path) -> List[str]:
    try:
        return os.listdir(str(folder))
    except PermissionError:
        return ["?"] if folder == nearest(folder) else []
    except OSError:
        return []


def _is_kept(folder: Path) -> bool:
    """The system's, or somebody's home."""
    parts = folder.parts[1:]
    if not parts or parts[0] in SYSTEM:
        return True
    if not os.path.isdir(str(folder)):
        return False
    return len(parts) == 1 or (parts[0] == "var" and len(parts) == 2) or str(folder) in _homes(folder)


def _homes(folder: Path) -> List[str]:
    """The login's and the owner's."""
    homes = [os.path.expanduser("~")]
    try:
        homes.append(pwd.getpwuid(os.stat(str(folder)).st_uid).pw_dir)
    except KeyError:
        pass
    return [os.path.realpath(home) for home in homes]


def owner(place: Path) -> str:
    number = os.stat(str(place)).st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def common(root: Path, needed: Tuple[int, int]) -> Dict[str, Check]:
    return {"python": check_python(needed), "disk": check_disk(root), "root": check_root(root)}


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What is wrong with this machine; changes nothing.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    return parser


def run(program: str, argv: List[str], checks: Callable[[Path, Asked], Dict[str, Check]],
        deep: Callable[[Path, Asked], Dict[str, Check]]) -> None:
    """Says this machine's clock, what `checks` find from metadata, or with {"deep": true} the `deep` ones, and the result; then
    ends the process."""
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)

    def look() -> None:
        asked: Asked = json.loads(sys.stdin.buffer.read().decode("utf-8"))
        console.say("clock", now=time.time())
        seconds = DEEP_S if asked.get("deep") else METADATA_S
        carry_out(Findings(), (deep if asked.get("deep") else checks)(root, asked), seconds)
        console.say("result", python=platform.python_version(), executable=sys.executable, login=login(), root=str(root))

    code = console.answer(program, root, look)
    sys.stdout.flush()
    # What hangs in the kernel would hold up the end of the interpreter.
    os._exit(code)
