"""Which projects on the machines are this person's: a list of their ids, kept on this computer.

The student's name would not do: a whole room of cloned laptops may have the same (core/project/ident.py).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ai_nano.core.errors import MachineError
from ai_nano.core.files import write_json

FILE = "projects.json"
VERSION = 1
# The oldest are forgotten: what they left is then only found by the student's name.
MOST = 1000


def note(folder: Path, ident: str, name: str) -> None:
    """A disk that is full, or not ours to write on, keeps nobody from working."""
    kept = _read(folder)
    if kept.get(ident) == name:
        return
    kept.pop(ident, None)
    kept[ident] = name
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, {"v": VERSION, "projects": dict(list(kept.items())[-MOST:])})


def known(folder: Path) -> frozenset[str]:
    return frozenset(_read(folder))


def refuse_others(models: Sequence[Mapping[str, Any]], model: str, machine: str, own: Collection[str]) -> None:
    """MachineError `models.others` {model, student} where the model of that name is known to be somebody else's."""
    for one in models:
        if one["model"] == model and one["workspace"] is not None and one["workspace"] not in own:
            raise MachineError("models.others", model=model, machine=machine, student=one["student"])


def _read(folder: Path) -> dict[str, Any]:
    try:
        projects = json.loads((folder / FILE).read_text(encoding="utf-8"))["projects"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(projects) if isinstance(projects, dict) else {}
