"""Step 4: the upload, with bytes and time left."""

from collections.abc import Callable, Mapping
from typing import Any

from PyQt5.QtWidgets import QFrame, QLabel, QPushButton

from ai_nano.core.events import Progress
from ai_nano.core.figures import amount
from ai_nano.core.project.workspace import Receipt
from ai_nano.core.running import Status
from ai_nano.core.texts import t
from ai_nano.core.workflow import split_size
from ai_nano.gui.inbox import Batch
from ai_nano.gui.pages.base import StepPage
from ai_nano.gui.session import Session
from ai_nano.steps.upload import UploadOptions


class UploadPage(StepPage):
    file = "upload"
    step = "upload"
    serverLine: QLabel
    facts: QLabel
    start: QPushButton
    transfer: QFrame
    bytes: QLabel
    rate: QLabel

    def __init__(self, session: Session, go: Callable[[str], None]) -> None:
        super().__init__(session, go)
        self._last: Progress | None = None
        self._size = (0, 0)
        self.task.detailed = False  # the page tells it larger
        self.start.clicked.connect(lambda: self.begin("upload", UploadOptions()))

    def redraw(self) -> None:
        super().redraw()
        self.show_start(self.start)
        if self.session.lab is None:
            return
        server, workspace = self.session.config.server, self.session.workspace
        self.serverLine.setText(t("window.upload.to", machine=server.name, host=server.host))
        receipt = workspace.done("upload") if workspace is not None else None
        if receipt is not None:
            there = t("window.upload.model", model=receipt.facts["model"], count=receipt.facts["files"])
        elif self.active is not None or self._last is not None:
            there = ""
        elif workspace is not None and "model" in _facts(workspace.attempts.get("upload")):
            there = t("window.upload.begun")
        else:
            there = t("window.upload.nothing")
        here = t("window.upload.size", count=self._size[0], size=amount(self._size[1], "bytes")) if self._size[0] else ""
        self.facts.setText(f"{here}\n{there}".strip())
        self._draw_transfer()

    def entered(self) -> None:
        super().entered()
        workspace = self.session.workspace
        if workspace is not None:
            def done(size: tuple[int, int]) -> None:
                self._size = size
                self.redraw()

            self.session.look(lambda: split_size(workspace), done)

    def reset(self) -> None:
        self._last, self._size = None, (0, 0)

    def begun(self, step: str) -> None:
        super().begun(step)
        self._last = None

    def take(self, batch: Batch) -> None:
        super().take(batch)
        if self.step in batch.progress:
            self._last = batch.progress[self.step]
            self._draw_transfer()

    def _draw_transfer(self) -> None:
        event = self._last
        self.transfer.setVisible(event is not None)
        if event is None:
            return
        self.bytes.setText(t("window.of", done=amount(event.done, event.unit), total=amount(event.total, event.unit)))
        if event.done >= event.total:
            words = t("window.upload.whole")
        elif self.active is not None or event.files is None:
            words = event.words(amounts=False, pace=self.session.status("upload").status is not Status.LOST)
        else:
            words = t("window.upload.part", done=event.files[0], total=event.files[1])
        self.rate.setText(words)


def _facts(receipt: Receipt | None) -> Mapping[str, Any]:
    return receipt.facts if receipt is not None else {}
