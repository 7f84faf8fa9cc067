"""From a camera URI to an open camera."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ai_nano.cameras import devices
from ai_nano.cameras.file import FileCamera, FolderCamera
from ai_nano.cameras.nano import SCHEME
from ai_nano.cameras.opencv import load_cv2
from ai_nano.cameras.stream import StreamCamera
from ai_nano.cameras.turned import turned
from ai_nano.cameras.webcam import Webcam
from ai_nano.core.errors import BadInput, CameraError
from ai_nano.core.ports import Camera, CameraOptions


def open_camera(uri: str, open_nano: Callable[[str, str], Camera] | None = None,
                options: CameraOptions | None = None) -> Camera:
    """`webcam:N`, `v4l2:///dev/...`, `file:///clip.mp4` or a folder, `http(s)://…`, `rtsp://…`, `nano://NAME`.

    `open_nano` gets the URI and the name of a Nano; None: there is none. Raises BadInput for a URI of another form,
    CameraError when the camera is not there.
    """
    options = options or CameraOptions()
    if options.rotate:
        return turned(open_camera(uri, open_nano, replace(options, rotate=0)), options.rotate)
    if open_nano is not None and uri.startswith(SCHEME) and len(uri) > len(SCHEME):
        return open_nano(uri, unquote(uri[len(SCHEME):]).rstrip("/"))
    cv2 = load_cv2()
    if match := devices.WEBCAM.fullmatch(uri):
        return Webcam(cv2, uri, int(match.group(1)), options)
    path_of_device = devices.device_path(uri)
    if path_of_device is not None:
        return Webcam(cv2, uri, path_of_device, options)
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https", "rtsp") and parts.netloc:
        return StreamCamera(cv2, uri)
    if parts.scheme == "file" and parts.path:
        path = Path(unquote(parts.path))
        if path.is_dir():
            return FolderCamera(cv2, uri, path)
        if not path.exists():
            raise CameraError("camera.missing", uri=uri)
        return FileCamera(cv2, uri, path)
    raise BadInput("camera.uri", uri=uri)
