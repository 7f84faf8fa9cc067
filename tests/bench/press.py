"""Hold to record: from the press of the mouse to the first frame that is saved, and to the last after letting go.

    python -m tests.bench.press [--holds 20]

A real window and pointer under Xvfb, and a camera of 30 frames a second that the preview has open already.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "gui"))

HELD_S = 0.6


def measure(folder: Path, holds: int) -> None:
    from PyQt5.QtCore import QPoint
    from studio import studio, wait_for
    from user import User

    begin, first, end, idle = [], [], [], []
    with studio(folder) as room, User() as user:
        wait_for(user, lambda: len(room.frames) > 30)
        card = room.page._cards.of_class("mug")
        assert card is not None
        spot = card.hold.mapToGlobal(QPoint(20, 20))

        def hold() -> tuple[float, float]:
            user._hands.move(spot.x(), spot.y())
            user._hands.press()
            down = time.time()
            time.sleep(HELD_S)
            user._hands.release()
            return down, time.time()

        for number in range(holds):
            before = len(room.times("mug"))
            down, up = user.apart(hold)
            room.wait_until_idle(user)
            idle.append(time.time() - up)
            times = room.times("mug")[before:]
            assert times, f"hold {number + 1} saved nothing"
            first.append(times[0] - down)
            # How many frames the camera gave between the press and the first one saved.
            begin.append(sum(down < t < times[0] for t in room.frames))
            end.append(times[-1] - up)
    for name, values in (("press to the first saved frame", first), ("letting go to the last saved frame", end),
                         ("letting go to the end of the step", idle)):
        print(f"{name}, ms: median {1000 * statistics.median(values):.0f}, worst {1000 * max(values):.0f} of {holds}")
    print(f"frames of the camera (30 a second) between the press and the first saved one: "
          f"{statistics.mean(begin):.2f} on average, {max(begin)} at most")


def main() -> None:
    from PyQt5.QtWidgets import QApplication
    from xserver import XServer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--holds", type=int, default=20)
    args = parser.parse_args()
    with XServer() as server, tempfile.TemporaryDirectory() as name:
        os.environ |= {"DISPLAY": server.name, "QT_QPA_PLATFORM": "xcb", "AI_NANO_LANGUAGE": "en", "XDG_RUNTIME_DIR": name}
        os.chmod(name, 0o700)
        app = QApplication(["bench"])
        measure(Path(name), args.holds)
        del app


if __name__ == "__main__":
    main()
