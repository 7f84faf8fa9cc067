"""The camera's preview for whichever page shows it: one at a time, and none while no page does."""

from PyQt5.QtCore import QObject
from PyQt5.QtWidgets import QLabel

from ai_nano.cameras.preview import Preview
from ai_nano.core.errors import AiNanoError
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap, Lab
from ai_nano.core.texts import t
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.widgets.video import VideoView


class CameraViews(QObject):
    """Shows a camera in a view, from `show` until `stop`."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._preview: Preview | None = None
        self._old: list[Preview] = []
        self._key: object = None

    def show(self, lab: Lab, uri: str, view: VideoView, note: QLabel) -> None:
        """`note` says, below the view, why there are no pictures and what to try; it is hidden while they come."""
        if self._key == (lab, uri, view):
            return
        self.stop()
        self._key = (lab, uri, view)
        view.show_words(t("window.camera.opening"))
        mailbox: Mailbox[Bitmap] = Mailbox(lambda: self._bridge.post(deliver))

        def deliver() -> None:
            bitmap = mailbox.take()
            if bitmap is not None and self._preview is preview:
                view.show_bitmap(bitmap)
                preview.size = _pixels(view)

        def told(error: AiNanoError | None) -> None:
            def in_window() -> None:
                if self._preview is preview:
                    if error is not None:
                        view.show_words(error.what)
                    note.setVisible(error is not None)
                    note.setText("" if error is None else f"{error.why} {error.hint}")
            self._bridge.post(in_window)

        preview = Preview(lab.open_camera, uri, _pixels(view), mailbox.put, told)
        self._preview = preview
        preview.start()

    def stop(self) -> None:
        """The camera's lamp goes out; the closing itself is done by the preview's thread."""
        self._key = None
        if self._preview is not None:
            self._preview.stop()
            self._old = [one for one in self._old if one.alive] + [self._preview]
            self._preview = None

    def close(self) -> None:
        self.stop()
        for preview in self._old:
            preview.join(5.0)


def _pixels(view: VideoView) -> tuple[int, int]:
    ratio = view.devicePixelRatioF()
    return max(320, round(view.width() * ratio)), max(180, round(view.height() * ratio))
