"""The looks of a workspace's images: each image is measured once, and remembered in .ai_nano/cache/looks.jsonl."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ai_nano.core.cancel import CancelToken
from ai_nano.core.hints.advice import Hint, Seen, of_images
from ai_nano.core.look import Look
from ai_nano.core.project.image_notes import Identity, ImageNotes, identity
from ai_nano.core.project.workspace import Workspace

# A few milliseconds and half a kilobyte each. Of more images every second, third, ... is looked at.
MOST_IMAGES = 5000
# Written as it goes: what has been measured when the window is closed need not be measured again.
_BATCH = 50


class LookBook:
    """Of one workspace; one thread at a time. `measure` returns None for a file that is no image; after each, `rest_s` of rest
    leave the processor to a window."""

    def __init__(self, workspace: Workspace, measure: Callable[[Path], Look | None], rest_s: float = 0.0) -> None:
        self._workspace = workspace
        self._measure = measure
        self._rest_s = rest_s
        self._notes: ImageNotes[Look | None] | None = None

    def hints(self, cancel: CancelToken, tell: Callable[[int, int], None] = lambda done, total: None) -> list[Hint]:
        """All hints about the recorded images; Cancelled when somebody asked for it."""
        paths = {name: self._workspace.image_paths(name) for name in list(self._workspace.classes)}
        seen = self._seen(paths, cancel, tell)
        cancel.check()
        return of_images(seen, {name: len(files) for name, files in paths.items()})

    def _seen(self, paths: dict[str, list[Path]], cancel: CancelToken,
              tell: Callable[[int, int], None]) -> dict[str, list[Seen]]:
        """By class, in the order of file names, which is that of the recording."""
        if self._notes is None:
            self._notes = ImageNotes(self._workspace, "looks", 1, _write, _read)
        notes = self._notes
        step = -(-sum(len(files) for files in paths.values()) // MOST_IMAGES)
        chosen = [(name, path) for name, files in paths.items() for path in files[::max(1, step)]]
        found: dict[str, list[Seen]] = {name: [] for name in paths}
        used: set[Identity] = set()
        try:
            for done, (name, path) in enumerate(chosen, 1):
                cancel.check()
                image = identity(path)
                if image is None:  # deleted since
                    continue
                if image not in notes:
                    notes[image] = self._measure(path)
                    if self._rest_s:
                        cancel.wait(self._rest_s)
                    if notes.unsaved >= _BATCH:
                        notes.save()
                used.add(image)
                look = notes[image]
                if look is not None:
                    found[name].append(Seen(f"{name}/{path.name}", look))
                tell(done, len(chosen))
        finally:
            notes.save()
        notes.forget_all_but(used)
        return found


def _write(look: Look | None) -> object:
    return None if look is None else look.to_json()


def _read(found: Mapping[str, Any] | None) -> Look | None:
    return None if found is None else Look.from_json(found)
