"""Loads the Qt Designer files, and serves their texts from the catalogue.

In a .ui file each text is English, as Designer shows it, and its `comment` is its code in the catalogue.
"""

import functools
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from PyQt5 import uic
from PyQt5.QtCore import QObject, Qt
from PyQt5.QtWidgets import QComboBox, QLabel, QTableWidget, QWidget

from ai_nano import resources
from ai_nano.core.texts import t


@dataclass(frozen=True)
class Text:
    """Where a text of a file belongs: a property of an object, or the `index`th item or column of it."""

    object_name: str
    kind: str
    index: int
    code: str


def load(name: str, into: QWidget) -> None:
    """Build the contents of `ui/<name>.ui` in `into`; its widgets become attributes. Texts are in the language of now."""
    uic.loadUi(str(resources.ui_folder() / f"{name}.ui"), into)
    # Names that other machines send are shown as they are: as rich text they could load files.
    for label in into.findChildren(QLabel):
        label.setTextFormat(Qt.PlainText)
    retranslate(name, into)


def retranslate(name: str, widget: QWidget) -> None:
    """Give the widget the file's texts in the language of now."""
    for text in texts(name):
        target = widget if text.object_name == widget.objectName() else widget.findChild(QObject, text.object_name)
        sentence = t(text.code)
        if text.kind == "item" and isinstance(target, QComboBox):
            target.setItemText(text.index, sentence)
        elif text.kind == "column" and isinstance(target, QTableWidget):
            column = target.horizontalHeaderItem(text.index)
            if column is not None:
                column.setText(sentence)
        elif target is not None:
            target.setProperty(text.kind, sentence)


@functools.cache
def texts(name: str) -> tuple[Text, ...]:
    """All texts of a file that have a code."""
    found: list[Text] = []
    for widget in ElementTree.parse(resources.ui_folder() / f"{name}.ui").iter("widget"):
        owner = widget.get("name", "")
        for prop in widget.findall("property"):
            code = _code(prop)
            if code:
                found.append(Text(owner, prop.get("name", ""), 0, code))
        for kind in ("item", "column"):
            for index, part in enumerate(widget.findall(kind)):
                code = next((_code(prop) for prop in part.findall("property")), None)
                if code:
                    found.append(Text(owner, kind, index, code))
    return tuple(found)


def _code(prop: ElementTree.Element) -> str | None:
    string = prop.find("string")
    return string.get("comment") if string is not None else None
