"""Thumbnails of recorded images: made beside the window, kept in memory while they are wanted, and on the disk."""

import os
import sys
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PyQt5.QtGui import QImage

from ai_nano.core.ports import Images
from ai_nano.core.project.thumbnail_cache import ThumbnailCache
from ai_nano.core.project.workspace import Workspace
from ai_nano.gui.session import Session

WIDTH = 152
# About 50 kB each.
KEPT = 800
THREADS = max(1, min(3, (os.cpu_count() or 2) // 2))
NICE = 5

ListPaths = Callable[[], list[Path]]
Done = Callable[[int, Sequence[QImage]], object]
Arrived = Callable[[Mapping[Path, QImage]], object]


@dataclass(frozen=True)
class _Wish:
    asker: Hashable
    path: Path
    images: Images
    cache: ThumbnailCache | None


class Thumbnails:
    """Lives in the Qt thread, which reads and decodes nothing: threads of lower priority do, and end when nothing is wanted."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: OrderedDict[Path, QImage] = OrderedDict()
        self._listeners: dict[Hashable, Arrived] = {}
        self._cache: tuple[Workspace, ThumbnailCache] | None = None
        self._busy: set[str] = set()
        self._again: dict[str, tuple[str, ListPaths, int, Images, Done]] = {}
        # What the threads share.
        self._lock = threading.Lock()
        self._wishes: OrderedDict[Hashable, deque[_Wish]] = OrderedDict()
        self._under_way: set[tuple[Hashable, Path]] = set()
        self._made: list[tuple[_Wish, QImage]] = []
        self._working = 0

    # ---- asking ------------------------------------------------------------------------------------------------------

    def image(self, path: Path) -> QImage | None:
        """The thumbnail if it is in memory, a null image for a file that is none; None: it has to be asked for."""
        image = self._kept.get(path)
        if image is not None:
            self._kept.move_to_end(path)
        return image

    def want(self, asker: Hashable, paths: Sequence[Path], arrived: Arrived, first: bool = False) -> None:
        """Make these, in this order; `arrived` gets each once it is there, a few at a time.

        What the same asker wanted before and nobody has begun with is wanted no more. `first`: before all others' wishes.
        """
        lab, workspace = self._session.lab, self._session.workspace
        if lab is not None:
            self._put(asker, paths, arrived, lab.images, workspace, first)

    def forget(self, asker: Hashable) -> None:
        """It wants nothing more, and is told nothing more."""
        self._listeners.pop(asker, None)
        with self._lock:
            self._wishes.pop(asker, None)

    def newest(self, key: str, list_paths: ListPaths, count: int, images: Images, done: Done) -> None:
        """Find the newest `count` of the paths and call `done` (how many there are, images newest first).

        One question per `key` at a time: asked again before the answer, it is asked once more after it.
        """
        if key in self._busy:
            self._again[key] = (key, list_paths, count, images, done)
            return
        self._busy.add(key)
        workspace = self._session.workspace

        def listed(paths: list[Path]) -> None:
            wanted = paths[:-count - 1:-1]
            found = {path: image for path in wanted if (image := self.image(path)) is not None}

            def arrived(more: Mapping[Path, QImage]) -> None:
                found.update(more)
                if all(path in found for path in wanted):
                    self.forget(("newest", key))
                    done(len(paths), [found[path] for path in wanted if not found[path].isNull()])
                    over()

            missing = [path for path in wanted if path not in found]
            if missing:
                self._put(("newest", key), missing, arrived, images, workspace)
            else:
                arrived({})

        def over() -> None:
            self._busy.discard(key)
            if key in self._again:
                self.newest(*self._again.pop(key))

        self._session.look(list_paths, listed, lambda _error: over())

    def _put(self, asker: Hashable, paths: Sequence[Path], arrived: Arrived, images: Images, workspace: Workspace | None,
             first: bool = False) -> None:
        cache = self._cache_of(workspace)
        self._listeners[asker] = arrived
        with self._lock:
            wishes = deque(_Wish(asker, path, images, cache) for path in paths if (asker, path) not in self._under_way)
            if wishes:
                self._wishes[asker] = wishes
                if first:
                    self._wishes.move_to_end(asker, last=False)
            else:
                self._wishes.pop(asker, None)
            more = min(THREADS, sum(map(len, self._wishes.values()))) - self._working
            self._working += max(0, more)
        for _ in range(more):
            self._session.look(self._work, lambda _none: None)

    def _cache_of(self, workspace: Workspace | None) -> ThumbnailCache | None:
        if workspace is None:
            return None
        if self._cache is None or self._cache[0] is not workspace:
            self._cache = workspace, ThumbnailCache(workspace)
        return self._cache[1]

    # ---- making, in other threads ------------------------------------------------------------------------------------

    def _work(self) -> None:
        lower_priority()
        while (wish := self._next()) is not None:
            image = _make(wish)
            with self._lock:
                self._made.append((wish, image))
                poke = len(self._made) == 1
            if poke:
                self._session.bridge.post(self._hand_over)

    def _next(self) -> _Wish | None:
        with self._lock:
            if not self._wishes:
                self._working -= 1
                return None
            asker, wishes = next(iter(self._wishes.items()))
            wish = wishes.popleft()
            if not wishes:
                del self._wishes[asker]
            self._under_way.add((asker, wish.path))
            return wish

    # ---- handing over, in the Qt thread ------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        with self._lock:
            made, self._made = self._made, []
            self._under_way.difference_update((wish.asker, wish.path) for wish, _ in made)
        by_asker: dict[Hashable, dict[Path, QImage]] = defaultdict(dict)
        for wish, image in made:
            self._kept[wish.path] = image
            self._kept.move_to_end(wish.path)
            by_asker[wish.asker][wish.path] = image
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        for asker, images in by_asker.items():
            arrived = self._listeners.get(asker)
            if arrived is not None:
                arrived(images)


def lower_priority() -> None:
    """Of the calling thread, where a system has priorities of threads: camera and recorder go first.

    By a little only. A thread that hardly ever gets a processor may hold Python's lock meanwhile, and the window waits for it.
    """
    if sys.platform.startswith("linux"):
        thread = threading.get_native_id()
        try:
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICE))
        except OSError:  # some sandboxes forbid it
            return


def _make(wish: _Wish) -> QImage:
    """Null for a file of which none can be made, whatever is wrong with it: that is shown in its place."""
    try:
        make = wish.images.thumbnail
        if wish.cache is None:
            return decoded(make(wish.path, WIDTH))
        jpeg = wish.cache.get(wish.path, WIDTH, make)
        image = decoded(jpeg)
        if image.isNull() and jpeg is not None:
            image = decoded(wish.cache.get(wish.path, WIDTH, make, anew=True))
        return image
    except Exception:
        return QImage()


def decoded(jpeg: bytes | None) -> QImage:
    """In the form that is drawn as it is."""
    image = QImage.fromData(jpeg) if jpeg is not None else QImage()
    return image if image.isNull() or image.format() == QImage.Format_RGB32 else image.convertToFormat(QImage.Format_RGB32)
