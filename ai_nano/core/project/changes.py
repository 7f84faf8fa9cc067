"""Changes to the workspace that take several files: all of it, or nothing (doc/design/classes.md).

What is to be done is written to .ai_nano/change.json before the first file is touched. Each part of it can be done again
without harm, so whoever finds that file (the next command, the next window) carries the change out to its end. What fails
while the program lives, on a full disk for example, is taken back.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_nano.core.errors import WorkFailed
from ai_nano.core.files import storage_error, write_atomically

if TYPE_CHECKING:
    from ai_nano.core.project.workspace import Workspace

log = logging.getLogger(__name__)

FILE = "change.json"

Change = Mapping[str, Any]
Does = Callable[["Workspace", Change], object]


def journal(workspace: "Workspace") -> Path:
    return workspace.hidden / FILE


def write(file: Path, document: Change) -> None:
    """As JSON in ASCII: images may have names that are no text (surrogates), and come back under the same."""
    write_atomically(file, (json.dumps(document, indent=1) + "\n").encode("ascii"))


def carry_out(workspace: "Workspace", change: Change) -> None:
    """Inside `writing()`. Raises the project's error for a write that failed; then everything is as it was, as far as the
    disk allows, and else the change is carried out when the workspace is opened next."""
    file = journal(workspace)
    if file.exists():
        raise WorkFailed("change.unfinished", folder=workspace.path)
    forward, back = _functions(change)
    try:
        workspace.save()  # one of the older program has no such file yet, and no order of classes without it
        write(file, change)
        forward(workspace, change)
        file.unlink(missing_ok=True)
    except Exception as error:
        try:
            back(workspace, change)
            file.unlink(missing_ok=True)
        except Exception:
            log.exception("a change can neither be finished nor taken back")
        if isinstance(error, OSError):
            raise storage_error(error, workspace.path) from error
        raise


def finish(workspace: "Workspace") -> None:
    """What a killed program has begun. Inside `writing()`; where it cannot be finished now, it stays for the next time."""
    file = journal(workspace)
    try:
        change = json.loads(file.read_bytes())
        forward, _ = _functions(change)
        forward(workspace, change)
        file.unlink(missing_ok=True)
    except FileNotFoundError:
        if file.exists():
            log.exception("a change that was begun cannot be finished")
    except Exception:  # whatever it is, it must not keep anybody from the workspace
        log.exception("a change that was begun cannot be finished")


def _functions(change: Change) -> tuple[Does, Does]:
    """How it is carried out, and how taken back."""
    from ai_nano.core.project import class_list, image_bin

    known: dict[str, tuple[Does, Does]] = {
        "rename": (class_list.carry_out_rename, class_list.take_back_rename),
        "reorder": (class_list.carry_out_reorder, class_list.take_back_reorder),
        "remove": (image_bin.carry_out_remove, image_bin.take_back_remove),
        "restore": (image_bin.carry_out_restore, image_bin.take_back_restore)}
    return known[change["do"]]
