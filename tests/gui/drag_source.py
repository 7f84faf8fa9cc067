"""A window of another program, from which files are dragged: python drag_source.py LEFT TOP PATH...

Says `ready` once it is shown, and ends with standard input.
"""

import sys
import threading

from PyQt5.QtCore import QMimeData, Qt, QUrl
from PyQt5.QtGui import QDrag, QMouseEvent
from PyQt5.QtWidgets import QApplication, QLabel


class Source(QLabel):
    def __init__(self, paths: list[str]) -> None:
        super().__init__("drag me")
        self._urls = [QUrl.fromLocalFile(path) for path in paths]

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        data = QMimeData()
        data.setUrls(self._urls)
        drag = QDrag(self)
        drag.setMimeData(data)
        drag.exec_(Qt.CopyAction)


def main() -> None:
    left, top, *paths = sys.argv[1:]
    app = QApplication(["source"])
    source = Source(paths)
    source.setGeometry(int(left), int(top), 200, 80)
    source.show()
    threading.Thread(target=lambda: (sys.stdin.read(), app.quit()), daemon=True).start()
    print("ready", flush=True)
    app.exec_()


if __name__ == "__main__":
    main()
