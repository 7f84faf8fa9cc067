"""What of whom lies on this machine, by metadata alone: models, uploads under way, runs, and what starts at boot.

    python PROGRAMS/shared/inventory.py --root ROOT

doc/design/wire.md says what comes out. No link is followed; a link among the models is a thing by itself.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, owner, tree, versions  # noqa: E402
from shared.files import take_lock  # noqa: E402
from shared.json_files import read  # noqa: E402
from shared.models import DELETED, REPLACED  # noqa: E402
from shared.runs import RunFolder, Runs  # noqa: E402
from shared.store import OLDER_MODELS, describe  # noqa: E402

Thing = Dict[str, Any]
ALIVE_S = 1.0
MOST_THINGS = 20000
ENDED = ("done", "failed", "cancelled")
# Of one laptop's workspace, on a Nano: the images that it is tested with (steps/nano_test.py).
TEST_IMAGES = re.compile(r"test-[0-9a-f]{6,64}\Z")
INCOMING = re.compile(r"(.+)\.[0-9a-f]{6,64}\Z")
HIDDEN = ".ai_nano"
# Made anew whenever it is needed; part of it names who waits.
CACHES = ("slurm.json",)


class Users:
    """Who uses which model now: runs that have not ended, and what starts at boot."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._models = root / "models"
        self.runs = Runs(root)
        self.boot: Optional[Thing] = None
        self.running: Dict[str, Thing] = {}
        self.folders: Dict[str, Thing] = {}
        self.of_model: Dict[str, List[Thing]] = {}
        self.take_up()

    def take_up(self) -> None:
        """Who has come since the last time: one listing. Who has ended since is still told."""
        for name in _names(self.runs.path):
            if name in self.folders:
                continue
            folder = RunFolder(self.runs.path / name)
            spec = folder.spec() or {}
            self.folders[name] = spec
            if folder.state() in ENDED:
                continue
            user = {"run": name, "student": _text(spec.get("student")), "program": _text(spec.get("program"))}
            self.running[name] = user
            self._note(spec.get("params"), user)
        boot = read(self._root / HIDDEN / "autostart" / "autostart.json")
        if boot is not None and boot != self.boot:
            self.boot = boot
            self._note(boot.get("params"), self.at_boot())

    def at_boot(self) -> Thing:
        """What starts at boot, as a user of its model."""
        return {"run": None, "student": _text((self.boot or {}).get("student")), "program": "autostart"}

    def _note(self, params: Any, user: Thing) -> None:
        params = params if isinstance(params, dict) else {}
        paths = [_model_in(params.get(key), self._models) for key in ("model_dir", "camera", "wheels")]
        for name in [params.get("model")] + paths:
            if isinstance(name, str):
                self.of_model.setdefault(name, []).append(user)


def _model_in(path: Any, models: Path) -> Optional[str]:
    """The model's name in a path below the models: its folder, images in it that are classified, wheels that were sent."""
    if not isinstance(path, str):
        return None
    path, folder = os.path.realpath(path), os.path.realpath(str(models)) + os.sep
    return path[len(folder):].split(os.sep)[0] if path.startswith(folder) else None


def _text(value: Any) -> Optional[str]:
    return value[:owner.LONGEST_NAME] if isinstance(value, str) else None


def _names(folder: Path) -> List[str]:
    try:
        return sorted(os.listdir(str(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []


class Inventory:
    """Everything that may be somebody's below one ROOT."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.users = Users(root)
        # One for each owner: images that several models of a student share count once.
        self._seen: Dict[Optional[str], Set[Tuple[int, int]]] = {}
        self._said = time.monotonic()

    def things(self) -> Iterator[Thing]:
        incoming = list(self._incoming())
        owners = {match.group(1): one["owner"] for one in incoming for match in [INCOMING.match(one["name"])] if match}
        yield from self._models(owners)
        yield from incoming
        for name, spec in self.users.folders.items():
            yield self._run(name, spec)
        yield from self._at_boot()
        for name in CACHES:
            if (self._root / HIDDEN / name).is_file():
                yield self._thing("cache", name, None, (HIDDEN,))
        yield from self._older()

    def _models(self, incoming: Dict[str, Optional[owner.Owner]]) -> Iterator[Thing]:
        path = self._root / "models"
        for name in _names(path):
            if name.startswith((DELETED, REPLACED)):
                yield self._thing("waste", name, owner.read(path / name), ("models",))
            elif name[0] != "." and not name.startswith("-"):
                kind = "images" if TEST_IMAGES.match(name) else "model"
                whose = owner.read(path / name) or incoming.get(name)
                yield dict(self._thing(kind, name, whose, ("models",)), used_by=self.users.of_model.get(name, []))

    def _incoming(self) -> Iterator[Thing]:
        path = self._root / HIDDEN / "incoming"
        for name in _names(path):
            if name.endswith(".lock"):
                if not (path / name[:-len(".lock")]).exists():
                    yield self._thing("incoming", name, None, (HIDDEN, "incoming"))
                continue
            yield dict(self._thing("incoming", name, owner.read(path / name), (HIDDEN, "incoming")),
                       used_by=[{"run": None, "student": None, "program": "upload"}] if uploading(path, name) else [])

    def _run(self, name: str, spec: Thing) -> Thing:
        params = spec.get("params")
        ids = params.get("workspaces") if isinstance(params, dict) else None
        first = str(ids[0]) if isinstance(ids, list) and ids else ""
        whose = {"student": _text(spec.get("student")), "laptop": _text(spec.get("laptop")),
                 "workspace": first if owner.WORKSPACE.match(first) else None}
        user = self.users.running.get(name)
        return dict(self._thing("run", name, whose, (HIDDEN, "runs")), used_by=[] if user is None else [user])

    def _at_boot(self) -> Iterator[Thing]:
        if (self._root / HIDDEN / "autostart").is_dir():
            boot = self.users.boot
            whose = None if boot is None else {"student": _text(boot.get("student")), "workspace": self._of_boot(boot)}
            used = [] if boot is None else [self.users.at_boot()]
            yield dict(self._thing("autostart", "autostart", whose, (HIDDEN,)), used_by=used)

    def _of_boot(self, boot: Thing) -> Optional[str]:
        params = boot.get("params")
        name = _model_in(params.get("model_dir") if isinstance(params, dict) else None, self._root / "models")
        whose = None if name is None else owner.read(self._root / "models" / name)
        return None if whose is None else whose["workspace"]

    def _older(self) -> Iterator[Thing]:
        """Models of the older program, in the login's home."""
        home = Path(os.path.expanduser("~"))
        path = home / OLDER_MODELS
        if path == self._root / "models" or path.is_symlink():
            return
        for name in _names(path):
            folder = path / name
            if name[0] != "." and not folder.is_symlink() and folder.is_dir() and describe(folder) is not None:
                yield dict(self._thing("older", name, None, (OLDER_MODELS,), home), used_by=self._users_of(folder))

    def _users_of(self, folder: Path) -> List[Thing]:
        """Runs that use a model outside ROOT."""
        paths = {name: (spec.get("params") or {}) for name, spec in self.users.folders.items() if name in self.users.running}
        return [self.users.running[name] for name, params in paths.items()
                if isinstance(params, dict) and isinstance(params.get("model_dir"), str)
                and os.path.realpath(params["model_dir"]) == os.path.realpath(str(folder))]

    def _thing(self, kind: str, name: str, whose: Optional[Thing], place: Tuple[str, ...],
               root: Optional[Path] = None) -> Thing:
        whose = whose or {}
        found = tree.Count(self._seen.setdefault(whose.get("workspace") or whose.get("student"), set()))
        try:
            with tree.opened(str(root or self._root), *place) as folder:
                tree.count(folder, name, found, self._tick)
        except (FileNotFoundError, NotADirectoryError):
            pass
        told = {key: whose.get(key) for key in ("student", "project", "workspace", "laptop")}
        return {"kind": kind, "name": name, "owner": told if any(told.values()) else None, "files": found.files,
                "bytes": found.bytes, "age_s": round(max(0.0, time.time() - found.newest), 1), "used_by": []}

    def _tick(self) -> None:
        if time.monotonic() - self._said > ALIVE_S:
            self._said = time.monotonic()
            console.say("alive")


def uploading(incoming: Path, name: str) -> bool:
    """Whether some laptop's transfer is at work on it: it holds the lock."""
    path = incoming / (name + ".lock")
    if not path.exists():
        return False
    try:
        lock = take_lock(path)
    except OSError:
        return True  # another login's
    if lock is None:
        return True
    os.close(lock)
    return False


def plain(name: str) -> bool:
    """Whether a name may be one of a thing here: one component, and none that leads elsewhere."""
    return bool(name) and name not in (".", "..") and "/" not in name and "\0" not in name and len(os.fsencode(name)) <= 255


def take(root: Path) -> None:
    things: List[Thing] = []
    for thing in Inventory(root).things():
        if len(things) == MOST_THINGS:
            break
        things.append(thing)
    console.say("result", things=things)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What of whom lies on this machine.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    return parser


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    root = console.absolute_root(get_parser().parse_args(argv).root)
    return console.answer("shared/inventory.py", root, lambda: take(root))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
