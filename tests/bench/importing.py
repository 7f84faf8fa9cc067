"""Importing a folder of photographs, beside the loop that everybody writes: read with OpenCV, write with OpenCV.

    python -m tests.bench.importing [--images 10000]

Each way runs in a process of its own, since the most memory that a process had is only known for the whole of it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from ai_nano.cameras.images import ImageFiles
from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled
from ai_nano.core.events import Event, Progress, ignore
from ai_nano.core.ports import StepContext
from ai_nano.core.project.workspace import Workspace
from ai_nano.demo.stage_scene import Scene
from ai_nano.steps.import_images import ImportOptions, ImportStep

DRAWN = 60


def make(folder: Path, count: int, size: tuple[int, int]) -> int:
    """`count` different JPEG files of the stage's scenes; each is drawn once for many. Returns the bytes of all."""
    cv2 = load_cv2()
    drawn = []
    for number in range(min(DRAWN, count)):
        image = cv2.resize(Scene(1, "record", number % 6, ("cat", "rocket", "coffee")[number % 3]).frame(number), size)
        drawn.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    total = 0
    for number in range(count):
        comment = f"photograph {number}".encode()
        plain = drawn[number % len(drawn)]
        data = plain[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + plain[2:]
        (folder / f"IMG_{number:05d}.jpg").write_bytes(data)
        total += len(data)
    return total


def plain(source: Path, target: Path) -> None:
    cv2 = load_cv2()
    target.mkdir()
    for number, path in enumerate(sorted(source.iterdir())):
        cv2.imwrite(str(target / f"{number:05d}.jpg"), cv2.imread(str(path)))


def ours(source: Path, target: Path) -> None:
    workspace = Workspace.create(target, ["a", "b"])
    with workspace.writing():
        ImportStep().run(workspace, ImportOptions("a", (source,)), _context(ignore, CancelToken()))


def again(source: Path, target: Path) -> None:
    """All of it is there already."""
    workspace = Workspace.open(target)
    with workspace.writing():
        receipt = ImportStep().run(workspace, ImportOptions("a", (source,)), _context(ignore, CancelToken()))
    assert receipt.facts["saved"] == 0


def cancelled(source: Path, target: Path) -> None:
    """Prints how long after the wish it ended."""
    workspace, cancel = Workspace.create(target, ["a", "b"]), CancelToken()
    asked: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.total and not asked:
            asked.append(time.perf_counter())
            threading.Timer(0.5, lambda: (asked.append(time.perf_counter()), cancel.cancel())).start()

    with workspace.writing():
        try:
            ImportStep().run(workspace, ImportOptions("a", (source,)), _context(listen, cancel))
        except Cancelled:
            print(json.dumps({"cancel_s": time.perf_counter() - asked[1]}))


def _context(listen: object, cancel: CancelToken) -> StepContext:
    return StepContext(SimpleNamespace(images=ImageFiles()), listen, cancel)  # type: ignore[arg-type]


def most_memory() -> float:
    """MiB. Not by getrusage, whose maximum begins with that of whoever started the process."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


WAYS = {"plain": plain, "ours": ours, "again": again, "cancelled": cancelled}


def measure(way: str, source: Path, target: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.importing", "--way", way, "--folders", str(source), str(target)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    found: dict[str, float] = {}
    for line in lines:
        found |= json.loads(line)
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--way", choices=sorted(WAYS))
    parser.add_argument("--folders", type=Path, nargs=2)
    options = parser.parse_args()
    if options.way is not None:
        started = time.perf_counter()
        WAYS[options.way](*options.folders)
        print(json.dumps({"seconds": time.perf_counter() - started, "mib": most_memory()}))
        return 0
    for count, size, what in ((options.images, (1280, 720), "frames of 1280x720"),
                              (max(20, options.images // 50), (4032, 3024), "photographs of 4032x3024")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "source").mkdir()
            total = make(folder / "source", count, size)
            print(f"{count} {what}, {total / 1e6:.0f} MB:")
            for way, target in (("plain", "p"), ("ours", "w"), ("again", "w"), ("cancelled", "c")):
                found = measure(way, folder / "source", folder / target)
                if "cancel_s" in found:
                    print(f"  cancelled: ends {1000 * found['cancel_s']:.0f} ms after the wish")
                else:
                    print(f"  {way}: {found['seconds']:.1f} s, {count / found['seconds']:.0f} a second, "
                          f"at most {found['mib']:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
