"""Shuts a board down or reboots it, and never the computer that only stands in for one.

Three things must all agree before anything is switched: the embedded classroom's server has not marked its commands
(there it is written down and not done); this is a board, by its device tree, and who asks is another computer. In place of
the last two its instructor may make the file ROOT/.ai_nano/may_power_off.
"""

import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from jetson_nano import system
from shared.runs import Runs
from shared.wire import Appender, Failure, encode

ACTIONS = {"shutdown": "poweroff", "reboot": "reboot"}
DEVICE_TREE = Path("/proc/device-tree/model")
# Words of sudo, systemctl and polkit, under LC_ALL=C, where it is a matter of permission.
FORBIDDEN = ("password is required", "not allowed", "not in the sudoers", "authentication required", "access denied",
             "permission denied", "a terminal is required", "not authorized", "no tty present")


def power(root: Path, action: str, force: bool) -> Dict[str, Any]:
    """{action, done}: `done` false where it was only written down, in ROOT/.ai_nano/power.jsonl.

    Raises Failure power.bad_action {action}, power.in_use {who, program}, power.no_board {file},
    power.not_permitted {login, line, error}, power.failed {error}.
    """
    if action not in ACTIONS:
        raise Failure("power.bad_action", action=action)
    if not force:
        refuse_in_use(root)
    if system.embedded():
        os.makedirs(str(root / ".ai_nano"), exist_ok=True)
        Appender(root / ".ai_nano" / "power.jsonl").append(encode({"t": time.time(), "action": action}))
        return {"action": action, "done": False}
    allowed = root / ".ai_nano" / "may_power_off"
    if not allowed.exists() and (_model() is None or _same_computer()):
        raise Failure("power.no_board", file=str(allowed))
    os.sync()
    _switch(ACTIONS[action])
    return {"action": action, "done": True}


def refuse_in_use(root: Path) -> None:
    """Raises Failure power.in_use {who, program} when a laptop's program runs here."""
    running = [run for run in Runs(root).listing() if run["state"] == "running"]
    if running:
        last = running[-1]
        raise Failure("power.in_use", who=last["student"] or last["id"], program=last["program"])


def _model() -> Optional[str]:
    """What the device tree calls this board; a PC has none."""
    try:
        return DEVICE_TREE.read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def _same_computer() -> bool:
    """Whether who asks over SSH is this very computer: both ends of the connection have one address."""
    ends = os.environ.get("SSH_CONNECTION", "").split()
    return len(ends) == 4 and ends[0] == ends[2]


def _switch(verb: str) -> None:
    systemctl = system.find("systemctl")
    if systemctl is None:
        raise Failure("power.failed", error="systemctl: not found")
    ways: List[List[str]] = [["sudo", "-n", systemctl, verb], [systemctl, "--no-ask-password", verb]]
    said: List[system.Said] = []
    for way in ways:
        said.append(system.ask(way))
        if said[-1].code == 0:
            return
    error = "; ".join(each.last_words for each in said if each.last_words)
    if any(sign in (each.errors + each.output).lower() for each in said for sign in FORBIDDEN):
        line = f"{system.login()} ALL=(root) NOPASSWD: {systemctl} poweroff, {systemctl} reboot"
        raise Failure("power.not_permitted", login=system.login(), line=line, error=error)
    raise Failure("power.failed", error=error)
