"""Which project something on a shared machine belongs to: an id that is made once and kept in ai_nano.json.

All students of a room log in with one login, and names agree more often than one thinks: cloned laptops are all called
`pupil@lab-pc`, and a workspace that the instructor prepared is copied to thirty of them. So one's own is known by the id.
A copy of a workspace on another computer, or of another login, gets an id of its own, and still knows those of the workspace
that it was copied from.
"""

import getpass
import hashlib
import json
import re
import secrets
import socket
import uuid
from datetime import datetime, timezone
from pathlib import Path

from ai_nano.core.files import write_json
from ai_nano.core.project.workspace import Workspace

SETTING = "ids"
# In a model's folder on a machine, and in the workspace, from where it is sent.
FILE = "owner.json"
VERSION = 1
_ID = re.compile(r"[0-9a-f]{16}")


def here() -> tuple[str, str, str]:
    """This login, this computer, and its hardware's address (empty where none can be found)."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError, ImportError):
        login = ""
    node = uuid.getnode()
    hardware = "" if node >> 40 & 1 else f"{node:x}"  # made up anew in each start where no address was found (RFC 4122)
    return login, socket.gethostname(), hardware


def of(workspace: Workspace) -> str:
    """The id under which this computer sends something of the workspace; made the first time, inside `writing()`."""
    ids = _kept(workspace)
    computer = hashlib.sha256("\0".join(here()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    if computer not in ids:
        workspace.settings[SETTING] = {**ids, computer: secrets.token_hex(8)}
        workspace.save()
    return str(workspace.settings[SETTING][computer])


def all_of(workspace: Workspace) -> tuple[str, ...]:
    """The ids that stand for this workspace: its own first, then those that it had on other computers."""
    own = of(workspace)
    return own, *(one for one in _kept(workspace).values() if one != own)


def owner_file(workspace: Workspace, student: str) -> Path:
    """What goes beside everything that is sent: whose it is. The same file as long as it says the same."""
    told = {"v": VERSION, "student": student, "project": workspace.name, "workspace": of(workspace), "laptop": here()[1]}
    file = workspace.hidden / FILE
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None
    if not isinstance(there, dict) or {**there, **told} != there:
        write_json(file, {**told, "when": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"})
    return file


def _kept(workspace: Workspace) -> dict[str, str]:
    """What somebody wrote into ai_nano.json by hand is no id."""
    kept = workspace.settings.get(SETTING)
    if not isinstance(kept, dict):
        return {}
    return {computer: one for computer, one in kept.items() if isinstance(one, str) and _ID.fullmatch(one)}
