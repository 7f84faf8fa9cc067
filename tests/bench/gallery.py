"""5,000 images in 20 classes: how soon the recording page and the gallery of a class are there, how they scroll, and what of
memory they take; beside it the widget that one would reach for, a QListWidget of QIcon(path), with the same images.

    python -m tests.bench.gallery [--workspace FOLDER] [--images 5000] [--classes 20] [--in-one 5000]

Each way runs in a process of its own on an X server of its own. Scrolling is done by real events of the wheel, while a watchdog
notes how long the window's thread handles no event. `cold`: no thumbnail is on the disk; the images themselves may be in the
system's cache of files. `--in-one`: so many images of one class, for which nobody should have to fill a QListWidget.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "gui"))

SIZE = (1280, 800)
WAIT_S = 60.0
QUIET_S = 0.5
# A notch each so many seconds: a finger on the wheel, and one that flings it.
PACES = (0.03, 0.01)
MOST_NOTCHES = 250


def memory() -> float:
    """MB of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def until(condition: Callable[[], bool]) -> float:
    """Runs the event loop until it holds; how long that took."""
    from PyQt5.QtWidgets import QApplication

    start = time.perf_counter()
    while not condition():
        QApplication.processEvents()
        time.sleep(0.001)
        if time.perf_counter() - start > WAIT_S:
            raise SystemExit("it did not come")
    return time.perf_counter() - start


class Paints:
    """When something of a widget was drawn for the first and the last time since it was made."""

    def __init__(self, widget: Any) -> None:
        from PyQt5.QtCore import QEvent, QObject
        from PyQt5.QtWidgets import QApplication, QWidget

        self.start = time.perf_counter()
        self.first = self.last = 0.0
        paints = self

        class Filter(QObject):
            def eventFilter(self, watched: QObject, event: QEvent) -> bool:
                if event.type() == QEvent.Paint and isinstance(watched, QWidget) and (watched is widget
                                                                                    or widget.isAncestorOf(watched)):
                    paints.last = time.perf_counter() - paints.start
                    paints.first = paints.first or paints.last
                return False

        self._filter = Filter()
        QApplication.instance().installEventFilter(self._filter)

    def settled(self) -> None:
        until(lambda: self.first > 0 and time.perf_counter() - self.start - self.last > QUIET_S)

    def stop(self) -> None:
        from PyQt5.QtWidgets import QApplication

        QApplication.instance().removeEventFilter(self._filter)


def scroll(view: Any) -> dict[str, Any]:
    """The wheel turned to the end and back, at each pace; what the watchdog saw."""
    from hands import DOWN, UP, Hands
    from user import User
    from watchdog import Watchdog

    area, bar = view.viewport(), view.verticalScrollBar()
    spot = area.mapToGlobal(area.rect().center())
    notches = max(1, -(-bar.maximum() // (3 * max(1, bar.singleStep()))))
    rounds = max(1, min(3, MOST_NOTCHES // (2 * notches)))
    found: dict[str, Any] = {"notches": notches, "times": rounds * len(PACES), "reached": 0}

    def turn() -> None:
        hands = Hands()
        for pace in PACES:
            for _ in range(rounds):
                for button in (DOWN, UP):
                    for _ in range(notches):
                        hands.turn_wheel(spot.x(), spot.y(), button)
                        time.sleep(pace)
                        found["reached"] = max(found["reached"], bar.value())
        hands.close()

    watchdog = Watchdog()
    with User(watchdog=watchdog) as user:
        watchdog.start()
        user.apart(turn)
        report = watchdog.stop()
    assert found["reached"] > 0.9 * bar.maximum(), f"the wheel did not get there: {found}"
    return {**found, "seconds": report.seconds, **stalls(report)}


def stalls(report: Any) -> dict[str, Any]:
    """Also how long the thread computed in one of them at most: little means that others had the machine."""
    longest = sorted(report.stalls, key=lambda stall: -stall.seconds)[:2]
    return {"above_50_ms": report.above_50_ms, "longest_ms": 1000 * report.longest_s,
            "computed_ms": 1000 * max((stall.cpu_s for stall in report.stalls), default=0.0),
            "stalls": [str(stall) for stall in longest]}


# ---- our own -----------------------------------------------------------------------------------------------------------


def ours(workspace_folder: Path, scratch: Path) -> dict[str, Any]:
    from furnished import DoubleLab, window_on
    from PyQt5.QtWidgets import QApplication
    from watchdog import Watchdog

    from ai_nano.core.project.workspace import Workspace
    from ai_nano.gui.pages.gallery import GalleryView

    app = QApplication(["bench"])
    workspace, told = Workspace.open(workspace_folder), {}
    with window_on(workspace, DoubleLab(scratch / "room"), scratch, SIZE) as window:
        shown = Paints(window)
        shown.settled()
        shown.stop()
        told["memory_before"] = memory()
        with Watchdog() as watchdog:
            paints = Paints(window)
            window.show_page("record")
            paints.settled()
        paints.stop()
        told["record"] = {"first": paints.first, "last": paints.last, **stalls(watchdog.report())}
        area = longest_area(window.page)
        if area.verticalScrollBar().maximum() > 0:
            told["record_scroll"] = scroll(area)
        view = GalleryView(window.session)
        window.pages.addWidget(view)
        window.pages.setCurrentWidget(view)
        for key, name in (("cold", workspace.classes[0]), ("again", workspace.classes[0])):
            told[key] = _open(view, name)
        told["scroll"] = scroll(view.gallery)
        told["memory_after"] = memory()
    del app
    return told


def longest_area(page: Any) -> Any:
    """What there is most to scroll in."""
    from PyQt5.QtWidgets import QAbstractScrollArea

    areas = [area for area in page.findChildren(QAbstractScrollArea) if area.isVisible()]
    return max(areas, key=lambda area: area.verticalScrollBar().maximum())


def _open(view: Any, name: str) -> dict[str, Any]:
    from watchdog import Watchdog

    with Watchdog() as watchdog:
        start = time.perf_counter()
        view.show_class(name)
        until(lambda: len(view.gallery.paths) > 0)
        listed = time.perf_counter() - start
        until(lambda: _all_there(view.gallery))
        there = time.perf_counter() - start
    return {"images": len(view.gallery.paths), "listed": listed, "there": there, **stalls(watchdog.report())}


def _all_there(gallery: Any) -> bool:
    rows = gallery.rows_in_view()
    return len(rows) > 0 and all(gallery._thumbnails.image(gallery.paths[row]) is not None for row in rows)


# ---- a QListWidget -----------------------------------------------------------------------------------------------------


def list_widget(workspace_folder: Path, _scratch: Path) -> dict[str, Any]:
    """As in every answer to “PyQt image gallery”."""
    from PyQt5.QtCore import QSize
    from PyQt5.QtGui import QIcon
    from PyQt5.QtWidgets import QApplication, QListView, QListWidget, QListWidgetItem
    from watchdog import Watchdog

    from ai_nano.core.project.workspace import Workspace

    app = QApplication(["bench"])
    workspace = Workspace.open(workspace_folder)
    told: dict[str, Any] = {"memory_before": memory()}
    start = time.perf_counter()
    view = QListWidget()
    view.setViewMode(QListView.IconMode)
    view.setResizeMode(QListView.Adjust)
    view.setIconSize(QSize(152, 86))
    view.setSpacing(7)
    for path in reversed(workspace.image_paths(workspace.classes[0])):
        view.addItem(QListWidgetItem(QIcon(str(path)), ""))
    # As large as the gallery in the window.
    view.resize(1000, 560)
    view.move(0, 0)
    with Watchdog() as watchdog:
        paints = Paints(view)
        view.show()
        paints.settled()
    paints.stop()
    told["cold"] = {"images": view.count(), "listed": paints.start - start, "there": paints.start - start + paints.last,
                    **stalls(watchdog.report())}
    told["scroll"] = scroll(view)
    told["memory_after"] = memory()
    view.close()
    del app
    return told


WAYS = {"ours": ours, "list": list_widget}


def measured(way: str, workspace: Path) -> dict[str, Any]:
    """In a process and on an X server of its own."""
    from xserver import XServer

    with XServer() as server, tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "DISPLAY": server.name, "QT_QPA_PLATFORM": "xcb", "AI_NANO_LANGUAGE": "en",
                       "XDG_RUNTIME_DIR": scratch, "HOME": scratch}
        words = [sys.executable, "-m", "tests.bench.gallery", "--way", way, "--workspace", str(workspace), "--scratch", scratch]
        ended = subprocess.run(words, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def say(what: str, told: dict[str, Any]) -> None:
    """A line, and below it where the window's thread was when it was held up."""
    stalls = (f"{told['above_50_ms']} stalls above 50 ms, the longest {told['longest_ms']:.0f} ms, at most "
              f"{told['computed_ms']:.0f} ms of one computing") if told["above_50_ms"] else "no stall above 50 ms"
    print(f"  {what}; {stalls}")
    for stall in told["stalls"]:
        lines = stall.splitlines()
        print("\n".join(f"      {line}" for line in [*lines[:1], *lines[1:][-6:]]))


def show(name: str, told: dict[str, Any]) -> None:
    print(name)
    if "record" in told:
        one = told["record"]
        say(f"recording page: drawn in {one['first']:.2f} s, everything there in {one['last']:.2f} s", one)
    if "record_scroll" in told:
        say(f"recording page scrolled: {turned(told['record_scroll'])}", told["record_scroll"])
    for key, what in (("cold", "opened"), ("again", "opened again")):
        if key in told:
            one = told[key]
            say(f"{what}: {one['images']} images listed in {one['listed']:.2f} s, all in view in {one['there']:.2f} s", one)
    say(f"scrolled: {turned(told['scroll'])}", told["scroll"])
    print(f"  memory: {told['memory_before']:.0f} MB before, {told['memory_after']:.0f} MB after", flush=True)


def turned(told: dict[str, Any]) -> str:
    return f"{told['notches']} notches down and up, {told['times']} times, {told['seconds']:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="one that is there; else one is made for the while")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--in-one", type=int, default=5000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None:
        print(json.dumps(WAYS[options.way](options.workspace, options.scratch)))
        return 0
    from tests.bench.many_images import make

    with tempfile.TemporaryDirectory() as name:
        workspace = options.workspace or make(Path(name) / "project", options.images, options.classes).path
        cache = workspace / ".ai_nano" / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        show("the window, no thumbnail on the disk", measured("ours", workspace))
        show("the window, another day", measured("ours", workspace))
        show("a QListWidget of QIcon(path)", measured("list", workspace))
        if options.in_one and options.workspace is None:
            one = make(Path(name) / "one", options.in_one, 1).path
            show(f"the window, {options.in_one} images in one class", measured("ours", one))
    return 0


if __name__ == "__main__":
    sys.exit(main())
