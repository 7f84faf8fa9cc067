"""takes.jsonl: a line for each recorded or imported image, with its take. Read once; then only what came since."""

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ai_nano.core.files import write_atomically

Note = dict[str, Any]

# Of what was read so far: by these bytes a file that has only grown is known.
_TAIL = 128


class TakeNotes:
    """For any thread of this process; against other processes the workspace's lock is held by whoever writes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._stamp: tuple[int, int, int] | None = None
        self._notes: dict[str, Note] = {}
        self._end = 0
        self._tail = b""

    def all(self) -> dict[str, Note]:
        """By `<class>/<file>`, not to be changed: another dict as soon as there is something new. A line that is not whole
        (a crash, a full disk) is passed over."""
        with self._lock:
            try:
                status = self._file.stat()
            except OSError:
                self._forget()
                return self._notes
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if stamp != self._stamp:
                self._read(same_file=self._stamp is not None and self._stamp[0] == stamp[0])
                self._stamp = stamp
            return self._notes

    def append(self, notes: Iterable[Mapping[str, Any]]) -> None:
        """Add lines, in one write. A line that a crash tore off does not swallow the first of them."""
        data = _lines(notes)
        with self._lock, self._file.open("ab+") as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                data = data if stream.read(1) == b"\n" else b"\n" + data
            stream.write(data)

    def rewrite(self, change: Callable[[Note], Note | None]) -> None:
        """Put `change(note)` in the place of each note, all at once; the note itself where nothing changes, None: it goes."""
        with self._lock:
            before = list(self.all().values())
            after = [change(note) for note in before]
            if any(new is not old for new, old in zip(after, before, strict=True)):
                write_atomically(self._file, _lines(note for note in after if note is not None))

    def put(self, wanted: Mapping[str, Note | None]) -> None:
        """The notes of these keys; None: it has none, whatever is left of an image that had the name once."""
        with self._lock:
            there = self.all()
            if any(note is None and key in there for key, note in wanted.items()):
                gone = {id(there[key]) for key, note in wanted.items() if note is None and key in there}
                self.rewrite(lambda note: None if id(note) in gone else note)
            new = [note for key, note in wanted.items() if note is not None and there.get(key) != note]
            if new:
                self.append(new)

    def drop_class(self, name: str) -> None:
        """Of a class that is not there: what is left of one that had the name once."""
        self.rewrite(lambda note: None if note.get("class") == name else note)

    def _read(self, same_file: bool) -> None:
        with self._file.open("rb") as stream:
            stream.seek(self._end - len(self._tail))
            if not same_file or stream.read(len(self._tail)) != self._tail:
                self._forget()
                stream.seek(0)
            data = stream.read()
        whole = data[:data.rfind(b"\n") + 1]
        # A new dict: whoever has the last one may be reading it in another thread.
        self._notes = {**self._notes, **_parsed(data)}
        self._end += len(whole)
        self._tail = (self._tail + whole)[-_TAIL:]

    def _forget(self) -> None:
        self._stamp, self._notes, self._end, self._tail = None, {}, 0, b""


def renamed(note: Note, old: str, new: str) -> Note:
    """The note when the class has another name; of a corrected frame also what a model took it for. Else the note itself."""
    changed = {**note, "class": new} if note.get("class") == old else note
    corrected = note.get("corrected")
    if isinstance(corrected, dict) and corrected.get("seen") == old:
        changed = {**changed, "corrected": {**corrected, "seen": new}}
    return changed


def _lines(notes: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps({"v": 1, **note}, ensure_ascii=False) + "\n" for note in notes).encode("utf-8")


def _parsed(data: bytes) -> dict[str, Note]:
    lines = [line for line in data.split(b"\n") if line.strip()]
    try:
        # One call for all lines takes a third of the time.
        found = json.loads(b"[" + b",".join(lines) + b"]")
        if len(found) != len(lines):
            raise ValueError("lines that are whole only together")
    except (ValueError, RecursionError):
        found = [_one(line) for line in lines]
    return {f"{note['class']}/{note['file']}": note for note in found
            if isinstance(note, dict) and "class" in note and "file" in note}


def _one(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
