"""Cameras through jetson-utils: csi://0, /dev/video0, rtsp:// and files, with frames that stay on the GPU.

`Capture` says "nothing yet" with None since March 2023 and with an exception before; of a USB camera that was pulled out no
release says more than that. So an exception ends the source only where it streams no longer; silence is camera.py's to judge.
"""

import sys
import time
from pathlib import Path
from typing import Any, List, Optional, Tuple

from jetson_nano.bindings import import_jetson
from jetson_nano.sources import Frame, ImageFolder, Source, SourceEnded, SourceLost, local_path
from shared.wire import Failure, Run

# Also how long the program hears no command: Capture starts anew with each call, and releases before July 2022 let no
# other thread of Python run meanwhile.
CAPTURE_MS = 500
RAISED_PAUSE_S = 0.05
SCHEMES = ("csi", "v4l2", "rtsp", "rtp", "webrtc")


class JetsonSource(Source):
    """jetson_utils.videoSource; http:// is none of its protocols."""

    def __init__(self, run: Run, uri: str, flip: Optional[str], size: Optional[Tuple[int, int]]) -> None:
        """Raises SourceLost, Failure infer.engine_missing, infer.camera_unsupported."""
        jetson = import_jetson()
        resource, self._stored = _resource(uri)
        if jetson.older and flip not in (None, "none") and resource.startswith(("/dev/", "v4l2://")):
            run.log("infer.flip_ignored", level="warning", camera=uri)
        argv: List[str] = [sys.argv[0], "--headless"]
        argv += [f"--input-flip={flip}"] if flip else []
        argv += [f"--input-width={size[0]}", f"--input-height={size[1]}"] if size else []
        try:
            self._video = jetson.utils.videoSource(resource, argv)
        except Exception as error:  # the bindings raise nothing more specific
            raise SourceLost(str(error)) from error

    def read(self, timeout_s: float) -> Optional[Frame]:
        """Waits up to half a second for the camera, whatever the time-out."""
        try:
            image = self._video.Capture(timeout=CAPTURE_MS)
        except Exception as error:
            if self._video.IsStreaming():
                time.sleep(RAISED_PAUSE_S)
                return None
            raise (SourceEnded() if self._stored else SourceLost(str(error))) from error
        return None if image is None else Frame(image, time.time())

    def close(self) -> None:
        self._video.Close()


def _folder_of_images(folder: Path) -> ImageFolder:
    """jetson-utils does not look into subfolders. What it cannot read (.webp among them) is passed over.

    Raises SourceLost, Failure infer.engine_missing.
    """
    utils = import_jetson().utils

    def load(path: Path) -> Any:
        try:
            return utils.loadImage(str(path), format="rgb8")
        except Exception:  # the bindings raise nothing more specific
            return None

    return ImageFolder(folder, load)


def open_jetson_source(run: Run, uri: str, flip: Optional[str], size: Optional[Tuple[int, int]]) -> Source:
    """Raises SourceLost, Failure infer.engine_missing, infer.camera_unsupported."""
    path = local_path(uri)
    if path is not None and path.is_dir() and any(each.is_dir() for each in path.iterdir()):
        return _folder_of_images(path)
    return JetsonSource(run, uri, flip, size)


def _resource(uri: str) -> Tuple[str, bool]:
    """What jetson-utils calls it, and whether it is stored: it knows no webcam:, and decodes no %20 in file://."""
    path = local_path(uri)
    if path is not None:
        return str(path.absolute()), True
    if uri.startswith("webcam:"):
        return "/dev/video" + uri[len("webcam:"):], False
    if "://" in uri and uri.split("://")[0] not in SCHEMES:
        raise Failure("infer.camera_unsupported", camera=uri, engine="tensorrt")
    return uri, False
