"""The webcams of this computer by name, and who hears when one is plugged in or out.

On Linux the kernel says it all in /sys, without a camera being opened; links in /dev/v4l, which bear what the camera is called
or where it is plugged in, outlive its number. Elsewhere cv2-enumerate-cameras asks the system (doc/design/cameras.md).
"""

import re
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SYSFS = Path("/sys/class/video4linux")
DEV = Path("/dev")
LOOK_S = 1.0
# Other systems ask the drivers, which costs more.
LOOK_ELSEWHERE_S = 3.0
# Kept at hand where nobody can name them.
UNNAMED = 2


@dataclass(frozen=True)
class CameraName:
    """`uri` counts cameras as the system does today; `lasting`, where there is one, means this one tomorrow too."""

    uri: str
    name: str
    lasting: str = ""

    @property
    def choice(self) -> str:
        """What to remember."""
        return self.lasting or self.uri


def list_cameras(sysfs: Path = SYSFS, dev: Path = DEV) -> list[CameraName]:
    """In the order of their numbers. Opens none."""
    return _linux(sysfs, dev) if sys.platform.startswith("linux") else _elsewhere()


class CameraList:
    """Tells `changed` of the list when it starts and whenever it is another one, in a thread of its own."""

    def __init__(self, changed: Callable[[list[CameraName]], None],
                 look: Callable[[], list[CameraName]] = list_cameras) -> None:
        self._changed = changed
        self._look = look
        self._period_s = LOOK_S if sys.platform.startswith("linux") else LOOK_ELSEWHERE_S
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Nothing where it has started already; may be started anew after `stop`."""
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._watch, args=(self._stop,), name="camera-list", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Nothing is told afterwards, but for what is being told at this moment. Does not wait."""
        self._stop.set()
        self._thread = None

    def _watch(self, stop: threading.Event) -> None:
        known: list[CameraName] | None = None
        while not stop.is_set():
            found = self._look()
            if found != known and not stop.is_set():
                known = found
                self._changed(found)
            stop.wait(self._period_s)


# ---- Linux -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Device:
    number: int
    name: str
    by_id: str
    by_path: str
    port: str


def _linux(sysfs: Path, dev: Path) -> list[CameraName]:
    by_id, by_path = (_links(dev / "v4l" / kind) for kind in ("by-id", "by-path"))
    devices = []
    for folder in sysfs.glob("video*"):
        number = re.fullmatch(r"video(\d+)", folder.name)
        # A webcam shows further devices for its metadata; the first of each is the one with pictures.
        if number is None or _read(folder / "index") not in ("0", ""):
            continue
        devices.append(_Device(int(number.group(1)), _short(_read(folder / "name")) or folder.name,
                               by_id.get(folder.name, ""), by_path.get(folder.name, ""), _port(folder)))
    devices.sort(key=lambda device: device.number)
    names = Counter(device.name for device in devices)
    # Without a serial number two of a kind share one link, which leads to the one that came last.
    no_serials = {device.name for device in devices if names[device.name] > 1 and not device.by_id}
    return [_named(device, names[device.name] > 1, device.name in no_serials, dev) for device in devices]


def _named(device: _Device, one_of_many: bool, no_serials: bool, dev: Path) -> CameraName:
    own = "" if no_serials else device.by_id
    link = f"by-id/{own}" if own else f"by-path/{device.by_path}" if device.by_path else ""
    name = device.name
    if one_of_many:
        place = _serial(own) or device.port or str(device.number)
        name = f"{name} ({place})"
    lasting = f"v4l2://{quote(str(dev / 'v4l' / link), safe='/:')}" if link else ""
    return CameraName(f"webcam:{device.number}", name, lasting)


def _links(folder: Path) -> dict[str, str]:
    """The links of a folder by the device they lead to; none where udev makes none."""
    try:
        return {link.resolve().name: link.name for link in sorted(folder.iterdir(), reverse=True)}
    except OSError:
        return {}


def _port(folder: Path) -> str:
    """The USB port, for example 1-2.4; empty for a camera that is on none."""
    interface = (folder / "device").resolve().name
    return interface.partition(":")[0] if re.fullmatch(r"\d+-[\d.]+:[\d.]+", interface) else ""


def _serial(link: str) -> str:
    """What distinguishes two of a kind in `usb-Vendor_Model_SERIAL-video-index0`."""
    return re.sub(r"^usb-|-video-index\d+$", "", link).rpartition("_")[2] if "_" in link else ""


def _short(name: str) -> str:
    """Newer kernels say a name twice: `HD Webcam: HD Webcam`."""
    first, _, second = name.partition(": ")
    return first if second and first.endswith(second) or second and first.startswith(second) else name


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


# ---- elsewhere -------------------------------------------------------------------------------------------------------


def _elsewhere() -> list[CameraName]:
    from ai_nano.cameras.opencv import load_cv2

    cv2 = load_cv2()
    try:
        from cv2_enumerate_cameras import enumerate_cameras

        found = enumerate_cameras(cv2.CAP_MSMF if sys.platform == "win32" else cv2.CAP_AVFOUNDATION)
    except (ImportError, OSError, RuntimeError, NotImplementedError):
        return [CameraName(f"webcam:{number}", f"webcam:{number}") for number in range(UNNAMED)]
    names = Counter(camera.name for camera in found)
    return [CameraName(f"webcam:{camera.index}", camera.name if names[camera.name] == 1 else f"{camera.name} ({camera.index})")
            for camera in found]
