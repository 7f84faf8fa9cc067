"""What went wrong, in the page where the student is: what happened, why, what to try, and the details to copy."""

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ai_nano.core.errors import AiNanoError, ContactLost, EndedByOther
from ai_nano.core.texts import t
from ai_nano.gui import style


class ErrorBox(QFrame):
    dismissed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._error: AiNanoError | None = None
        self._icon = QLabel()
        self._what, self._why, self._hint = QLabel(), QLabel(), QLabel()
        for label in (self._what, self._why, self._hint):
            label.setTextFormat(Qt.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextSelectableByMouse)
        self._copy = QPushButton()
        self._copy.setProperty("role", "plain")
        self._copy.clicked.connect(self._copy_details)
        self._close = QPushButton()
        self._close.setProperty("role", "plain")
        self._close.clicked.connect(self.dismissed)
        words = QVBoxLayout()
        words.setSpacing(3)
        for label in (self._what, self._why, self._hint):
            words.addWidget(label)
        buttons = QVBoxLayout()
        buttons.setSpacing(2)
        buttons.addWidget(self._copy)
        buttons.addWidget(self._close)
        buttons.addStretch(1)
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Maximum)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 10, 10)
        row.setSpacing(12)
        row.addWidget(self._icon, 0, Qt.AlignTop)
        row.addLayout(words, 1)
        row.addLayout(buttons)
        self.hide()

    def show_error(self, error: AiNanoError | None) -> None:
        """None: nothing is wrong."""
        self._error = error
        self.setVisible(error is not None)
        if error is None:
            return
        level = "warning" if isinstance(error, (ContactLost, EndedByOther)) else "error"
        style.set_property(self, "level", level)
        style.set_role(self._what, f"what {level}")
        tokens = style.tokens()
        colour = tokens.warn if level == "warning" else tokens.bad
        self._icon.setPixmap(style.pixmap("warning", colour, 24, self.devicePixelRatioF()))
        self._what.setText(error.what)
        self._why.setText(error.why)
        self._hint.setText(f"→ {error.hint}")
        self._copy.setText(t("window.copy_details"))
        self._close.setText(t("window.dismiss"))

    def retranslate(self) -> None:
        self.show_error(self._error)

    def _copy_details(self) -> None:
        if self._error is not None:
            lines = [self._error.code, self._error.what, self._error.why, self._error.hint, *self._error.details]
            QApplication.clipboard().setText("\n".join(lines))
            self._copy.setText(t("window.copied"))
