"""How the board is: temperatures, throttling, memory, power mode; from files that anybody may read, without tegrastats."""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional

ROOT = Path("/")
# Zones that measure nothing: the Nano's PMIC-Die is fixed at 100 degrees.
NOT_MEASURED = ("PMIC-Die", "iwlwifi")
# A cooling device of the kernel that works harder is no throttling.
FANS = re.compile(r"fan", re.I)
POWER_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")
MODE = re.compile(r"pmode:(\d+)")


def _text(path: Path) -> str:
    """Empty where the file is not there, or the driver gives none at the moment (EAGAIN, EIO)."""
    try:
        return path.read_bytes().decode("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return ""


def _number(path: Path) -> Optional[int]:
    text = _text(path)
    try:
        return int(text)
    except ValueError:
        return None


def temperatures(root: Path = ROOT) -> Dict[str, float]:
    """Degrees Celsius by zone, for example {"CPU": 41.5, "GPU": 39.0}."""
    found: Dict[str, float] = {}
    for zone in sorted((root / "sys" / "class" / "thermal").glob("thermal_zone*")):
        name, value = _text(zone / "type"), _number(zone / "temp")
        if name and name not in NOT_MEASURED and value is not None and -40000 <= value <= 150000:
            found[re.sub(r"-(therm|thermal)$", "", name)] = round(value / 1000, 1)
    return found


def throttled(root: Path = ROOT) -> Optional[List[str]]:
    """The kernel's cooling devices that hold something back now; None where it tells of none (a PC, a container)."""
    devices = sorted((root / "sys" / "class" / "thermal").glob("cooling_device*"))
    states = [(_text(each / "type"), _number(each / "cur_state")) for each in devices]
    brakes = [(name, state) for name, state in states if name and state is not None and not FANS.search(name)]
    return sorted({name for name, state in brakes if state > 0}) if brakes else None


def memory(root: Path = ROOT) -> Dict[str, int]:
    """In MiB: total_mb, available_mb, swap_total_mb, swap_free_mb; what is not known is left out."""
    wanted = {"MemTotal": "total_mb", "MemAvailable": "available_mb", "SwapTotal": "swap_total_mb", "SwapFree": "swap_free_mb"}
    found: Dict[str, int] = {}
    for line in _text(root / "proc" / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        value = rest.split()
        if name in wanted and value and value[0].isdigit():
            found[wanted[name]] = int(value[0]) // 1024
    return found


def power_mode(root: Path = ROOT) -> Optional[str]:
    """The name of nvpmodel's mode, for example "MAXN" or "5W"; its number where the names are not there."""
    mode = MODE.search(_text(root / "var" / "lib" / "nvpmodel" / "status"))
    if mode is None:
        return None
    number = int(mode.group(1))
    names = {int(id): name for id, name in POWER_MODEL.findall(_text(root / "etc" / "nvpmodel.conf"))}
    return names.get(number, str(number))


def read(root: Path = ROOT) -> Dict[str, Any]:
    """The fields of the event `health` (doc/design/wire.md)."""
    return {"temperatures": temperatures(root), "throttled": throttled(root), "memory": memory(root),
            "power_mode": power_mode(root)}
