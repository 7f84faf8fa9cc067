"""The webcams of this computer, by name."""

import re
import sys
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")


def list_cameras() -> list[tuple[str, str]]:
    """(URI, name to show). On Linux as the kernel names them, without opening one; elsewhere the first two numbers."""
    if not sys.platform.startswith("linux"):
        return [(f"webcam:{number}", f"webcam:{number}") for number in range(2)]
    found = []
    for device in SYSFS.glob("video*"):
        number = re.fullmatch(r"video(\d+)", device.name)
        # A webcam shows further devices for its metadata; the first of each is the one with pictures.
        if number is None or _read(device / "index") not in ("0", ""):
            continue
        found.append((int(number.group(1)), _read(device / "name") or device.name))
    return [(f"webcam:{number}", f"{name} (webcam:{number})") for number, name in sorted(found)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
