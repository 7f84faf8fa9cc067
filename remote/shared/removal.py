"""Removes things of the inventory for good: images, checkpoints, models, engines, logs. Nothing in use, nothing outside ROOT.

    python PROGRAMS/shared/removal.py --root ROOT

doc/design/wire.md says what goes in and out, doc/design/cleaning.md why so. (The models of the older program, which lie in the
login's home, are the one exception; who asks names each of them.)
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, tree, versions  # noqa: E402
from shared.inventory import CACHES, HIDDEN, Users, plain, uploading  # noqa: E402
from shared.models import DELETED, REPLACED, Models  # noqa: E402
from shared.runs import RunFolder  # noqa: E402
from shared.store import OLDER_MODELS  # noqa: E402
from shared.wire import Failure, decode  # noqa: E402

Thing = Dict[str, Any]
LONGEST_LINE = 8 << 20
TELL_S = 0.5
# After which it is looked from the beginning who uses what, since some have ended.
LOOK_S = 1.0
PLACES = {"model": ("models",), "images": ("models",), "waste": ("models",), "incoming": (HIDDEN, "incoming"),
          "run": (HIDDEN, "runs"), "autostart": (HIDDEN,), "cache": (HIDDEN,), "older": (OLDER_MODELS,)}
# Where tickets lie, which name who waits: <number>-<run id>.json.
QUEUES = ("turns", "gpus")
# What is a model, and no image: with `keep_models` it stays.
KEPT = re.compile(r"(model\.onnx|labels\.txt|bundle\.json|report\.json|checkpoint\.pth|owner\.json|engine\.json"
                  r"|.*\.onnx|.*\.engine|.*\.sha256sum)\Z")


class _Kept:
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and KEPT.match(name) is not None


class Removal:
    def __init__(self, root: Path, keep_models: bool) -> None:
        self._root = root
        self._keep_models = keep_models
        self._models = Models(root)
        self._removed = tree.Removed(self._tell)
        self._told = time.monotonic()
        self._users = Users(root)
        self._looked = time.monotonic()

    def carry_out(self, things: List[Thing]) -> List[Thing]:
        return [self._one(str(thing.get("kind")), str(thing.get("name"))) for thing in things]

    def _one(self, kind: str, name: str) -> Thing:
        """What became of it: `left` is null, or why it is still there, as code and parameters."""
        files, size = self._removed.files, self._removed.bytes
        self._removed.errors = []
        try:
            left = self._refusal(kind, name) or self._remove(kind, name)
        except NotADirectoryError as error:
            left = ("clean.left.link", {"path": str(error.filename or name)})
        except FileNotFoundError:
            left = None
        except OSError as error:
            left = ("clean.left.refused", {"error": error.strerror or str(error)})
        code, params = left or (None, {})
        return {"kind": kind, "name": name, "files": self._removed.files - files, "bytes": self._removed.bytes - size,
                "left": code, "params": params}

    def _refusal(self, kind: str, name: str) -> Optional[Tuple[str, Thing]]:
        if kind not in PLACES or not plain(name) or not self._fits(kind, name):
            return "clean.left.bad_name", {}
        return self._in_use(self._users_of(kind, name))

    @staticmethod
    def _in_use(users: List[Thing]) -> Optional[Tuple[str, Thing]]:
        if not users:
            return None
        return "clean.left.in_use", {"who": users[0]["student"] or users[0]["run"] or "–", "program": users[0]["program"] or ""}

    @staticmethod
    def _fits(kind: str, name: str) -> bool:
        """A kind says how careful one has to be, so a name must not come as another one."""
        if kind == "waste":
            return name.startswith((DELETED, REPLACED))
        if kind == "cache":
            return name in CACHES
        if kind == "autostart":
            return name == "autostart"
        return kind == "run" or name[0] not in ".-"

    def _users_of(self, kind: str, name: str) -> List[Thing]:
        if time.monotonic() - self._looked > LOOK_S:
            self._users, self._looked = Users(self._root), time.monotonic()
        else:
            self._users.take_up()
        if kind in ("model", "images"):
            return self._users.of_model.get(name, [])
        if kind == "run":
            running = RunFolder(self._root / HIDDEN / "runs" / name).state() == "running" or name in self._users.running
            return [self._users.running.get(name) or {"student": None, "run": name, "program": ""}] if running else []
        if kind == "autostart" and self._users.boot is not None:
            return [{"student": self._users.boot.get("student"), "run": None, "program": "autostart"}]
        if kind == "incoming" and uploading(self._root / HIDDEN / "incoming", name):
            return [{"student": None, "run": None, "program": "upload"}]
        return []

    def _remove(self, kind: str, name: str) -> Optional[Tuple[str, Thing]]:
        root = os.path.expanduser("~") if kind == "older" else str(self._root)
        with tree.opened(root, *PLACES[kind]) as folder:
            if kind in ("model", "older") and self._keep_models:
                tree.remove_but(folder, name, _Kept(), self._removed)
            elif kind in ("model", "images"):
                aside = f"{DELETED}{os.getpid()}-{name}"
                left = self._put_aside(folder, name, aside)
                if left is not None:
                    return left
                tree.remove(folder, aside, self._removed, name)
            else:
                tree.remove(folder, name, self._removed)
            if kind == "incoming" and not name.endswith(".lock"):
                tree.remove(folder, name + ".lock", self._removed)
        if kind == "run":
            self._remove_tickets(name)
        if self._removed.errors:
            path, error = self._removed.errors[0]
            return "clean.left.error", {"path": path, "error": error}
        return None

    def _put_aside(self, folder: int, name: str, aside: str) -> Optional[Tuple[str, Thing]]:
        """Gone at once for every reader; what a machine that loses its power leaves goes with the next mending, which is why
        none may come in between: who began after our look gets the model back."""
        with self._models.locked():
            os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
            self._users.take_up()
            left = self._in_use(self._users.of_model.get(name, []))
            if left is not None:
                os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
            return left

    def _remove_tickets(self, run: str) -> None:
        """What a program that was killed has left in a queue; nobody holds it any more, since the run has ended."""
        ticket = re.compile(r"\d{1,12}-" + re.escape(run) + r"\.json\Z")
        for queue in QUEUES:
            try:
                with tree.opened(str(self._root), HIDDEN, queue) as folder:
                    for name in os.listdir(folder):
                        if ticket.match(name):
                            tree.remove(folder, name, self._removed)
            except (FileNotFoundError, NotADirectoryError):
                continue

    def _tell(self) -> None:
        if time.monotonic() - self._told > TELL_S:
            self._told = time.monotonic()
            console.say("removed", files=self._removed.files, bytes=self._removed.bytes)


def asked() -> Thing:
    """Raises Failure clean.bad_request."""
    message = decode(sys.stdin.buffer.read(LONGEST_LINE)) or {}
    things = message.get("things")
    if message.get("type") != "remove" or not isinstance(things, list) or not all(isinstance(one, dict) for one in things):
        raise Failure("clean.bad_request")
    return message


def carry_out(root: Path) -> None:
    message = asked()
    removal = Removal(root, message.get("keep_models") is True)
    console.say("result", things=removal.carry_out(message["things"]))


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Removes things of the inventory, which come on standard input.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    return parser


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    root = console.absolute_root(get_parser().parse_args(argv).root)
    return console.answer("shared/removal.py", root, lambda: carry_out(root))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
