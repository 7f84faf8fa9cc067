"""videoSource [V1] to [V9]: cameras, streams, films and images."""

import glob
import os
import time

import cv2
import numpy

from jetson_face import cameras, face, log
from jetson_face.command_line import CommandLine, strings
from jetson_face.cuda import CHANNELS, LOG, cudaImage

FILMS = {"mkv", "mp4", "qt", "flv", "avi", "h264", "h265"}
FILMS_SINCE_2021 = {"mov", "webm"}
IMAGES = {"jpg", "jpeg", "png", "tga", "targa", "bmp", "gif", "psd", "hdr", "pic", "pnm", "pbm", "ppm", "pgm"}
WIDTH, HEIGHT = 1280, 720
BUFFERS = 4
# By nvvidconv's names; what is unknown counts as none [V6].
FLIPS = {
    "none": lambda image: image,
    "counterclockwise": lambda image: image.transpose(1, 0, 2)[::-1],
    "rotate-180": lambda image: image[::-1, ::-1],
    "clockwise": lambda image: image.transpose(1, 0, 2)[:, ::-1],
    "horizontal": lambda image: image[:, ::-1],
    "upper-right-diagonal": lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    "vertical": lambda image: image[::-1],
    "upper-left-diagonal": lambda image: image.transpose(1, 0, 2),
}
# A CSI camera hangs upside down on newer JetPacks, so these two change places there [V7].
CSI = {"none": "rotate-180", "rotate-180": "none"}


class Timeout(Exception):
    """Nothing yet."""


class Ended(Exception):
    """The last frame was given, or the source cannot be opened."""


def parse(uri):
    """(protocol, location) [V2]. Raises ValueError."""
    if "://" in uri:
        protocol, _, location = uri.partition("://")
        return protocol.lower(), location
    if uri.startswith("/dev/video"):
        return "v4l2", uri
    if "." in uri or "/" in uri or os.path.exists(uri):
        return "file", os.path.abspath(uri)
    if uri.lstrip("-").isdigit():
        return "csi", uri
    raise ValueError(uri)


class videoSource:
    def __init__(self, uri="", argv=None, positionArg=-1, **options):
        if set(options) - ({"options"} if face.current.year >= 2022 else set()):
            raise TypeError("invalid keyword argument")
        line = CommandLine(strings(argv, LOG + "videoSource.__init()__"))
        if not uri:  # [V1] --camera counted until May 2023
            uri = (line.string("camera") if face.current.year < 2023 else None) or "csi://0"
        self._flip = line.string("input-flip") or line.string("flip-method") or "none"
        if face.current.year >= 2023 and self._flip.endswith("-flip"):
            self._flip = self._flip[:-len("-flip")]
        if self._flip not in FLIPS:
            self._flip = "none"
        self._size = (line.number("input-width", 0) or line.number("width", 0),
                      line.number("input-height", 0) or line.number("height", 0))
        self._streaming = False
        self._ended = False
        self._memory = []
        self._next = 0
        try:
            self._open_source(uri)
        except (ValueError, Ended) as error:
            log.error(f"[video]  videoSource -- failed to create {uri} ({error})")
            raise Exception(LOG + "failed to create videoSource device") from None  # [V3]

    def _open_source(self, uri):
        self._protocol, self._location = parse(uri)
        self._camera = self._film = self._images = None
        if self._protocol == "file":
            extension = os.path.splitext(self._location)[1][1:].lower()
            if extension in FILMS | (FILMS_SINCE_2021 if face.current.year >= 2022 else set()):
                self._film = cv2.VideoCapture(self._location)
                if not self._film.isOpened():
                    raise Ended("no film")
            else:
                self._images = self._list()
        elif self._protocol == "v4l2":
            self._camera = cameras.open_pictures(self._location)
            if self._camera is None:
                raise Ended("device discovery and auto-negotiation failed")
        elif self._protocol == "csi":  # [V4] not looked for before the first frame
            self._camera = cameras.open_pictures(uri if "://" in uri else "csi://" + uri) or _Absent()
        elif self._protocol in ("rtsp", "rtp", "webrtc"):
            self._camera = cameras.open_pictures(uri)
            if self._camera is None:
                raise Ended("no stream")
        else:
            raise ValueError(f"unsupported protocol ({self._protocol})")  # [V2] http among them

    def _list(self):
        """[V8] Of a folder what glob finds, by the files' endings; without flip."""
        paths = sorted(glob.glob(os.path.join(self._location, "*") if os.path.isdir(self._location) else self._location))
        images = [path for path in paths if os.path.splitext(path)[1][1:].lower() in IMAGES]
        if not images:
            raise Ended("no image files")
        return images

    def Capture(self, format="rgb8", timeout=None):
        """[V5] The time-out in ms; -1 for ever."""
        if timeout is None:
            timeout = -1 if face.current.forever else 1000
        if not isinstance(format, str) or not isinstance(timeout, int):
            raise TypeError("Capture(format: str, timeout: int)")
        if format not in CHANNELS:
            raise Exception(LOG + "videoSource failed to capture image")
        try:
            pixels = self._take(None if timeout < 0 else timeout / 1000)
        except Timeout:
            if face.current.none:
                log.warning(log.GST + "gstCamera::Capture() -- a timeout occurred waiting for the next image buffer")
                return None
            raise Exception(LOG + "videoSource failed to capture image") from None
        except Ended:
            raise Exception(LOG + "videoSource failed to capture image") from None
        return cudaImage(self._keep(pixels, format), format)

    def _take(self, seconds):
        if self._ended:
            log.warning("[video]  End of Stream (EOS) has been reached, stream has been closed")
            raise Ended()
        self._streaming = True
        if self._images is not None:
            return self._next_image()
        if self._film is not None:
            there, image = self._film.read()
            if not there:
                self._ended, self._streaming = True, False
                raise Timeout()  # the sink is told of the end while Capture waits
            return self._turned(image[:, :, ::-1])
        picture = self._camera.wait(seconds)
        if picture is None:
            raise Timeout()  # [V5] also of a camera that was pulled out: IsStreaming stays true
        return self._turned(self._sized(picture))

    def _next_image(self):
        while True:
            path = self._images.pop(0)
            if not self._images:
                self._ended, self._streaming = True, False  # [V8] before the last one is given
            image = cv2.imread(path, cv2.IMREAD_COLOR)
            if image is not None:
                return image[:, :, ::-1]
            if self._ended:
                raise Ended()

    def _sized(self, picture):
        """[V9] A camera is asked for a size, 1280x720 where none is given; a stream comes as it is."""
        asked = (self._size[0] or WIDTH, self._size[1] or HEIGHT) if self._protocol in ("v4l2", "csi") else self._size
        if 0 in asked or (picture.shape[1], picture.shape[0]) == asked:
            return picture
        return cv2.resize(numpy.ascontiguousarray(picture), asked, interpolation=cv2.INTER_NEAREST)

    def _turned(self, picture):
        flip = self._flip
        if self._protocol == "v4l2" and not face.current.usb_flip:
            flip = "none"
        if self._protocol == "csi":
            # The sensor gives it upside down, which the default sets right.
            picture, flip = FLIPS["rotate-180"](picture), CSI.get(flip, flip)
        return FLIPS[flip](picture)

    def _keep(self, pixels, format):
        """[U1] Memory of the source, used again after four frames, or less where the size changes."""
        kind, channels = CHANNELS[format]
        shape = pixels.shape[:2] + (channels,)
        if not self._memory or self._memory[0].shape != shape:
            self._memory = [numpy.zeros(shape, kind) for _ in range(BUFFERS)]
        self._next = (self._next + 1) % BUFFERS
        memory = self._memory[self._next]
        memory[:, :, :3] = pixels
        if channels == 4:
            memory[:, :, 3] = 255
        return memory

    def Open(self):
        if self._ended:
            raise Exception(LOG + "failed to open videoSource device for streaming")
        self._streaming = True

    def Close(self):
        self._streaming = False
        if self._camera is not None:
            self._camera.close()

    def IsStreaming(self):
        return self._streaming

    def GetWidth(self):
        return self._memory[0].shape[1] if self._memory else self._size[0] or WIDTH

    def GetHeight(self):
        return self._memory[0].shape[0] if self._memory else self._size[1] or HEIGHT

    def GetFrameRate(self):
        return 30


class _Absent:
    def wait(self, seconds):
        time.sleep(3600 if seconds is None else seconds)
        return None

    def close(self):
        pass
