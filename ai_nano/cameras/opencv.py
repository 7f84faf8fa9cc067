"""OpenCV, imported when first needed (0.27 s) and made harmless to PyQt5."""

import importlib
import os
from typing import Any


def load_cv2() -> Any:
    """The cv2 module.

    opencv-python (the build with windows) points Qt at its own plugins, in which PyQt5 finds no usable xcb plugin
    (doc/design/opencv.md); what it sets is taken back.
    """
    # Both are read when the module is loaded. What goes wrong is said in the project's words; a camera that is not there
    # would else print FFmpeg's and OpenCV's own beside them. Whoever looks for a fault sets them otherwise.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
    before = {name: os.environ.get(name) for name in names}
    cv2 = importlib.import_module("cv2")
    for name, value in before.items():
        if os.environ.get(name) != value:
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    return cv2
