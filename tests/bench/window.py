"""The window: how soon it is there, and whether its thread is ever held up on the way through the eight steps.

    python -m tests.bench.window
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import Xlib.display
import Xlib.X

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "gui"))

STARTS = 5


def painted(display: Xlib.display.Display) -> bool:
    """Whether a window of some size is on the screen and holds more than one colour."""
    for window in display.screen().root.query_tree().children:
        shape = window.get_geometry()
        if window.get_attributes().map_state == Xlib.X.IsViewable and shape.width > 900:
            # A row through the title, which is one colour until the first paint.
            row = window.get_image(240, 40, 400, 1, Xlib.X.ZPixmap, 0xFFFFFFFF).data
            return len({row[at:at + 4] for at in range(0, len(row), 4)}) > 1
    return False


def first_window(display_name: str, folder: Path) -> None:
    environment = {**os.environ, "DISPLAY": display_name, "XDG_CONFIG_HOME": str(folder / "config"),
                   "XDG_CACHE_HOME": str(folder / "cache")}
    display = Xlib.display.Display(display_name)
    times = []
    for _ in range(STARTS + 1):
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", "ai_nano"], cwd=folder, env=environment) as process:
            while not painted(display):
                time.sleep(0.005)
                assert process.poll() is None, "the window did not open"
            times.append(time.perf_counter() - start)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
    display.close()
    warm = times[1:]
    print(f"first window painted, warm, median (worst) of {len(warm)}: {statistics.median(warm):.2f} ({max(warm):.2f}) s; "
          f"the first start: {times[0]:.2f} s")


def journey(folder: Path) -> None:
    import student
    from PyQt5.QtWidgets import QApplication
    from rooms import opening, window
    from user import User
    from watchdog import Watchdog

    app = QApplication(["bench"])
    told = opening(folder, demo=folder / "demo")
    (folder / "demo").mkdir()
    watchdog = Watchdog()
    started = time.perf_counter()
    with window(told), User(watchdog=watchdog) as user:
        watchdog.start()
        student.make_project(user)
        student.record(user)
        student.split_to_deploy(user)
        student.go_on(user, "Inference")
        student.start_inference(user)
        for card in ("coffee", "cat", "rocket", "nothing"):
            student.hold_up(user, card)
            user.wait(3.0)
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
        report = watchdog.stop()
    print(f"the eight steps by hand: {time.perf_counter() - started:.0f} s; the window's thread {report}")
    del app


def main() -> None:
    from xserver import XServer

    with XServer() as server, tempfile.TemporaryDirectory() as name:
        first_window(server.name, Path(name))
        os.environ |= {"DISPLAY": server.name, "QT_QPA_PLATFORM": "xcb", "AI_NANO_LANGUAGE": "en"}
        journey(Path(name))


if __name__ == "__main__":
    main()
