"""A camera of the stage: renders the scene in front of it while somebody watches, at 30 frames a second.

Frames are published through one slot: a viewer that is slow misses frames and never sees old ones. Every change of what
the camera shows goes into the stage's record, with the time of the first frame that shows it; what the classroom
claims to have recognised can be judged by it afterwards.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from ai_nano.demo.stage_scene import FPS, Scene

JPEG_QUALITY = 87


@dataclass(frozen=True)
class Shown:
    """What is in front of a camera; `show` is a card's name or None for the empty stage."""

    show: str | None = None
    phase: str = "record"
    take: int = 0
    plugged: bool = True


@dataclass(frozen=True)
class Frame:
    """An encoded frame; `number` counts up, `t` is unix time."""

    number: int
    jpeg: bytes
    t: float


class Record:
    """The stage's record: a file of JSON lines, one for each change of what a camera shows.

    Opening it may raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, t: float, camera: str, shown: Shown) -> None:
        """Appends one line; it is in the file when this returns."""
        line = {
            "v": 1,
            "t": t,
            "camera": camera,
            "show": shown.show,
            "phase": shown.phase,
            "take": shown.take,
            "plugged": shown.plugged,
        }
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class StageCamera:
    """One camera. `with` runs its rendering thread; all methods may be called from any thread."""

    def __init__(self, name: str, seed: int, record: Record) -> None:
        self.name = name
        self._seed = seed
        self._record = record
        self._changed = threading.Condition()
        self._one_command = threading.Lock()
        self._shown = Shown()
        self._scene = self._make_scene(self._shown)
        self._scene_start = time.monotonic()
        self._shown_from: float | None = None  # unix time of the scene's first frame; None until there is one
        self._frame: Frame | None = None
        self._frames = 0
        self._viewers: dict[object, Callable[[], None]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._render, name=f"stage-{name}", daemon=True)

    def __enter__(self) -> StageCamera:
        with self._changed:
            self._mark_shown()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            disconnects = list(self._viewers.values())
            self._changed.notify_all()
        for disconnect in disconnects:
            disconnect()
        self._thread.join()

    def show(self, card: str | None, phase: str, take: int) -> float:
        """Puts `card` (or nothing) in front of the camera; returns the unix time from which frames show it.

        Waits for the first such frame where somebody watches. Raises ValueError for an unknown card or phase.
        """
        with self._one_command:
            shown = replace(self._shown, show=card, phase=phase, take=take)
            scene = self._make_scene(shown)
            with self._changed:
                self._shown, self._scene, self._scene_start = shown, scene, time.monotonic()
                self._shown_from = None
                self._changed.wait_for(lambda: self._shown_from is not None or not self._viewers or self._closed)
                return self._mark_shown()

    def plug(self, plugged: bool) -> float:
        """Plugs the camera in or pulls it out, which ends every open stream; returns the unix time of doing so."""
        with self._one_command:
            with self._changed:
                self._shown, self._shown_from = replace(self._shown, plugged=plugged), None
                t = self._mark_shown()
                disconnects = [] if plugged else list(self._viewers.values())
                self._changed.notify_all()
            for disconnect in disconnects:
                disconnect()
            return t

    def state(self) -> dict[str, Any]:
        """What the camera shows and since when, its number of viewers and of frames rendered so far."""
        with self._changed:
            shown = self._shown
            return {
                "show": shown.show,
                "phase": shown.phase,
                "take": shown.take,
                "plugged": shown.plugged,
                "t": self._shown_from,
                "viewers": len(self._viewers),
                "frames": self._frames,
            }

    @contextmanager
    def watched(self, disconnect: Callable[[], None]) -> Iterator[Iterator[Frame] | None]:
        """Counts as one viewer inside the `with`: yields its frames, or None where the camera is not plugged in.

        The frames end when the camera is pulled out or closed; `disconnect` is called then, from another thread, so
        that a viewer that reads nothing is not waited for.
        """
        viewer = object()
        with self._changed:
            plugged = self._shown.plugged and not self._closed
            if plugged:
                self._viewers[viewer] = disconnect
                self._changed.notify_all()
        try:
            yield self._follow() if plugged else None
        finally:
            with self._changed:
                self._viewers.pop(viewer, None)
                self._changed.notify_all()

    def _follow(self) -> Iterator[Frame]:
        with self._changed:
            last = self._frames  # a frame from before this viewer came may be old
        while (frame := self._next_frame(last)) is not None:
            last = frame.number
            yield frame

    def _next_frame(self, last: int) -> Frame | None:
        """Waits for a frame after number `last`; None when the camera was pulled out or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames > last or not self._shown.plugged or self._closed)
            return self._frame if self._shown.plugged and not self._closed else None

    def _make_scene(self, shown: Shown) -> Scene:
        return Scene(self._seed, shown.phase, shown.take, shown.show)

    def _mark_shown(self) -> float:
        """Notes that frames show the present scene from now on, unless that is known already. Needs the lock."""
        if self._shown_from is None:
            self._shown_from = time.time()
            self._record.write(self._shown_from, self.name, self._shown)
        return self._shown_from

    def _render(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._viewers or self._closed)
                # Waiting for the moment of the next frame is also what a notification must not cut short.
                while not self._closed and (wait := due - time.monotonic()) > 0:
                    self._changed.wait(wait)
                if self._closed:
                    return
                scene, start = self._scene, self._scene_start
            now = time.monotonic()
            due = max(due + 1 / FPS, now)  # after a pause or on a slow machine, moments gone by are left out
            image = scene.frame(int((now - start) * FPS))
            _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            jpeg = encoded.tobytes()
            with self._changed:
                if scene is not self._scene:
                    due = now  # the scene changed meanwhile: this frame would be late news
                    continue
                if not self._viewers:
                    continue
                self._mark_shown()
                self._frames += 1
                self._frame = Frame(self._frames, jpeg, time.time())
                self._changed.notify_all()
