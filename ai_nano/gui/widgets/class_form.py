"""The form of one class: name, Create, Start, Stop, how many images, and the newest of them."""

from collections.abc import Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QFrame, QLabel, QLineEdit, QPushButton, QWidget

from ai_nano.core.errors import AiNanoError
from ai_nano.core.texts import t
from ai_nano.gui import ui_files
from ai_nano.gui.widgets.thumbnails import ThumbnailStrip


class ClassForm(QFrame):
    """Tells its page what was pushed; knows nothing of cameras or files."""

    create_wanted = pyqtSignal(str)
    start_wanted = pyqtSignal()
    stop_wanted = pyqtSignal()
    import_wanted = pyqtSignal()

    number: QLabel
    name: QLineEdit
    createButton: QPushButton
    start: QPushButton
    stop: QPushButton
    bring: QPushButton
    count: QLabel
    thumbnails: ThumbnailStrip
    trouble: QLabel

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        ui_files.load("class_form", self)
        self.number.setText(str(number))
        self.class_name: str | None = None
        self._images = 0
        self.createButton.clicked.connect(lambda: self.create_wanted.emit(self.name.text()))
        self.name.returnPressed.connect(self._on_return)
        self.name.textEdited.connect(lambda _text: self.show_trouble(None))
        self.start.clicked.connect(self.start_wanted)
        self.stop.clicked.connect(self.stop_wanted)
        self.bring.clicked.connect(self.import_wanted)
        self.trouble.hide()
        self.show_class(None)

    def retranslate(self) -> None:
        ui_files.retranslate("class_form", self)
        self.show_count(self._images)

    def show_class(self, name: str | None) -> None:
        """The class that it stands for; None: not created yet."""
        self.class_name = name
        created = name is not None
        if name is not None:
            self.name.setText(name)
            self.name.setCursorPosition(0)
            self.name.setToolTip(name)
        self.name.setReadOnly(created)
        self.name.setFocusPolicy(Qt.NoFocus if created else Qt.StrongFocus)
        # The stylesheet asks for readOnly, and Qt looks at it when the widget is polished only.
        self.name.style().unpolish(self.name)
        self.name.style().polish(self.name)
        self.createButton.setVisible(not created)
        self.show_trouble(None)
        for widget in (self.start, self.stop, self.bring, self.count, self.thumbnails):
            widget.setVisible(created)

    def show_state(self, recording: bool, may_start: bool) -> None:
        self.start.setEnabled(may_start)
        self.stop.setEnabled(recording)
        self.bring.setEnabled(may_start)

    def show_count(self, count: int) -> None:
        self._images = count
        self.count.setText(t("window.class.count", count=count))

    def show_thumbnails(self, images: Sequence[QImage]) -> None:
        self.thumbnails.set_images(images)

    def show_trouble(self, error: AiNanoError | None) -> None:
        """At the field, since it is about the field."""
        self.trouble.setVisible(error is not None)
        self.trouble.setText("" if error is None else f"{error.what} {error.hint}")

    def _on_return(self) -> None:
        if self.class_name is None:
            self.create_wanted.emit(self.name.text())
