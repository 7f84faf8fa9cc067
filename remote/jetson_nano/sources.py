"""Where frames come from, for the engine that computes on the processor: by URI, through OpenCV or an MJPEG reader.

`webcam:0`, `/dev/video0`, `v4l2:///dev/video0`, `http://host/name.mjpg`, `rtsp://...`, `file:///clip.mp4`, or a folder
of images. A live camera is read by a thread that keeps only the newest frame, so that a slow network never makes
predictions late; of a file or a folder every frame is given, once and in order.
"""

import os
import re
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from jetson_nano.mjpeg import MjpegStream, NotMjpeg
from shared.wire import Failure

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
USUAL_FPS = 30.0
# What jetson-utils asks a camera for, so that both engines see the same picture.
WIDTH, HEIGHT = 1280, 720
NETWORK_TIMEOUT_MS = 5000
JOIN_S = 0.5


class Frame(NamedTuple):
    """`image` in the form that the engine takes; `t` is the unix time at which it was grabbed.

    `file` is the image's path below the folder that is classified, with slashes.
    """

    image: Any
    t: float
    file: Optional[str] = None


class SourceLost(Exception):
    """The camera is not there, or no longer."""


class SourceEnded(Exception):
    """A file or folder has given its last frame."""


class Source:
    """A camera that was opened."""

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The next frame, None when none came in that time. Raises SourceLost, SourceEnded."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Stream:
    """What a live source's thread reads: `grab` waits for the next frame, and gives it in a form yet to be decoded."""

    def grab(self) -> Callable[[], Any]:
        """Raises SourceLost."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class LiveSource(Source):
    """Reads a stream in a thread into a mailbox for one frame, the newest."""

    def __init__(self, open_stream: Callable[[], Stream]) -> None:
        self._open_stream = open_stream
        self._changed = threading.Condition()
        self._newest: Optional[Any] = None
        self._error: Optional[SourceLost] = None
        self._closing = False
        # A daemon, because a driver may hang for ever in a read that nothing interrupts.
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Optional[Frame]:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._error is not None, timeout_s)
            newest, self._newest = self._newest, None
            if newest is None:
                if self._error is not None:
                    raise self._error
                return None
        decode, grabbed = newest
        image = decode()
        return None if image is None else Frame(image, grabbed)

    def close(self) -> None:
        with self._changed:
            self._closing = True
        self._thread.join(JOIN_S)

    def _work(self) -> None:
        try:
            stream = self._open_stream()
            try:
                while not self._closing:
                    decode = stream.grab()
                    with self._changed:
                        self._newest = (decode, time.time())
                        self._changed.notify_all()
            finally:
                stream.close()
        except SourceLost as error:
            self._fail(error)
        except Exception as error:  # whatever ends this thread, the reader of the mailbox must hear of it
            self._fail(SourceLost(f"{type(error).__name__}: {error}"))

    def _fail(self, error: SourceLost) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()


class CvStream(Stream):
    """A camera device or a network stream through OpenCV."""

    def __init__(self, capture: Any, flip: Callable[[Any], Any]) -> None:
        """Raises SourceLost when the capture could not be opened."""
        if not capture.isOpened():
            capture.release()
            raise SourceLost("cannot be opened")
        self._capture = capture
        self._flip = flip

    def grab(self) -> Callable[[], Any]:
        there, image = self._capture.read()
        if not there:
            raise SourceLost("gives no more frames")
        return lambda: self._flip(image)

    def close(self) -> None:
        self._capture.release()


class HttpStream(Stream):
    """MJPEG over HTTP; a frame is decoded only when it is asked for, so those that are passed over cost nothing."""

    def __init__(self, stream: MjpegStream, flip: Callable[[Any], Any]) -> None:
        self._stream = stream
        self._flip = flip

    def grab(self) -> Callable[[], Any]:
        try:
            jpeg = self._stream.read()
        except OSError as error:
            raise SourceLost(str(error)) from error

        def decode() -> Any:
            import cv2
            import numpy as np

            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            return None if image is None else self._flip(image)

        return decode

    def close(self) -> None:
        self._stream.close()


class VideoFile(Source):
    """Every frame of a file, no sooner than its frame rate says; a slow network makes it take longer."""

    def __init__(self, path: Path, flip: Callable[[Any], Any]) -> None:
        """Raises SourceLost."""
        import cv2

        capture = cv2.VideoCapture(str(path))
        self._stream = CvStream(capture, flip)
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._interval = 1.0 / (fps if 0 < fps <= 1000 else USUAL_FPS)
        self._due = time.monotonic()

    def read(self, timeout_s: float) -> Optional[Frame]:
        wait = self._due - time.monotonic()
        time.sleep(max(0.0, min(wait, timeout_s)))
        if wait > timeout_s:
            return None
        self._due = max(self._due, time.monotonic() - self._interval) + self._interval
        try:
            image = self._stream.grab()()
        except SourceLost:
            raise SourceEnded() from None
        return Frame(image, time.time())

    def close(self) -> None:
        self._stream.close()


def images_below(folder: Path) -> List[Path]:
    """In the order of their paths."""
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES)


class ImageFolder(Source):
    """Every image of a folder and its subfolders, in the order of their paths; what is no image is passed over."""

    def __init__(self, path: Path, load: Callable[[Path], Any]) -> None:
        """`load` gives an image in the form that the engine takes, None where it cannot. Raises SourceLost without any file."""
        self._load = load
        self._folder = path
        self._paths = images_below(path)[::-1]
        if not self._paths:
            raise SourceLost("no images")

    def read(self, timeout_s: float) -> Optional[Frame]:
        if not self._paths:
            raise SourceEnded()
        path = self._paths.pop()
        image = self._load(path)
        return None if image is None else Frame(image, time.time(), path.relative_to(self._folder).as_posix())

    def close(self) -> None:
        self._paths = []


def _load_turned(path: Path, turn: Callable[[Any], Any]) -> Any:
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else turn(image)


# By jetson-utils' names, as --input-flip takes them (videoOptions.cpp).
FLIPS: Dict[str, Callable[[Any], Any]] = {
    "none": lambda image: image,
    "clockwise": lambda image: image.transpose(1, 0, 2)[:, ::-1],
    "counterclockwise": lambda image: image.transpose(1, 0, 2)[::-1],
    "rotate-180": lambda image: image[::-1, ::-1],
    "horizontal": lambda image: image[:, ::-1],
    "vertical": lambda image: image[::-1],
    "upper-left-diagonal": lambda image: image.transpose(1, 0, 2),
    "upper-right-diagonal": lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
}


def check_flip(flip: Optional[str]) -> str:
    """Raises Failure infer.bad_flip."""
    if flip is not None and flip not in FLIPS:
        raise Failure("infer.bad_flip", flip=str(flip), known=", ".join(sorted(FLIPS)))
    return flip or "none"


def local_path(uri: str) -> Optional[Path]:
    """The file or folder that a URI means; None for everything else, devices among it."""
    if uri.startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    if "://" in uri or uri.startswith(("/dev/", "webcam:")):
        return None
    return Path(uri)


def device_index(uri: str) -> Optional[int]:
    """The number of a camera device; None where the URI names none. Raises SourceLost when it is not plugged in."""
    if uri.startswith("webcam:"):
        path = "/dev/video" + uri[len("webcam:"):]
    elif uri.startswith("v4l2://"):
        path = uri[len("v4l2://"):]
    else:
        path = uri
    if not path.startswith("/dev/"):
        return None
    if not os.path.exists(path):
        raise SourceLost(f"{path} does not exist")
    number = re.match(r"/dev/video(\d+)\Z", os.path.realpath(path))
    if number is None:
        raise SourceLost(f"{path} is no camera")
    return int(number.group(1))


def open_source(uri: str, flip: Optional[str], size: Optional[Tuple[int, int]] = None) -> Source:
    """Opens a camera; a live one may turn out to be missing only when it is read. `size` is what a device is asked for.

    Raises SourceLost, Failure infer.camera_unsupported {camera, engine}.
    """
    turn = FLIPS[check_flip(flip)]
    path = local_path(uri)
    if path is not None:
        if not path.exists():
            raise SourceLost(f"{path} does not exist")
        return ImageFolder(path, lambda file: _load_turned(file, turn)) if path.is_dir() else VideoFile(path, turn)
    if uri.startswith(("http://", "https://")):
        return LiveSource(lambda: _open_http(uri, turn))
    if uri.startswith(("rtsp://", "rtsps://", "rtp://", "udp://")):
        return LiveSource(lambda: CvStream(_network_capture(uri), turn))
    index = device_index(uri)
    if index is None:
        raise Failure("infer.camera_unsupported", camera=uri, engine="onnxruntime")
    return LiveSource(lambda: CvStream(_device_capture(index, size or (WIDTH, HEIGHT)), turn))


def _open_http(uri: str, flip: Callable[[Any], Any]) -> Stream:
    try:
        return HttpStream(MjpegStream(uri, NETWORK_TIMEOUT_MS / 1000), flip)
    except NotMjpeg:
        return CvStream(_network_capture(uri), flip)
    except OSError as error:
        raise SourceLost(str(error)) from error


def _network_capture(uri: str) -> Any:
    import cv2

    if hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):  # since OpenCV 4.5.2; JetPack 4.6 brings 4.1
        limits: List[int] = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS,
                             cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)
    return cv2.VideoCapture(uri)


def _device_capture(index: int, size: Tuple[int, int]) -> Any:
    import cv2

    capture = cv2.VideoCapture(index, cv2.CAP_V4L2)
    # Uncompressed, USB 2 carries 1280x720 at 10 frames a second only.
    capture.set(cv2.CAP_PROP_FOURCC, int.from_bytes(b"MJPG", "little"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    return capture
