"""Recording: what is written of what was due while the window stalls, what the preview costs, how late it is, and memory.

    python -m tests.bench.recording [--seconds 600] [--take 10] [--stall 2]

A camera of 1280x720 and 30 frames a second (tests/bench/clock_camera.py) draws the time into its pictures and remembers when it
drew which. A real window on a display of its own shows it, and a class is recorded, at 10 and at 30 images a second; in the
middle of each take the window's thread sleeps. Beside it what one would write first: a timer in the window that reads the
camera, shows the frame and saves it. `--seconds`: of the memory's slope. Prints Markdown.

due: frames due by the times at which the camera drew its own (core/recording/due.py). late: due times whose image was drawn
more than LATE_S afterwards, or that have none. gap: the longest between two images, by the same clock.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PyQt5.QtCore import QEventLoop, Qt, QTimer
from PyQt5.QtGui import QImage, QPaintEvent, QPixmap
from PyQt5.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from ai_nano.cameras import preview
from ai_nano.core.events import ignore
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Bitmap
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.recording.due import DueFrames
from ai_nano.core.room import config
from ai_nano.gui.bridge import Bridge
from ai_nano.gui.cameras import CameraViews
from ai_nano.gui.widgets.video import VideoView
from ai_nano.lab import build_lab, build_workflow
from ai_nano.steps.record import RecordOptions
from tests.bench.clock_camera import ClockCamera, read_clock

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / "gui"))
from xserver import XServer  # noqa: E402

SIZE = (1280, 720)
RATES = (10, 30)
# Before the first frame is due: the camera is open and the window is drawn.
SETTLE_S = 1.5
# One frame of the camera and half another: the neighbour of the frame that was due is in time.
LATE_S = 0.05
WARM_UP_S = 20.0
MEMORY_TAKE_S = 20.0
MEMORY_FPS = 10


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


@dataclass
class Costs:
    """Milliseconds of processor time for each frame in the camera's thread and in the window's, and of delay to its paint."""

    prepare: list[float] = field(default_factory=list)
    paint: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)


class WatchedView(VideoView):
    """Notes when a frame is on the screen, by the clock in it."""

    def __init__(self, costs: Costs) -> None:
        super().__init__()
        self._costs = costs
        self._newest: Bitmap | None = None
        self.counts = True

    def show_bitmap(self, bitmap: Bitmap) -> None:
        self._newest = bitmap
        super().show_bitmap(bitmap)

    def paintEvent(self, event: QPaintEvent) -> None:
        before = time.thread_time()
        super().paintEvent(event)
        took, newest, self._newest = time.thread_time() - before, self._newest, None
        if newest is not None and self.counts:
            self._costs.paint.append(took * 1000)
            age = read_clock(newest.data, time.time())
            if age is not None:
                self._costs.delay.append(age * 1000)


def run_window(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec_()


def run_until(done: Callable[[], bool]) -> None:
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if done() else None)
    timer.start(20)
    loop.exec_()


class Studio:
    """The program's own parts: the preview in a window, and step 2."""

    def __init__(self, camera: ClockCamera, folder: Path) -> None:
        self.costs = Costs()
        self._uri = camera.uri
        self._lab = build_lab(config.nowhere(), Nobody(), folder / "config")
        self._lanes = Lanes()
        self.workspace = Workspace.create(folder / "studio", ["cat", "dog"])
        self._workflow = build_workflow(self.workspace, self._lab, self._lanes)
        self._bridge = Bridge()
        self._views = CameraViews(self._bridge)
        self.view, note = WatchedView(self.costs), QLabel()
        self.window = QWidget()
        column = QVBoxLayout(self.window)
        column.addWidget(self.view)
        column.addWidget(note)
        self.window.resize(900, 560)
        self.window.show()
        self._views.show(self._lab, self._uri, self.view, note)

    def record(self, seconds: float, fps: float, stall_s: float) -> list[Path]:
        def stall() -> None:
            self.view.counts = False
            time.sleep(stall_s)
            # What was on its way meanwhile is not the preview's delay.
            QTimer.singleShot(200, lambda: setattr(self.view, "counts", True))

        running = self._workflow.start("record", RecordOptions("cat", camera=self._uri, seconds=seconds, fps=fps), ignore)
        if stall_s:
            QTimer.singleShot(round(seconds * 500), stall)
        run_until(running.future.done)
        facts = running.result().facts
        if facts["missed"]:
            print(f"of the next take it says itself: {facts['missed']} missing", file=sys.stderr)
        return sorted(self.workspace.image_folder("cat").glob(f"{facts['take']}-*.jpg"))

    def close(self) -> None:
        self._views.close()
        self._bridge.close()
        self.window.close()
        self._lab.close()
        self._lanes.close()


class PlainLoop:
    """A timer in the window that reads, shows and saves."""

    def __init__(self, camera: ClockCamera, folder: Path) -> None:
        self.costs = Costs()
        self._folder = folder / "plain"
        self._folder.mkdir()
        self._capture = cv2.VideoCapture(camera.uri, cv2.CAP_FFMPEG)
        self.window = QLabel()
        self.window.setAlignment(Qt.AlignCenter)
        self.window.resize(900, 560)
        self.window.show()
        self._fps: float | None = None
        self._last = 0.0
        self._files: list[Path] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(0)

    def record(self, seconds: float, fps: float, stall_s: float) -> list[Path]:
        self._files, self._fps, self._last = [], fps, 0.0
        QTimer.singleShot(round(seconds * 500), lambda: time.sleep(stall_s))
        run_window(seconds)
        self._fps = None
        return self._files

    def _tick(self) -> None:
        before = time.thread_time()
        _, image = self._capture.read()
        shown = cv2.cvtColor(cv2.resize(image, (self.window.width(), self.window.width() * 9 // 16)), cv2.COLOR_BGR2RGB)
        picture = QImage(shown.data, shown.shape[1], shown.shape[0], shown.shape[1] * 3, QImage.Format_RGB888)
        self.window.setPixmap(QPixmap.fromImage(picture))
        age = read_clock(image, time.time())
        if age is not None:
            self.costs.delay.append(age * 1000)
        now = time.time()
        if self._fps is not None and now - self._last >= 1 / self._fps:
            self._last = now
            self._files.append(self._folder / f"{now:.3f}.jpg")
            cv2.imwrite(str(self._files[-1]), image)
        self.costs.paint.append((time.thread_time() - before) * 1000)

    def close(self) -> None:
        self._timer.stop()
        self._capture.release()
        self.window.close()


def drawn_at(path: Path) -> float:
    """The unix time at which the camera drew what the file shows; the file is younger than a minute then."""
    written = path.stat().st_mtime
    age = read_clock(np.asarray(cv2.imread(str(path))), written)
    assert age is not None, f"no clock in {path}"
    return written - age


def judge(files: Sequence[Path], camera: list[float], seconds: float, fps: float) -> tuple[int, int, float]:
    """How many were due in that time from the first image on, how many of these are late, and the longest gap in seconds."""
    shown = sorted(drawn_at(path) for path in files)
    # The clock in the picture has whole milliseconds.
    rule = DueFrames(fps)
    due = [t for t in camera if shown[0] - 0.002 <= t < shown[0] + seconds - 0.017 and rule.is_due(t)]
    late, left = 0, list(shown)
    for t in due:
        while left and left[0] < t - LATE_S:
            left.pop(0)
        if left and left[0] <= t + LATE_S:
            left.pop(0)
        else:
            late += 1
    return len(due), late, max(later - earlier for earlier, later in zip(shown, shown[1:], strict=False))


def median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else "–"


def p95(values: Sequence[float]) -> str:
    return f"{statistics.quantiles(values, n=20)[-1]:.0f}" if len(values) > 1 else "–"


def compare(folder: Path, seconds: float, stall_s: float) -> None:
    print(f"1280x720, 30 frames a second from the camera; takes of {seconds:g} s, in the middle of which the window sleeps "
          f"{stall_s:g} s\n")
    print("| way | asked | due | written | late | longest gap | the window's processor time for a frame | "
          "capture to screen, median (p95) |\n|---|---|---|---|---|---|---|---|", flush=True)
    ways: tuple[tuple[str, Any], ...] = (("ai_nano", Studio), ("a plain loop in the window", PlainLoop))
    for name, kind in ways:
        for fps in RATES:
            with ClockCamera(*SIZE) as camera:
                place = folder / f"{kind.__name__}-{fps}"
                place.mkdir()
                way = kind(camera, place)
                run_window(SETTLE_S)
                way.costs.paint.clear()
                way.costs.delay.clear()
                files = way.record(seconds, fps, stall_s)
                drawn = camera.drawn()
                due, late, gap = judge(files, drawn, seconds, fps)
                print(f"| {name} | {fps} images/s | {due} | {len(files)} | {late} | {gap * 1000:.0f} ms | "
                      f"{median(way.costs.paint)} ms | {median(way.costs.delay)} ({p95(way.costs.delay)}) ms |", flush=True)
                way.close()


def preview_cost(folder: Path, seconds: float) -> None:
    made = preview.bitmap
    costs: list[float] = []

    def timed(image: Any, width: int, height: int) -> Bitmap:
        before = time.thread_time()
        small = made(image, width, height)
        costs.append((time.thread_time() - before) * 1000)
        return small

    preview.bitmap = timed  # type: ignore[assignment]
    try:
        with ClockCamera(*SIZE) as camera:
            studio = Studio(camera, folder)
            run_window(SETTLE_S + seconds)
            paints = list(studio.costs.paint)
            studio.close()
    finally:
        preview.bitmap = made
    print(f"\npreview, nothing recorded: {median(costs)} ms to make a frame small and {median(paints)} ms to paint it, "
          f"{len(paints) / (SETTLE_S + seconds):.1f} a second", flush=True)


def resident() -> float:
    """MB that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(folder: Path, seconds: float) -> None:
    """Takes one after the other with the preview on, at 10 images a second; of each the files are removed."""
    samples: list[tuple[float, float]] = []
    with ClockCamera(*SIZE) as camera:
        studio = Studio(camera, folder)
        began = time.monotonic()
        timer = QTimer()
        timer.timeout.connect(lambda: samples.append((time.monotonic() - began, resident())))
        timer.start(1000)
        while time.monotonic() - began < WARM_UP_S + seconds:
            for path in studio.record(MEMORY_TAKE_S, MEMORY_FPS, 0.0):
                path.unlink()
        timer.stop()
        studio.close()
    counted = [one for one in samples if one[0] >= WARM_UP_S]
    slope = float(np.polyfit([at for at, _ in counted], [mb for _, mb in counted], 1)[0]) * 60
    print(f"\nmemory over {counted[-1][0] - counted[0][0]:.0f} s after {WARM_UP_S:.0f} s of warm-up, recording at "
          f"{MEMORY_FPS} images/s: {counted[0][1]:.0f} MB at first, {counted[-1][1]:.0f} MB at last, "
          f"at most {max(mb for _, mb in counted):.0f} MB, "
          f"slope {slope:+.2f} MB a minute", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0, help="over which the slope of memory is measured; 0: not")
    parser.add_argument("--take", type=float, default=10.0)
    parser.add_argument("--stall", type=float, default=2.0)
    options = parser.parse_args()
    with XServer() as server, tempfile.TemporaryDirectory() as name:
        os.environ |= {"DISPLAY": server.name, "QT_QPA_PLATFORM": "xcb", "XDG_RUNTIME_DIR": name}
        os.chmod(name, 0o700)
        app = QApplication(["bench"])
        for part in ("ways", "preview", "memory"):
            (Path(name) / part).mkdir()
        compare(Path(name) / "ways", options.take, options.stall)
        preview_cost(Path(name) / "preview", options.take)
        if options.seconds:
            memory(Path(name) / "memory", options.seconds)
        app.quit()


if __name__ == "__main__":
    main()
