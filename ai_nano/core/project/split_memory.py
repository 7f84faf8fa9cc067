"""Where the split has put each image, by `<class>/<file>`: .ai_nano/split.json, which the next split keeps to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ai_nano.core.files import write_json
from ai_nano.core.project.workspace import Workspace


def file(workspace: Workspace) -> Path:
    return workspace.hidden / "split.json"


def parts(workspace: Workspace) -> dict[str, str]:
    """Empty where there was no split yet, or its file makes no sense."""
    assigned = _document(workspace).get("assigned")
    return {str(key): str(part) for key, part in assigned.items()} if isinstance(assigned, dict) else {}


def put(workspace: Workspace, told: Mapping[str, str | None]) -> None:
    """The parts of these images; None: not known. Nothing where there was no split."""
    document = _document(workspace)
    before = document.get("assigned")
    if isinstance(before, dict):
        after = {key: part for key, part in {**before, **told}.items() if part is not None}
        if after != before:
            write_json(file(workspace), {**document, "assigned": after})


def drop_class(workspace: Workspace, name: str) -> None:
    """Of a class that is not there: what is left of one that had the name once."""
    put(workspace, dict.fromkeys(key for key in parts(workspace) if key.startswith(f"{name}/")))


def rename_class(workspace: Workspace, old: str, new: str) -> None:
    document = _document(workspace)
    renamed = _renamed(document, f"{old}/", f"{new}/")
    if renamed != document:
        write_json(file(workspace), renamed)


def _document(workspace: Workspace) -> dict[str, Any]:
    try:
        document = json.loads(file(workspace).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _renamed(thing: Any, old: str, new: str) -> Any:
    """Every image in it, whether it stands as a key or in a list."""
    if isinstance(thing, str):
        return new + thing[len(old):] if thing.startswith(old) else thing
    if isinstance(thing, list):
        return [_renamed(one, old, new) for one in thing]
    if isinstance(thing, dict):
        return {_renamed(key, old, new): _renamed(value, old, new) for key, value in thing.items()}
    return thing
