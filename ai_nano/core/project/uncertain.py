"""Frames of which a model was not sure, kept by themselves until a person says what they are: a folder of the workspace."""

import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core.files import storage_errors, write_atomically
from ai_nano.core.project.corrections import Corrections, Seen, Shot
from ai_nano.core.project.workspace import Workspace, new_take


@dataclass(frozen=True)
class UncertainFrame:
    """A kept frame; `shares` is what the model gave each class."""

    path: Path
    t: float
    camera: str
    width: int
    height: int
    seen: Seen
    shares: Mapping[str, float]


class UncertainFrames:
    """WORKSPACE/.ai_nano/uncertain/: a JPEG each, and uncertain.jsonl with a line each. A line without its file is of a frame
    that has been dealt with. For any thread; two windows may look at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        return self._workspace.hidden / "uncertain"

    @property
    def _file(self) -> Path:
        return self.folder / "uncertain.jsonl"

    def count(self) -> int:
        """How many wait; reads no file."""
        return sum(1 for _ in self.folder.glob("*.jpg")) if self.folder.is_dir() else 0

    def frames(self) -> list[UncertainFrame]:
        """In the order in which they were kept."""
        return [one for one in map(self._frame, self._lines()) if one is not None]

    def put(self, shot: Shot, camera: str, seen: Seen, shares: Mapping[str, float]) -> Path:
        """Raises WorkFailed, BadInput when it cannot be written."""
        with self._lock, storage_errors(self._workspace.path):
            self.folder.mkdir(parents=True, exist_ok=True)
            name = self._free_name()
            line = {"v": 1, "file": name, "t": shot.t, "camera": camera, "width": shot.width, "height": shot.height,
                    **seen.to_json(), "probabilities": {one: round(share, 4) for one, share in shares.items()}}
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            write_atomically(self.folder / name, shot.jpeg, sync=False)
        return self.folder / name

    def settle(self, frame: UncertainFrame, class_name: str, corrections: Corrections) -> Path:
        """It is of this class: an image of the workspace, and no longer uncertain. Errors of Corrections.add."""
        with storage_errors(self._workspace.path):
            shot = Shot(frame.path.read_bytes(), frame.t, frame.width, frame.height)
        added = corrections.add(shot, class_name, frame.seen)
        self._forget(frame, frame.path.unlink)
        return added

    def bin(self, frame: UncertainFrame) -> None:
        """It shows nothing that helps: into the workspace's bin, as all that is deleted."""
        def move() -> None:
            place = self._workspace.hidden / "bin" / "uncertain"
            place.mkdir(parents=True, exist_ok=True)
            frame.path.replace(place / frame.path.name)

        self._forget(frame, move)

    def rename_class(self, old: str, new: str) -> None:
        """What a model said of the frames that wait, under the class's new name."""
        with self._lock, storage_errors(self._workspace.path):
            changed = [line for line in map(functools.partial(_renamed, old=old, new=new), self._lines()) if line is not None]
            if changed:
                # At the end: of two lines about one frame the later one counts, and a session may be adding some now.
                data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in changed)
                with self._file.open("a", encoding="utf-8") as stream:
                    stream.write("\n" + data)

    def _forget(self, frame: UncertainFrame, remove: Callable[[], object]) -> None:
        with self._lock, storage_errors(self._workspace.path):
            remove()
            left = [line for line in self._lines() if line["file"] != frame.path.name]
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in left)
            write_atomically(self._file, data.encode("utf-8"), sync=False)

    def _free_name(self) -> str:
        stem = new_take()
        return next(name for number in range(1, 10_000) if not (self.folder / (name := f"{stem}-{number:05d}.jpg")).exists())

    def _lines(self) -> list[dict[str, Any]]:
        """Those whose file is there; what is no line of ours (a crash, a full disk) is passed over."""
        try:
            text = self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return []
        found: dict[str, dict[str, Any]] = {}
        for line in text.splitlines():
            try:
                note = json.loads(line)
                name = note["file"]
                if isinstance(name, str) and Path(name).name == name and (self.folder / name).is_file():
                    found[name] = note
            except (ValueError, KeyError, TypeError):
                continue
        return list(found.values())

    def _frame(self, line: Mapping[str, Any]) -> UncertainFrame | None:
        try:
            shares = {str(name): float(share) for name, share in line.get("probabilities", {}).items()}
            seen = Seen(str(line["model"]), line["seen"] if isinstance(line["seen"], str) else None, float(line["confidence"]))
            return UncertainFrame(self.folder / str(line["file"]), float(line["t"]), str(line["camera"]), int(line["width"]),
                                  int(line["height"]), seen, shares)
        except (KeyError, TypeError, ValueError, AttributeError):  # somebody wrote it by hand
            return None


def _renamed(line: dict[str, Any], old: str, new: str) -> dict[str, Any] | None:
    """None where it does not speak of that class."""
    shares = line.get("probabilities")
    named = isinstance(shares, dict) and old in shares and new not in shares
    if not named and line.get("seen") != old:
        return None
    changed = {**line, "seen": new if line.get("seen") == old else line.get("seen")}
    if named and isinstance(shares, dict):
        changed["probabilities"] = {new if name == old else name: share for name, share in shares.items()}
    return changed
