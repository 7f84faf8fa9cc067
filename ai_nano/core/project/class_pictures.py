"""The images of a class as a person looks through them: newest first, recording by recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core.project.workspace import Workspace

_TAKE = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class ClassPicture:
    """An image with what was noted of it. `began`: the unix time at which its take began; `take` is "" and `camera`, `width`
    and `height` are None where nothing was noted: it came neither from a camera nor by an import."""

    path: Path
    class_name: str
    take: str
    began: float
    t: float
    camera: str | None = None
    width: int | None = None
    height: int | None = None

    @property
    def key(self) -> str:
        """`<class>/<file>`, as ImageFile's."""
        return f"{self.class_name}/{self.path.name}"


def newest_first(workspace: Workspace, class_name: str) -> list[ClassPicture]:
    """Of a class; images of one take stand together, those of none are one take. Reads no image."""
    notes = workspace.takes()
    told = [(path, notes.get(f"{class_name}/{path.name}", {})) for path in workspace.image_paths(class_name)]
    times = {path: time for path, note in told if (time := _time(path, note)) is not None}
    began: dict[str, float] = {}
    for path, note in told:
        take = _take(note)
        if path in times and began.get(take, 0.0) < times[path]:
            began[take] = times[path]
    # The time of an imported image is that of its file; its take is as old as the import.
    began |= {take: time for take in began if (time := take_time(take)) is not None}
    found = [_picture(path, class_name, note, times[path], began) for path, note in told if path in times]
    return sorted(found, key=lambda one: (one.began, one.take, one.path.name if one.take else "", one.t, one.path.name),
                  reverse=True)


def take_time(take: str) -> float | None:
    """The unix time at which a take of that name began; None for a name that does not say it."""
    try:
        return datetime.strptime(take, _TAKE).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _take(note: Mapping[str, Any]) -> str:
    take = note.get("take")
    return take if isinstance(take, str) else ""


def _time(path: Path, note: Mapping[str, Any]) -> float | None:
    """None: it has just been deleted."""
    try:
        return float(note["t"]) if note else path.stat().st_mtime
    except (KeyError, TypeError, ValueError):  # somebody wrote the note by hand
        return 0.0
    except OSError:
        return None


def _picture(path: Path, class_name: str, note: Mapping[str, Any], time: float, began: Mapping[str, float]) -> ClassPicture:
    take = _take(note)
    camera, width, height = note.get("camera"), note.get("width"), note.get("height")
    return ClassPicture(path, class_name, take, began.get(take, time), time, camera if isinstance(camera, str) else None,
                        width if isinstance(width, int) else None, height if isinstance(height, int) else None)
