"""Windows for the tests: on the embedded classroom, and on a room whose servers a test can stop."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PyQt5.QtCore import QEventLoop, QTimer

from ai_nano.core import bundle
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.room import config
from ai_nano.demo.classroom import Classroom
from ai_nano.demo.lesson import run_lesson
from ai_nano.demo.practice import Practice
from ai_nano.gui import app as gui_app
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.opening import Opening
from ai_nano.gui.settings import Settings

sys.path.append(str(Path(__file__).resolve().parents[1]))
from link import Link  # noqa: E402  (tests/, which pytest does not add)

CLOSE_TIMEOUT_MS = 30_000


def opening(folder: Path, *, demo: Path | None = None, config_file: Path | None = None) -> Opening:
    """What the entry point would hand over, with every folder of the student's below `folder`."""
    user_folder = folder / "config"
    return Opening(find_config=lambda: config.find(config_file, user_folder, here=folder), practice=Practice,
                   user_folder=user_folder, cache=folder / "cache", practice_folder=folder / "practice", demo=demo,
                   lesson=run_lesson)


@contextmanager
def window(told: Opening, size: tuple[int, int] = (1280, 800), theme: str = "light",
           language: str = "en") -> Iterator[MainWindow]:
    """The window as the entry point opens it; closed at the end, whatever the test left running."""
    settings = Settings(told.user_folder)
    settings.theme, settings.language = theme, language
    gui_app.make_application(settings, told.cache)
    made = MainWindow(told, settings)
    made.resize(*size)
    made.move(0, 0)
    made.show()
    try:
        yield made
    finally:
        made.leave()
        wait_until_closed(made)


def wait_until_closed(made: MainWindow) -> None:
    """Runs the event loop until the window has let go of everything."""
    if not made.has_left:
        loop = QEventLoop()
        made.left.connect(loop.quit)
        QTimer.singleShot(CLOSE_TIMEOUT_MS, loop.quit)
        loop.exec()
    assert made.has_left, f"still running: {made.session.running_steps}"
    made.deleteLater()


def lit_pins(classroom: Path) -> list[int]:
    """The pins that are lit now, by what the Nano's own process wrote."""
    state: dict[int, bool] = {}
    file = classroom / "nano1" / "ai_nano" / "leds.jsonl"
    for line in file.read_text().splitlines() if file.exists() else ():
        entry = json.loads(line)
        state[entry["pin"]] = entry["on"]
    return sorted(pin for pin, on in state.items() if on)



# ---- a room behind links ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkedRoom:
    """The embedded classroom's machines as a room in which each stands behind a link, the second Nano in a folder of its
    own on the first one's machine."""

    config_file: Path
    links: Mapping[str, Link]
    roots: Mapping[str, Path]

    def models(self, nano: str) -> list[str]:
        """The whole models that are on a Nano."""
        return sorted(path.parent.name for path in (self.roots[nano] / "models").glob("[!.]*/model.onnx"))


@contextmanager
def linked_room(classroom: Classroom, folder: Path, nanos: Sequence[str] = ("nano1", "nano2")) -> Iterator[LinkedRoom]:
    document = json.loads(classroom.config_file.read_text())
    server, nano = document["DL_server"], document["jetson_nano"][0]
    entries = {server["name"]: server, **{name: {**nano, "name": name, "root": f"ai_nano-{folder.name}-{name}"}
                                          for name in nanos}}
    server["root"] = f"ai_nano-{folder.name}"
    homes = {name: classroom.folder / ("gpu_server" if name == server["name"] else "nano1") for name in entries}
    roots = {name: homes[name] / entry["root"] for name, entry in entries.items()}
    with ExitStack() as stack:
        links = {name: stack.enter_context(Link(entry["ip"], entry["port"])) for name, entry in entries.items()}
        for name, link in links.items():
            entries[name] |= {"ip": link.host, "port": link.port}
        document["jetson_nano"] = [entries[name] for name in nanos]
        file = folder / "room.json"
        file.write_text(json.dumps(document))
        file.chmod(0o600)
        yield LinkedRoom(file, links, roots)


def exported_workspace(folder: Path, model: str = "ada-animals-001", size: int = 4_000_000) -> Workspace:
    """A project whose step 6 is done, with a model of that many bytes that is none."""
    workspace = Workspace.create(folder, ["cat", "cup"])
    place = workspace.model_folder(model)
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(random.Random(0).randbytes(size))
    (place / "labels.txt").write_text("cat\ncup")
    (place / "bundle.json").write_text(json.dumps({
        "v": 1, "model": model, "classes": ["cat", "cup"],
        "sha256": {name: bundle.sha256(place / name) for name in ("model.onnx", "labels.txt")}}))
    with workspace.writing():
        workspace.note(Receipt("train", "done", "", facts={"model": model}))
        workspace.note(Receipt("export", "done", "", facts={
            "model": model, "classes": ["cat", "cup"], "agreement": 1.0, "max_difference": 1e-6, "opset": 11, "ir_version": 6,
            "bytes": size}))
    return workspace
