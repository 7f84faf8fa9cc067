"""Short operations on a board without a screen; each prints one JSON line.

    python PROGRAMS/jetson_nano/board.py --root ROOT models|delete|power|autostart ...

doc/design/wire.md says what goes in and out.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from jetson_nano import at_boot, system  # noqa: E402
from jetson_nano.autostart_files import Files  # noqa: E402
from jetson_nano.power import power  # noqa: E402
from jetson_nano.turn_queue import entries, queue_of  # noqa: E402
from shared import console, versions  # noqa: E402
from shared.runs import Runs  # noqa: E402
from shared.store import Store  # noqa: E402
from shared.wire import Failure  # noqa: E402

Reply = Dict[str, Any]
# The service has until then to put the LEDs out and to end.
END_S = 20.0
# So that the answer to `on` tells how it began.
BEGIN_S = 5.0
POLL_S = 0.05
# In the embedded classroom nothing is started at boot: what was asked for is kept, no more.
RECORDED = "recorded"


class Board:
    """What a laptop may ask of this board beside its runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = Files(root)
        self._ways = at_boot.ways(root, self._files.programs)

    # ---- models ------------------------------------------------------------------------------------------------------

    def models(self) -> Reply:
        """The store's models, each with the runs that use it and whether it is the one that starts at boot; `autostart_state`
        is `state` of `status`, `queue` whose turn it is and who waits."""
        found = Store(self._root).models()["models"]
        running = [run for run in Runs(self._root).listing() if run["state"] == "running"]
        wanted = self._files.wanted() or {}
        for model in found:
            model["runs"] = [{"id": run["id"], "program": run["program"], "student": run["student"], "started": run["started"]}
                             for run in running if _uses(run["params"], model["path"])]
            model["autostart"] = _uses(wanted.get("params"), model["path"])
        state = self._files.state()["state"] if wanted else None
        queue = entries(queue_of(self._root).tickets() or [], time.monotonic())
        return {"models": found, "autostart_state": state, "queue": queue, "now": time.time()}

    def delete(self, model: str) -> Reply:
        """With all that lies in its folder: engine, what is noted of it, bundle. Raises Failure models.runs {model, who},
        models.autostart {model}, models.older {model, path}, store.missing, store.bad_name."""
        found = [each for each in self.models()["models"] if each["model"] == model]
        for each in found:
            if each["runs"]:
                raise Failure("models.runs", model=model, who=each["runs"][-1]["student"] or each["runs"][-1]["id"])
            if each["autostart"]:
                raise Failure("models.autostart", model=model)
        if found and Path(found[0]["path"]).parent != self._root / "models":
            raise Failure("models.older", model=model, path=found[0]["path"])
        return Store(self._root).delete(model)

    # ---- at boot -----------------------------------------------------------------------------------------------------

    def install(self, document: str) -> Reply:
        """`document` is {"model", "params", "student"} as JSON; what was there before is replaced.

        Raises Failure autostart.bad_params, autostart.no_way, autostart.systemd {error}, autostart.crontab {error}.
        """
        try:
            asked = json.loads(document)
            model, params, student = asked["model"], dict(asked["params"], frames=None, seconds=None), asked.get("student")
        except (ValueError, KeyError, TypeError):
            raise Failure("autostart.bad_params") from None
        way = None if system.embedded() else at_boot.choose(self._ways)
        self.remove()
        self._files.want(model, params, student, RECORDED if way is None else way.name)
        if way is None:
            return dict(self.status(), notes=["autostart.recorded"])
        try:
            for name in ("shared", "jetson_nano"):
                shutil.copytree(str(PROGRAMS / name), str(self._files.programs / name),
                                ignore=shutil.ignore_patterns("__pycache__"))
            notes = way.install()
        except BaseException:
            self.remove()
            raise
        self._wait(lambda: self._files.state()["state"] != "ended", BEGIN_S)
        return dict(self.status(), notes=notes)

    def remove(self) -> Reply:
        """Nothing is left. {removed}: whether there was something. Raises Failure autostart.crontab {error}."""
        removed = self._files.folder.exists()
        self._files.unwant()
        if not system.embedded():
            for way in self._ways:
                if way.installed():
                    removed = True
                    way.remove()
        self._wait(lambda: self._files.state()["state"] == "ended" and not self._files.classifying(), END_S)
        shutil.rmtree(str(self._files.folder), ignore_errors=True)
        self._files.sweep()
        return {"removed": removed}

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(POLL_S)

    def status(self) -> Reply:
        """{model, way, student, state, error, since}: all null where nothing starts at boot; `state` is running, waiting (for
        the next attempt), yielding (to a laptop) or ended."""
        wanted = self._files.wanted()
        if wanted is None:
            return dict.fromkeys(("model", "way", "student", "state", "error", "since"))
        noted = self._files.state()
        return {"model": wanted.get("model"), "way": wanted.get("way"), "student": wanted.get("student"),
                "state": noted["state"], "error": noted.get("error"), "since": noted.get("since")}


def _uses(params: Any, path: str) -> bool:
    folder = params.get("model_dir") if isinstance(params, dict) else None
    return isinstance(folder, str) and os.path.realpath(folder) == os.path.realpath(path)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a board without a screen can be asked.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    operations = parser.add_subparsers(dest="operation")
    operations.required = True
    operations.add_parser("models", help="list the models, and who uses them")
    operations.add_parser("delete", help="delete a model that nobody uses").add_argument("model")
    switching = operations.add_parser("power", help="shut down or reboot")
    switching.add_argument("action")
    switching.add_argument("--force", action="store_true", help="also while somebody uses it")
    starting = operations.add_parser("autostart", help="what is classified at boot, without a laptop")
    starting.add_argument("what", choices=("on", "off", "status"))
    starting.add_argument("document", nargs="?", default="", help="with on: model, params and student, as JSON")
    return parser


def carry_out(options: argparse.Namespace, root: Path) -> Reply:
    if options.operation == "power":
        return power(root, options.action, options.force)
    board = Board(root)
    if options.operation == "models":
        return board.models()
    if options.operation == "delete":
        return board.delete(options.model)
    if options.what == "on":
        return board.install(options.document)
    return board.remove() if options.what == "off" else board.status()


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)
    return console.answer("jetson_nano/board.py", root, lambda: console.say("result", **carry_out(options, root)))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
