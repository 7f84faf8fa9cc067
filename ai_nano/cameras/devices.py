"""The device files of webcams on Linux: which one a URI means, whether it may be opened, and who has it."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

WEBCAM = re.compile(r"webcam:(\d+)")


def device_path(uri: str) -> str | None:
    """The device file of `webcam:N` or `v4l2:///dev/...`; None for every other URI."""
    if match := WEBCAM.fullmatch(uri):
        return f"/dev/video{match.group(1)}"
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "v4l2" and parts.path.startswith("/dev/") else None


def same_camera(uri: str) -> str:
    """The same word for every URI of one webcam: its links in /dev/v4l lead to its number."""
    path = device_path(uri)
    return uri if path is None else os.path.realpath(path)


def is_there(path: str) -> bool:
    """Where there are no device files (Windows), nobody can say without opening the camera."""
    return os.name != "posix" or not os.path.isdir("/dev/") or os.path.exists(path)


def may_open(path: str) -> bool:
    return os.name != "posix" or not os.path.exists(path) or os.access(path, os.R_OK | os.W_OK)


def holder(path: str, processes: Path = Path("/proc")) -> str:
    """The program that has the device open, and its number; empty where nobody can be named: other people's programs keep
    their files to themselves."""
    device = os.path.realpath(path)
    for process in processes.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.readlink(one) == device for one in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text(encoding='utf-8', errors='replace').strip()} ({process.name})"
        except OSError:
            continue
    return ""
