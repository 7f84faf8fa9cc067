"""A double click on a room pack: who opens `.ainano` on this desktop, in the files of freedesktop.org, in the user's home."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_nano.core.files import storage_errors, write_atomically

MIME_TYPE = "application/x-ai-nano-room"
ENTRY, PACKAGE = "applications/ai_nano-room.desktop", "mime/packages/ai_nano-room.xml"
# What tells a desktop that is running already; each may be missing, and the next login then does it.
UPDATES = (("update-mime-database", "mime"), ("update-desktop-database", "applications"))
UPDATE_S = 60.0

_MIME = f"""<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME_TYPE}">
    <comment>Room pack of ai_nano</comment>
    <comment xml:lang="fr">Pack de salle d'ai_nano</comment>
    <glob pattern="*.ainano"/>
  </mime-type>
</mime-info>
"""


@dataclass(frozen=True)
class Registered:
    """The files that were written; `at_once`: the desktop knows it already."""

    files: tuple[Path, ...]
    at_once: bool


def supported() -> bool:
    return sys.platform.startswith("linux")


def register(environment: Mapping[str, str], command: list[str]) -> Registered:
    """`command` starts the program; the file is put behind it. Raises BadInput or WorkFailed where the home is not writable."""
    data = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    texts = {data / PACKAGE: _MIME, data / ENTRY: entry(command)}
    for path, text in texts.items():
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode("utf-8"))
    told = [_update(program, data / folder) for program, folder in UPDATES]
    return Registered(tuple(texts), all(told))


def entry(command: list[str]) -> str:
    words = " ".join(_quoted(word) for word in command)
    return ("[Desktop Entry]\nType=Application\nName=ai_nano\nComment=Open the room pack of a lesson\n"
            "Comment[fr]=Ouvrir le pack de salle d'un cours\n"
            f"Exec={words} %f\nTerminal=false\nNoDisplay=true\nMimeType={MIME_TYPE};\nCategories=Education;\n")


def own_command() -> list[str]:
    """How this very program is started again, from anywhere."""
    installed = Path(sys.executable).with_name("ai-nano")
    return [str(installed)] if os.access(installed, os.X_OK) else [sys.executable, "-m", "ai_nano"]


def _quoted(word: str) -> str:
    """One word of Exec: quoted for its command line, and then once more, as every value of a desktop file is."""
    inner = "".join(f"\\{one}" if one in '"`$\\' else one for one in word)
    return f'"{inner}"'.replace("\\", "\\\\").replace("%", "%%")


def _update(program: str, folder: Path) -> bool:
    found = shutil.which(program)
    if found is None:
        return False
    try:
        return subprocess.run([found, str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=UPDATE_S, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
