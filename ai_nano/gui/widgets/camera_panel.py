"""Which camera, and how its pictures shall be: size, rate, turned by quarters; and whether the view is a mirror."""

from collections.abc import Sequence
from pathlib import Path

from PyQt5.QtCore import QUrl, pyqtSignal
from PyQt5.QtGui import QHideEvent, QShowEvent
from PyQt5.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QInputDialog, QLabel, QLineEdit, QWidget

from ai_nano.cameras.listing import CameraList, CameraName
from ai_nano.cameras.webcam import FPS, HEIGHT, WIDTH
from ai_nano.core.ports import CameraOptions
from ai_nano.core.recording.camera_options import RATES, SIZES, TURNS
from ai_nano.core.texts import t
from ai_nano.gui import style
from ai_nano.gui.bridge import Bridge

VIDEOS = ("mp4", "avi", "mov", "mkv", "webm", "m4v", "mpg")
# The last entries of the list of cameras, each of which asks further.
OTHERS = ("video", "folder", "address")


class CameraPanel(QWidget):
    """`changed`: a person has chosen otherwise; `uri`, `options` and `mirror` say how. While it is on the screen, cameras that
    are plugged in appear in its list."""

    changed = pyqtSignal()

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._uri = ""
        self._found: Sequence[CameraName] = ()
        self._nanos: Sequence[str] = ()
        self._watch = CameraList(lambda found: bridge.post(lambda: self._on_list(found)))
        self._watching = False
        self._camera, self._size, self._rate, self._turn = (QComboBox() for _ in range(4))
        self._mirror = QCheckBox()
        self._labels = {}
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.AllNonFixedFieldsGrow)
        for name, box in (("camera", self._camera), ("size", self._size), ("rate", self._rate), ("turn", self._turn)):
            label = QLabel()
            label.setBuddy(box)
            style.set_role(label, "field")
            self._labels[name] = label
            # A camera's name may be long, and the panel stands in a narrow column.
            box.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
            form.addRow(label, box)
        form.addRow("", self._mirror)
        for size in (None, *SIZES):
            self._size.addItem("", size)
        for rate in (None, *RATES):
            self._rate.addItem("", rate)
        for turn in TURNS:
            self._turn.addItem("", turn)
        self._camera.activated.connect(lambda _index: self._on_camera())
        for box in (self._size, self._rate, self._turn):
            box.activated.connect(lambda _index: self.changed.emit())
        self._mirror.clicked.connect(lambda _checked: self.changed.emit())
        self.retranslate()

    # ---- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def options(self) -> CameraOptions:
        size, rate = (box.currentData() if box.isEnabled() else None for box in (self._size, self._rate))
        width, height = size or (None, None)
        return CameraOptions(width, height, rate, self._turn.currentData())

    @property
    def mirror(self) -> bool:
        return self._mirror.isChecked()

    def show_choice(self, uri: str, options: CameraOptions, mirror: bool, nanos: Sequence[str] = ()) -> None:
        """`nanos`: the names of those whose cameras may be chosen too. Emits nothing."""
        self._uri, self._nanos = uri, nanos
        size = (options.width, options.height) if options.width is not None else None
        for box, value in ((self._size, size), (self._rate, options.fps)):
            if _place(box, value) < 0:  # written into the workspace by hand
                box.addItem("", value)
        for box, value in ((self._size, size), (self._rate, options.fps), (self._turn, options.rotate)):
            box.setCurrentIndex(_place(box, value))
        self._mirror.setChecked(mirror)
        self.retranslate()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def retranslate(self) -> None:
        for name, label in self._labels.items():
            label.setText(t(f"window.camera.{name}"))
        for index in range(self._size.count()):
            size = self._size.itemData(index)
            self._size.setItemText(index, t("window.camera.usual", usual=f"{WIDTH} × {HEIGHT}") if size is None else
                                   "{} × {}".format(*size))
        for index in range(self._rate.count()):
            rate = self._rate.itemData(index)
            self._rate.setItemText(index, t("window.camera.usual", usual=FPS) if rate is None else f"{rate:g}")
        for index in range(self._turn.count()):
            self._turn.setItemText(index, t(f"window.camera.turn.{self._turn.itemData(index)}"))
        self._mirror.setText(t("window.camera.mirror"))
        self._mirror.setToolTip(t("window.camera.mirror.tip"))
        self._list(self._found)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._watching = True
        self._watch.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._watching = False
        self._watch.stop()

    def _on_list(self, found: Sequence[CameraName]) -> None:
        if self._watching:
            self._list(found)

    def _list(self, found: Sequence[CameraName]) -> None:
        self._found = found
        self._camera.clear()
        for one in found:
            # A camera that is known by its number stays so; a new choice is remembered by the name that lasts.
            self._camera.addItem(one.name, one.uri if one.uri == self._uri else one.choice)
        for nano in self._nanos:
            self._camera.addItem(t("window.camera.nano", machine=nano), f"nano://{nano}")
        if self._uri and self._camera.findData(self._uri) < 0:
            self._camera.addItem(_short(self._uri), self._uri)
        for other in OTHERS:
            self._camera.addItem(t(f"window.camera.{other}"), "")
        self._camera.setCurrentIndex(self._camera.findData(self._uri) if self._uri else -1)
        self._enable()

    def _enable(self) -> None:
        """Only of a webcam can a size and a rate be asked."""
        for box in (self._size, self._rate):
            box.setEnabled(self._uri.startswith(("webcam:", "v4l2:")))

    # ---- choosing ----------------------------------------------------------------------------------------------------

    def _on_camera(self) -> None:
        uri = self._camera.currentData()
        if uri:
            self._choose(uri)
            return
        other = OTHERS[self._camera.currentIndex() - (self._camera.count() - len(OTHERS))]
        self._list(self._found)  # what is chosen stays so until there is something else
        if other == "address":
            self._ask_for_address()
        else:
            self._ask_for_files(other)

    def _ask_for_files(self, kind: str) -> None:
        dialog = QFileDialog(self, t(f"window.camera.{kind}"), str(Path.home()))
        if kind == "folder":
            dialog.setFileMode(QFileDialog.Directory)
            dialog.setOption(QFileDialog.ShowDirsOnly)
        else:
            dialog.setFileMode(QFileDialog.ExistingFile)
            patterns = " ".join(f"*.{one} *.{one.upper()}" for one in VIDEOS)
            dialog.setNameFilters([f"{t('window.camera.videos')} ({patterns})", f"{t('window.camera.all_files')} (*)"])
        dialog.fileSelected.connect(lambda path: self._choose(Path(path).as_uri()))
        dialog.finished.connect(lambda _code: dialog.deleteLater())
        dialog.open()

    def _ask_for_address(self) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle(t("window.camera.address"))
        dialog.setLabelText(t("window.camera.address.ask"))
        dialog.setTextEchoMode(QLineEdit.Normal)
        dialog.setTextValue(self._uri if "://" in self._uri and not self._uri.startswith(("v4l2:", "file:", "nano:")) else "")
        dialog.setOkButtonText(t("window.camera.address.ok"))
        dialog.setCancelButtonText(t("window.cancel"))
        dialog.textValueSelected.connect(lambda text: self._choose(text.strip()))
        dialog.finished.connect(lambda _code: dialog.deleteLater())
        dialog.open()

    def _choose(self, uri: str) -> None:
        if not uri or uri == self._uri:
            return
        self._uri = uri
        self._list(self._found)
        self.changed.emit()


def _place(box: QComboBox, value: object) -> int:
    """findData compares what Qt makes of a tuple."""
    return next((index for index in range(box.count()) if box.itemData(index) == value), -1)


def _short(uri: str) -> str:
    """A file by its name; a device that is not plugged in now, and everything else, as it is written."""
    return QUrl(uri).fileName() or uri if uri.startswith("file:") else uri
