"""Whose a folder on this machine is: owner.json in it, sent by the laptop with the first files (doc/design/cleaning.md)."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from shared.wire import Failure

FILE = "owner.json"
LARGEST_BYTES = 64 << 10
WORKSPACE = re.compile(r"[0-9a-f]{16}\Z")
LONGEST_NAME = 400
Owner = Dict[str, str]


def read(folder: Path) -> Optional[Owner]:
    """{student, project, workspace, laptop, when}; None in a folder of an older laptop, or where it is damaged."""
    try:
        descriptor = os.open(str(folder / FILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
            return None
        return parse(stream.read(LARGEST_BYTES))


def parse(data: bytes) -> Optional[Owner]:
    try:
        message = json.loads(data.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    workspace, student = message.get("workspace"), message.get("student")
    if not isinstance(workspace, str) or not WORKSPACE.match(workspace) or not isinstance(student, str):
        return None
    more = {key: message.get(key) for key in ("project", "laptop", "when")}
    return {"workspace": workspace, "student": student[:LONGEST_NAME],
            **{key: value[:LONGEST_NAME] if isinstance(value, str) else "" for key, value in more.items()}}


def told(folder: Path) -> Optional[Dict[str, Any]]:
    """What a listing says of it; null where nobody knows."""
    found = read(folder)
    return None if found is None else {key: found[key] for key in ("student", "project", "workspace")}


def check(folder: Path, workspaces: Sequence[str]) -> None:
    """Failure `store.others` {model, student} for a folder of another workspace than these; without any all are allowed."""
    found = read(folder)
    if found is not None and workspaces and found["workspace"] not in workspaces:
        raise Failure("store.others", model=folder.name, student=found["student"])
