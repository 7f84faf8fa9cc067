"""Hints in a page: about the camera's frames while it is looked at, and about the images that were recorded."""

from collections.abc import Mapping

from PyQt5.QtCore import QObject, QTimer

from ai_nano.cameras.hint_watch import HintWatch
from ai_nano.core.cancel import CancelToken
from ai_nano.core.hints.advice import MOST_SHOWN, Hint, first
from ai_nano.core.hints.look_book import LookBook
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Frame, Images
from ai_nano.core.project.workspace import Workspace
from ai_nano.gui.session import Session
from ai_nano.gui.widgets.hint_box import PICTURE_WIDTH, HintBox

# A camera that gives no frames says nothing about the light.
STALE_MS = 2000
# About as long as the measuring of an image takes: half a processor at most.
REST_S = 0.005
# Of these the two images are shown.
WITH_PICTURES = ("hint.twins",)

_Found = tuple[str, list[Hint], dict[str, bytes]]


class Hinting(QObject):
    """Fills a HintBox. `see` is for the preview; `look_again` when images may have changed, `pause` while they are changing."""

    def __init__(self, session: Session, box: HintBox) -> None:
        super().__init__()
        self._session = session
        self._box = box
        self._of_frames: list[Hint] = []
        self._of_images: list[Hint] = []
        self._changing: str | None = None
        self._pictures: Mapping[str, bytes] = {}
        self._mailbox: Mailbox[list[Hint]] = Mailbox(lambda: session.bridge.post(self._deliver))
        self._watch = HintWatch(self._mailbox.put)
        self._watching = False
        self._stale = QTimer(self)
        self._stale.setSingleShot(True)
        self._stale.setInterval(STALE_MS)
        self._stale.timeout.connect(self._no_frames)
        self._book: LookBook | None = None
        self._workspace: Workspace | None = None
        self._looking: CancelToken | None = None
        self._again = False
        self._fingerprint = ""

    def see(self, frame: Frame) -> None:
        """In the preview's thread."""
        self._watch.see(frame)

    def start(self) -> None:
        """The page is shown."""
        self._watching = True
        self.look_again()

    def stop(self) -> None:
        """The page is left: nothing is looked at any longer."""
        self._watching = False
        self.pause()
        self._no_frames()

    def pause(self, changing: str | None = None) -> None:
        """A recording needs the processor; what has been measured is kept. Of the class that is `changing` nothing is said
        until it was looked at again."""
        self._again = False
        if changing is not None:
            self._changing = changing
            self._draw()
        if self._looking is not None:
            self._looking.cancel()

    def look_again(self) -> None:
        """Look at the images beside the window; nothing where they are as they were."""
        workspace, lab = self._session.workspace, self._session.lab
        if workspace is not self._workspace:
            self._workspace, self._book, self._fingerprint = workspace, None, ""
            self._of_images, self._pictures = [], {}
            self._draw()
        if workspace is None or lab is None or not self._watching:
            return
        if self._looking is not None:
            self._again = True
            return
        self._book = self._book or LookBook(workspace, lab.images.look, REST_S)
        book, cancel, known = self._book, CancelToken(), self._fingerprint
        self._looking = cancel
        self._session.look(lambda: _find(workspace, book, lab.images, known, cancel),
                           lambda found: self._over(workspace, found), lambda _error: self._over(workspace, None))

    def _over(self, workspace: Workspace, found: _Found | None) -> None:
        self._looking = None
        if found is not None and workspace is self._workspace:
            self._fingerprint, self._of_images, self._pictures = found
            self._changing = None
            self._draw()
        if self._again or workspace is not self._session.workspace:
            self._again = False
            self.look_again()

    def _deliver(self) -> None:
        hints = self._mailbox.take()
        if hints is not None and self._watching:
            self._of_frames = hints
            self._stale.start()
            self._draw()

    def _no_frames(self) -> None:
        self._stale.stop()
        self._of_frames = []
        self._draw()

    def _draw(self) -> None:
        # A class without images has not been begun, which its card says.
        of_images = [hint for hint in self._of_images if hint.class_name != self._changing or hint.class_name is None
                     if hint.params.get("count") != 0]
        self._box.show_hints(first([*self._of_frames, *of_images], MOST_SHOWN), self._pictures)


def _find(workspace: Workspace, book: LookBook, images: Images, known: str, cancel: CancelToken) -> _Found | None:
    """The images' fingerprint, the hints about them and small pictures; None when they are as known."""
    fingerprint = workspace.images_fingerprint()
    if fingerprint == known:
        return None
    hints = book.hints(cancel)
    pictures = {}
    for hint in first([one for one in hints if one.code in WITH_PICTURES], MOST_SHOWN):
        for key in hint.images:
            name, _, file = key.partition("/")
            jpeg = images.thumbnail(workspace.image_folder(name) / file, 2 * PICTURE_WIDTH)
            if jpeg is not None:
                pictures[key] = jpeg
    return fingerprint, hints, pictures
