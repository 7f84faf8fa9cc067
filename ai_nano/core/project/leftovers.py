"""What a program that was killed leaves in a workspace, put in order before the next recording."""

import re
import time

from ai_nano.core.files import PART
from ai_nano.core.ports import Images
from ai_nano.core.project.workspace import Workspace

# The Recorder's; those of others may be in the making just now.
_OWN = re.compile(r"\.\d{8}T\d{9}-\d+\.jpg" + re.escape(PART))
_IMAGE = re.compile(r"(\d{8}T\d{9})-\d+\.jpg")
FOREIGN_S = 60.0
# A crash leaves one or two images without a note; more are no crash's, and each costs a decoding.
MOST_UNNOTED = 20


def clear_up(workspace: Workspace, images: Images) -> None:
    """Temporary files go, a broken last line of takes.jsonl is closed, and an image that was in place but not noted yet is
    noted. Inside `writing()`, while nothing else records. OSError as of any write."""
    _sweep(workspace)
    close_last_line(workspace)
    _note_the_unnoted(workspace, images)


def _sweep(workspace: Workspace) -> None:
    for name in workspace.classes:
        for path in workspace.image_folder(name).glob(f".*{PART}"):
            if _OWN.fullmatch(path.name) or time.time() - path.stat().st_mtime > FOREIGN_S:
                path.unlink(missing_ok=True)


def close_last_line(workspace: Workspace) -> None:
    """What is appended to a line that a full disk cut off would be lost with it."""
    file = workspace.takes_file
    if file.exists() and file.stat().st_size:
        with file.open("r+b") as stream:
            stream.seek(-1, 2)
            if stream.read(1) != b"\n":
                stream.write(b"\n")


def _note_the_unnoted(workspace: Workspace, images: Images) -> None:
    there = [(name, path, match.group(1)) for name in workspace.classes for path in workspace.image_paths(name)
             if (match := _IMAGE.fullmatch(path.name))]
    # Afterwards: a frame that is put right meanwhile is noted before its image is there.
    noted = workspace.takes()
    found = [(name, path, take) for name, path, take in there if f"{name}/{path.name}" not in noted]
    if len(found) > MOST_UNNOTED:
        return
    cameras = {note.get("take"): note.get("camera", "") for note in noted.values()}
    for name, path, take in found:
        converted = images.as_jpeg(path)
        if converted is not None:
            workspace.note_image({"file": path.name, "class": name, "take": take, "t": path.stat().st_mtime,
                                  "camera": cameras.get(take, ""), "width": converted[1], "height": converted[2]})
