"""Thumbnails of recorded images, made beside the window and kept while they are wanted."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtGui import QImage

from ai_nano.core.ports import Images
from ai_nano.gui.session import Session

WIDTH = 152
KEPT = 400


class Thumbnails:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: OrderedDict[Path, QImage] = OrderedDict()
        self._busy: set[str] = set()

    def newest(self, key: str, list_paths: Callable[[], list[Path]], count: int, images: Images,
               done: Callable[[int, Sequence[QImage]], object]) -> None:
        """Find the newest `count` of the paths and call `done` (how many there are, images newest first).

        One question per `key` at a time: asked again before the answer, it is answered once.
        """
        if key in self._busy:
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
            self._busy.discard(key)
            total, found = result
            for path, image in found:
                self._kept[path] = image
                self._kept.move_to_end(path)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            done(total, [image for _, image in found if not image.isNull()])

        self._session.look(work, arrived, lambda error: self._busy.discard(key))
