"""What an instructor sets for a room beside its machines: room.json in the user's config folder, from the last room pack.

New projects begin with it; whoever wants something else chooses it, and keeps that.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import Nonsense, optional
from ai_nano.core.files import write_json
from ai_nano.core.recipes import RECIPES

FILE_NAME = "room.json"
MOST_TARGET = 5000
LONGEST_NOTE = 2000


@dataclass(frozen=True)
class RoomDefaults:
    """`target`: images that each class of a new project is to get; `recipe` of a training; `language` of the window; `note`:
    the instructor's words. None, or empty: as usual."""

    target: int | None = None
    recipe: str | None = None
    language: str | None = None
    note: str = ""

    def for_project(self) -> dict[str, Any]:
        """Settings of a new workspace."""
        told: dict[str, Any] = {}
        if self.target is not None:
            told["recording"] = {"target": self.target}
        if self.recipe is not None:
            told["recipe"] = self.recipe
        return told

    def to_json(self) -> dict[str, Any]:
        settings = {key: getattr(self, key) for key in ("target", "recipe", "language") if getattr(self, key) is not None}
        return {**({"note": self.note} if self.note else {}), **({"settings": settings} if settings else {})}


def read(document: Mapping[str, Any]) -> RoomDefaults:
    """Of a pack's room.json, whose other keys are for later versions. Raises Nonsense for a value of another kind."""
    settings = optional(answers.mapping, document, "settings", most=100) or {}
    recipe = optional(answers.text, settings, "recipe")
    return RoomDefaults(optional(answers.count, settings, "target", low=1, high=MOST_TARGET),
                        recipe if recipe in RECIPES else None, optional(answers.text, settings, "language", longest=20),
                        note_of(document))


def note_of(document: Mapping[str, Any]) -> str:
    """Its lines, without what steers a terminal. Raises Nonsense."""
    note = document.get("note", "")
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise Nonsense("note")
    return "\n".join(answers.shown(line, LONGEST_NOTE) for line in note.splitlines()).strip()


def load(folder: Path) -> RoomDefaults:
    """Never raises: a file that somebody has broken sets nothing."""
    try:
        document = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return read(document) if isinstance(document, dict) else RoomDefaults()
    except (OSError, ValueError, RecursionError):  # Nonsense is a ValueError
        return RoomDefaults()


def save(folder: Path, told: RoomDefaults) -> None:
    """A room without any has no such file. Raises OSError."""
    if told == RoomDefaults():
        (folder / FILE_NAME).unlink(missing_ok=True)
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(folder / FILE_NAME, {"v": 1, **told.to_json()})
