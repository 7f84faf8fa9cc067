"""What is wrong with this computer, without importing Qt or opening a camera."""

import getpass
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from ai_nano.core.doctor.findings import FAILURE, LAPTOP, OK, WARNING, Finding, Tell
from ai_nano.core.room.config import Config

NEEDED = (3, 10)
LITTLE_BYTES = 2_000_000_000
TOO_LITTLE_BYTES = 200_000_000
COMMAND_S = 3.0
# Debian's package of each library that Qt's window plugin wants (README's list, by what the file is called).
PACKAGES = {
    "libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0", "libglib-2.0.so.0": "libglib2.0-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0", "libxkbcommon.so.0": "libxkbcommon0",
    "libxcb-icccm.so.4": "libxcb-icccm4", "libxcb-image.so.0": "libxcb-image0", "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0", "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0", "libxcb-xkb.so.1": "libxcb-xkb1", "libxcb-util.so.1": "libxcb-util1",
    "libdbus-1.so.3": "libdbus-1-3", "libX11-xcb.so.1": "libx11-xcb1", "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shm.so.0": "libxcb-shm0", "libxcb-sync.so.1": "libxcb-sync1", "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libfreetype.so.6": "libfreetype6", "libX11.so.6": "libx11-6", "libxcb.so.1": "libxcb1",
}


def examine(config: Config | None, folder: Path, cameras: Sequence[tuple[str, str]], holders: Mapping[str, str],
            tell: Tell) -> None:
    """`cameras` are (device, name) of those that the system lists, `holders` who has which open; `folder` the user's."""
    for check in (_python, _packages, _qt):
        tell(check())
    tell(_camera(cameras, holders))
    tell(_disk())
    tell(_folder(folder))
    tell(_config(config))
    tell(_clock())


def _fine(check: str, figure: str) -> Finding:
    return Finding(LAPTOP, check, OK, None, figure)


def _bad(check: str, code: str, figure: str = "", state: str = FAILURE, **params: object) -> Finding:
    return Finding(LAPTOP, check, state, code, figure, params)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < NEEDED:
        return _bad("python", "doctor.laptop.python", version, version=version, needed=".".join(map(str, NEEDED)))
    return _fine("python", f"{version} ({sys.executable})")


def _packages() -> Finding:
    """What this program's own metadata asks for on every computer; a checkout that was never installed has none."""
    try:
        wanted = [line for line in metadata.requires("ai-nano") or [] if ";" not in line]
    except metadata.PackageNotFoundError:
        return _fine("packages", "–")
    missing = [line for line in wanted if _version(re.split(r"[<>=!~;\[ ]", line)[0]) is None]
    if missing:
        return _bad("packages", "doctor.laptop.packages", packages=missing, lines=" ".join(missing), python=sys.executable)
    return _fine("packages", str(len(wanted)))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _qt() -> Finding:
    """The window's plugin needs libraries of the system that no package of Python brings."""
    spec = importlib.util.find_spec("PyQt5")
    if spec is None or not spec.submodule_search_locations:
        return _bad("qt", "doctor.qt.missing", python=sys.executable)
    version = _version("PyQt5") or "?"
    plugin = Path(spec.submodule_search_locations[0]) / "Qt5" / "plugins" / "platforms" / "libqxcb.so"
    if not sys.platform.startswith("linux") or not plugin.exists():
        return _fine("qt", f"PyQt5 {version}")
    missing = missing_libraries(_said(["ldd", str(plugin)]))
    if missing:
        packages = list(dict.fromkeys(PACKAGES.get(name, "libxcb-cursor0") for name in missing))
        return _bad("qt", "doctor.qt.libraries", version, libraries=missing, lines=" ".join(packages))
    return _fine("qt", f"PyQt5 {version}")


def missing_libraries(ldd: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"^\s*(\S+) => not found", ldd, re.M)))


def _said(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S,
                              env={**os.environ, "LC_ALL": "C"}, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _camera(cameras: Sequence[tuple[str, str]], holders: Mapping[str, str]) -> Finding:
    if not cameras:
        return _bad("webcam", "doctor.webcam.none", state=WARNING)
    figure = ", ".join(f"{name} ({device})" for device, name in cameras[:4])
    for device, name in cameras:
        if os.path.exists(device) and not os.access(device, os.R_OK | os.W_OK):
            return _bad("webcam", "doctor.webcam.permission", figure, camera=name, device=device, login=getpass.getuser())
        if holder := holders.get(device):
            pid = holder.rpartition("(")[2].rstrip(")")
            return _bad("webcam", "doctor.webcam.busy", figure, WARNING, camera=name, device=device, holder=holder, pid=pid)
    return _fine("webcam", figure)


def _disk() -> Finding:
    usage = shutil.disk_usage(Path.home())
    figure = f"{usage.free / 1e9:.1f} GB / {usage.total / 1e9:.1f} GB"
    if usage.free < LITTLE_BYTES:
        state = FAILURE if usage.free < TOO_LITTLE_BYTES else WARNING
        return _bad("disk", "doctor.laptop.disk", figure, state, free=f"{usage.free / 1e9:.1f} GB", path=str(Path.home()))
    return _fine("disk", figure)


def _folder(folder: Path) -> Finding:
    """Where forms write config.json and host keys are kept; it is made when it is first needed."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return _bad("config_folder", "doctor.config_folder", str(folder), path=str(place))
    return _fine("config_folder", str(folder))


def _config(config: Config | None) -> Finding:
    if config is None or config.path is None:
        return _bad("config", "doctor.config.none", state=WARNING)
    if config.open_to_others:
        return _bad("config", "doctor.config.open", str(config.path), path=str(config.path))
    return _fine("config", str(config.path))


def _clock() -> Finding:
    """Whether it is set by the network; where systemd does not tell, nothing is said."""
    said = _said(["timedatectl", "show", "--property=NTPSynchronized", "--value"]).strip()
    if said == "no":
        return _bad("clock", "doctor.laptop.clock", state=WARNING)
    return _fine("clock", "NTP" if said == "yes" else "–")
