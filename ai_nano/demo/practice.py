"""The embedded classroom as the window uses it: the same processes, and a stage that the student commands."""

from pathlib import Path
from types import TracebackType

import cv2

from ai_nano.core.room.config import Config
from ai_nano.demo.cards import printed_card
from ai_nano.demo.classroom import Classroom
from ai_nano.demo.journey import CLASSES
from ai_nano.demo.verdict import EMPTY

PICTURE_HEIGHT = 96  # pixels


class Practice:
    """Use with `with`. Cards are held before both cameras; each showing is a take of its own, in another pose and light."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.cards = tuple(name for name in CLASSES if name != EMPTY)
        self.classes = len(CLASSES)
        self.config: Config
        self._classroom = Classroom(folder, seed)
        self._takes = 0

    def __enter__(self) -> "Practice":
        self._classroom.__enter__()
        self.config = self._classroom.config
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._classroom.__exit__(kind, error, trace)

    def picture(self, card: str) -> bytes:
        return bytes(cv2.imencode(".jpg", printed_card(card, PICTURE_HEIGHT))[1].tobytes())

    def hold(self, card: str | None) -> None:
        self.turn(card)
        self._classroom.stage.show("nano", card, "show", self._takes)

    def turn(self, card: str | None) -> None:
        self._takes += 1
        self._classroom.stage.show("laptop", card, "record", self._takes)

    def plug(self, plugged: bool) -> None:
        for camera in ("laptop", "nano"):
            self._classroom.stage.plug(camera, plugged)
