"""Thumbnails of recorded images, made beside the window and kept while they are wanted."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtGui import QImage

from ai_nano.core.ports import Images
from ai_nano.gui.session import Session

WIDTH = 152
KEPT = 400

ListPaths = Callable[[], list[Path]]
Done = Callable[[int, Sequence[QImage]], object]


class Thumbnails:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: OrderedDict[Path, QImage] = OrderedDict()
        self._busy: set[str] = set()
        self._again: dict[str, tuple[str, ListPaths, int, Images, Done]] = {}

    def newest(self, key: str, list_paths: ListPaths, count: int, images: Images, done: Done) -> None:
        """Find the newest `count` of the paths and call `done` (how many there are, images newest first).

        One question per `key` at a time: asked again before the answer, it is asked once more after it.
        """
        if key in self._busy:
            self._again[key] = (key, list_paths, count, images, done)
            return
        self._busy.add(key)
        known = dict(self._kept)

        def work() -> tuple[int, list[tuple[Path, QImage]]]:
            paths = list_paths()
            found = []
            for path in reversed(paths[-count:]):
                image = known.get(path)
                if image is None:
                    jpeg = images.thumbnail(path, WIDTH)
                    image = QImage.fromData(jpeg) if jpeg is not None else QImage()
                found.append((path, image))
            return len(paths), found

        def arrived(result: tuple[int, list[tuple[Path, QImage]]]) -> None:
            total, found = result
            for path, image in found:
                self._kept[path] = image
                self._kept.move_to_end(path)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            done(total, [image for _, image in found if not image.isNull()])
            over()

        def over() -> None:
            self._busy.discard(key)
            if key in self._again:
                self.newest(*self._again.pop(key))

        self._session.look(work, arrived, lambda _error: over())
