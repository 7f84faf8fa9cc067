"""The camera's preview for whichever page shows it: one at a time, and none while no page does."""

from collections.abc import Callable

from PyQt5.QtCore import QObject, QTimer
from PyQt5.QtWidgets import QLabel

from ai_nano.cameras.devices import same_camera
from ai_nano.cameras.preview import Preview
from ai_nano.core.errors import AiNanoError
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap, CameraOptions, Frame, Lab
from ai_nano.core.recording.camera_state import CameraState
from ai_nano.core.texts import t
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.widgets.video import VideoView

LOOK_MS = 1000
# As long as a person takes to wonder.
STILL_S = 3.0


class CameraViews(QObject):
    """Shows a camera in a view, from `show` until `stop`."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._preview: Preview | None = None
        self._old: list[Preview] = []
        self._key: object = None
        self._view: VideoView | None = None
        self._note: QLabel | None = None
        self._state: CameraState | None = None
        self._still = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    def show(self, lab: Lab, uri: str, view: VideoView, note: QLabel, options: CameraOptions | None = None,
             mirror: bool = False, see: Callable[[Frame], None] = lambda frame: None) -> None:
        """`note` says, below the view, why there are no pictures and what to try, or what is the matter with them; it is
        hidden while all is well. `mirror` is the view's alone. `see` is called with each frame, in the preview's thread."""
        options = options or CameraOptions()
        if self._key == (lab, uri, view, options):
            assert self._preview is not None
            self._preview.mirror = mirror
            return
        self.stop()
        self._key = (lab, uri, view, options)
        self._view, self._note = view, note
        before = next((one for one in reversed(self._old) if one.alive and one.camera == same_camera(uri)), None)
        view.show_words(t("window.camera.opening"))
        note.hide()
        mailbox: Mailbox[Bitmap] = Mailbox(lambda: self._bridge.post(deliver))

        def deliver() -> None:
            bitmap = mailbox.take()
            if bitmap is not None and self._preview is preview:
                view.show_bitmap(bitmap)
                preview.size = _pixels(view)

        def told(news: AiNanoError | CameraState | None) -> None:
            def in_window() -> None:
                if self._preview is not preview:
                    return
                if isinstance(news, AiNanoError):
                    view.show_words(news.what)
                    _say(note, f"{news.why} {news.hint}")
                else:
                    _say(note, news.text if news is not None else "")
                self._state, self._still = news if isinstance(news, CameraState) else None, False
            self._bridge.post(in_window)

        preview = Preview(lambda uri: lab.open_camera(uri, options), uri, _pixels(view), mailbox.put, told, options, mirror,
                          after=before, see=see)
        self._preview = preview
        preview.start()
        self._timer.start()

    def shows_in(self, view: VideoView) -> bool:
        return self._view is view

    def stop(self) -> None:
        """The camera's lamp goes out; the closing itself is done by the preview's thread."""
        self._key = self._view = None
        self._timer.stop()
        self._state, self._still = None, False
        if self._preview is not None:
            self._preview.stop()
            self._old = [one for one in self._old if one.alive] + [self._preview]
            self._preview = None

    def close(self) -> None:
        self.stop()
        for preview in self._old:
            preview.join(5.0)

    def _look(self) -> None:
        """A camera that hangs raises nothing: its thread waits."""
        if self._preview is None or self._note is None:
            return
        seconds = self._preview.still_s
        if seconds >= STILL_S:
            self._still = True
            _say(self._note, t("camera.still", seconds=int(seconds)))
        elif self._still:
            self._still = False
            _say(self._note, self._state.text if self._state is not None else "")


def _say(note: QLabel, words: str) -> None:
    note.setText(words)
    note.setVisible(bool(words))


def _pixels(view: VideoView) -> tuple[int, int]:
    ratio = view.devicePixelRatioF()
    return max(320, round(view.width() * ratio)), max(180, round(view.height() * ratio))
