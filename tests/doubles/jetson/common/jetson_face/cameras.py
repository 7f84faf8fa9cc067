"""What a camera sees: a folder of images again and again, or the MJPEG stream of the embedded classroom's stage."""

import os
import threading
import time
import urllib.request

import cv2
import numpy

from jetson_face import settings

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


def plugged_in(uri):
    """Where that camera's pictures come from, None when it is not there."""
    return settings.get("cameras").get(uri)


def open_pictures(uri):
    origin = plugged_in(uri)
    if origin is None:
        return None
    return StagePictures(uri, origin) if origin.startswith("http") else FolderPictures(uri, origin)


class FolderPictures:
    def __init__(self, uri, folder):
        self._uri = uri
        self._paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.lower().endswith(IMAGES)]
        self._next = 0
        self._due = time.monotonic()

    def wait(self, seconds):
        """The next picture, RGB, at the camera's rate; None when it does not come in time (None: wait for ever)."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if plugged_in(self._uri) is not None and now >= self._due:
                self._due = max(self._due, now - 1) + 1 / settings.get("fps")
                picture = cv2.imread(self._paths[self._next % len(self._paths)], cv2.IMREAD_COLOR)
                self._next += 1
                return picture[:, :, ::-1]
            if deadline is not None and now >= deadline:
                return None
            time.sleep(0.005)

    def close(self):
        pass


class StagePictures:
    """A thread reads the stream; the newest picture is given, each once."""

    def __init__(self, uri, address):
        self._changed = threading.Condition()
        self._jpeg = None
        self._closing = False
        self._address = address
        self._thread = threading.Thread(target=self._read, name="stage", daemon=True)
        self._thread.start()

    def wait(self, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._jpeg is not None, seconds)
            jpeg, self._jpeg = self._jpeg, None
        if jpeg is None:
            return None
        return cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]

    def close(self):
        self._closing = True

    def _read(self):
        while not self._closing:
            try:
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(self._address, timeout=5) as stream:
                    self._parts(stream)
            except OSError:
                time.sleep(0.1)

    def _parts(self, stream):
        length = None
        while not self._closing:
            line = stream.readline()
            if not line:
                return
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
            elif not line.strip() and length is not None:
                jpeg, length = stream.read(length), None
                with self._changed:
                    self._jpeg = jpeg
                    self._changed.notify_all()
