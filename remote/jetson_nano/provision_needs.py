"""What a Nano lacks that only root can give it, as {code, params}: the laptop makes the lines to type of it.

Nothing of it is done here: whoever owns the board reads it first.
"""

import grp
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional

from jetson_nano import system

Need = Dict[str, Any]

MEMINFO, SWAPS = Path("/proc/meminfo"), Path("/proc/swaps")
RULES = (Path("/etc/udev/rules.d"), Path("/lib/udev/rules.d"), Path("/usr/lib/udev/rules.d"))
# Jetson.GPIO brings the rule, JetPack's copy of it here.
BROUGHT_RULE = Path("/opt/nvidia/jetson-gpio/etc/99-gpio.rules")
LINGER = Path("/var/lib/systemd/linger")
SYSTEMD = Path("/run/systemd/system")
# A board with this much memory builds an engine without swap.
ENOUGH_MB = 7000
WANTED_SWAP_MB = 3500


def needs(board: Dict[str, Any]) -> List[Need]:
    """`board` is {"leds", "container"} of config.json. Nothing for somebody's computer that only stands in for a board."""
    if system.embedded():
        return []
    found = [groups(board), udev(board), swap(), power(), linger()]
    return [need for need in found if need is not None]


def groups(board: Dict[str, Any]) -> Optional[Need]:
    wanted = ["video"] + (["gpio"] if board.get("leds") == "gpio" else []) + (["docker"] if board.get("container") else [])
    if os.geteuid() == 0:
        return None
    login = system.login()
    lacking, unknown = [], []
    for name in wanted:
        try:
            group = grp.getgrnam(name)
        except KeyError:
            unknown.append(name)
            lacking.append(name)
            continue
        # The list of the group itself: what this login was given counts from its next start on.
        if login not in group.gr_mem and group.gr_gid not in os.getgroups():
            lacking.append(name)
    if unknown == ["docker"]:  # it comes with Docker, not by hand
        lacking, unknown = [name for name in lacking if name != "docker"], []
    return {"code": "groups", "params": {"groups": lacking, "unknown": unknown}} if lacking else None


def udev(board: Dict[str, Any]) -> Optional[Need]:
    if board.get("leds") != "gpio" or os.geteuid() == 0:
        return None
    for folder in RULES:
        for path in sorted(folder.glob("*.rules")) if folder.is_dir() else []:
            try:
                if "gpiochip" in path.read_text(encoding="utf-8", errors="replace"):
                    return None
            except OSError:
                continue
    return {"code": "udev", "params": {"brought": BROUGHT_RULE.is_file()}}


def swap() -> Optional[Need]:
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text(MEMINFO), re.MULTILINE)
    if memory is None or int(memory.group(1)) // 1024 >= ENOUGH_MB:
        return None
    # zram is memory too.
    there = [line.split() for line in _text(SWAPS).splitlines()[1:] if line and "zram" not in line.split()[0]]
    have_mb = sum(int(fields[2]) for fields in there if len(fields) > 2 and fields[2].isdigit()) // 1024
    return None if have_mb >= WANTED_SWAP_MB else {"code": "swap", "params": {"have_mb": have_mb}}


def power() -> Optional[Need]:
    systemctl = system.find("systemctl")
    if systemctl is None or os.geteuid() == 0:
        return None
    allowed = all(system.ask(["sudo", "-n", "-l", systemctl, verb]).code == 0 for verb in ("poweroff", "reboot"))
    return None if allowed else {"code": "power", "params": {"systemctl": systemctl}}


def linger() -> Optional[Need]:
    if not SYSTEMD.is_dir() or os.geteuid() == 0 or (LINGER / system.login()).exists():
        return None
    return {"code": "linger", "params": {}}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
