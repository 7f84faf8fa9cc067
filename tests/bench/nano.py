"""Step 8 in figures: the loop on the Nano, LEDs, live pictures, memory, how soon it starts; beside it the older program.

    python -m tests.bench.nano [--minutes 1] [--seconds 10] [--frames 450]

The Nano's programs run under CPython 3.6 where it is (.venv-nano), in a folder on this computer, with a network that knows
three colours and takes less than a millisecond: what is measured is all the rest. Camera: MJPEG over HTTP, 30 a second, a clock
drawn into each picture. Pictures go through OpenSSH's sshd and tests/link.py, and their age counts from before the camera has
drawn them until the laptop has decoded them for the screen: camera's JPEG, HTTP, its decoding, network, JPEG, SSH, link and
decoding are all in it, painting is not. Prints Markdown.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.clock_camera import ClockCamera
from tests.bench.nano_rig import Board, Loop, Session, memory_kb, open_nano, until_lit

from link import Link  # isort: skip  (tests/, which nano_rig has put on the path)
from ssh_servers import Account, SshServer, start_server  # isort: skip

CAMERAS = {"1280x720": (1280, 720), "640x360": (640, 360)}
# Name, bits a second, round trip, goal for the median age.
LINKS: tuple[tuple[str, float | None, float, float | None], ...] = (
    ("loopback", None, 0.0, 0.050), ("20 ms, 100 Mbit/s", 100e6, 0.020, 0.080), ("10 Mbit/s", 10e6, 0.0, 0.250),
    ("1 Mbit/s, 20 ms", 1e6, 0.020, None))
OVERHEAD_GOAL_MS = 1.0
# Live pictures adapt to the link.
SETTLE_S = 6.0
SAMPLE_S = 10.0

Goal = tuple[str, bool]


def p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.95 * len(values)))]


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def table(title: str, *columns: str) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def loops(board: Board, frames: int) -> tuple[list[Loop], list[Goal]]:
    table("What the loop takes beyond capture, preparation, network and LEDs, and when LEDs change:", "camera", "viewer",
          "ms a frame, median", "p95", "LEDs lit in the frame that caused them", "ms since that frame was there, median (p95)",
          "machine")
    goals, done = [], []
    for name, size in CAMERAS.items():
        with ClockCamera(*size) as camera:
            for watched in (False, True):
                loop = board.loop(camera, frames, watched)
                beyond, changes = loop.beyond_ms, loop.changes
                right, took = sum(same for same, _ in changes), [ms for _, ms in changes]
                row(name, "one" if watched else "none", f"{statistics.median(beyond):.2f}", f"{p95(beyond):.2f}",
                    f"{right} of {len(changes)}", f"{statistics.median(took):.1f} ({p95(took):.1f})", load())
                goals += [(f"loop below {OVERHEAD_GOAL_MS:.0f} ms, {name}, viewer: {'one' if watched else 'none'}",
                           statistics.median(beyond) < OVERHEAD_GOAL_MS),
                          (f"every LED in the frame that caused it, {name}", right == len(changes) > 0)]
                done.append(loop)
    return done, goals


def beside_the_older(board: Board, ours: Loop, seconds: float) -> None:
    dice = random.Random(7)
    with ClockCamera(*CAMERAS["1280x720"]) as camera:
        older = board.older(camera, seconds, lambda: dice.uniform(1.3, 2.7))
    table("From a card before the camera to its LED:", "program", "cards", "ms, median", "p95", "machine")
    for name, took in (("ours, every frame", until_lit(ours.shown, ours.lit)), ("one frame a second, as the older one", older)):
        row(name, len(took), f"{1e3 * statistics.median(took):.0f}", f"{1e3 * p95(took):.0f}", load())


def live(server: SshServer, board: Board, folder: Path, seconds: float) -> list[Goal]:
    table("Age of live pictures when they are decoded on the laptop, since before they were drawn and since the program on "
          "the Nano had the frame:", "link", "camera", "drawn: ms, median", "p95", "captured: ms, median", "p95",
          "pictures a second", "wide", "kB each", "machine")
    goals = []
    for link_name, rate, round_trip, goal in LINKS:
        for name, size in CAMERAS.items():
            with ClockCamera(*size) as camera, Link(server.host, server.port, rate, round_trip) as link:
                machine = open_nano(server, server.port if rate is None else link.port, board.root, folder)
                try:
                    with Session(machine, board, camera.uri) as session:
                        time.sleep(SETTLE_S)
                        since = time.time()
                        time.sleep(seconds)
                finally:
                    machine.close()
            seen = [one for one in session.seen if one.at >= since]
            ages, captured = [one.age for one in seen if one.age is not None], [one.captured for one in seen]
            if not seen or len(ages) < 0.9 * len(seen):
                row(link_name, name, f"only {len(ages)} of {len(seen)} clocks could be read", "", "", "", "", "", "", load())
                goals.append((f"{link_name}, {name}", False))
                continue
            median = statistics.median(ages)
            row(link_name, name, f"{1e3 * median:.0f}", f"{1e3 * p95(ages):.0f}", f"{1e3 * statistics.median(captured):.0f}",
                f"{1e3 * p95(captured):.0f}", f"{len(seen) / seconds:.0f}", round(statistics.median(one.width for one in seen)),
                f"{statistics.median(one.size for one in seen) / 1e3:.0f}", load())
            if goal is not None:
                goals.append((f"live pictures below {1e3 * goal:.0f} ms in the median, {link_name}, {name}", median < goal))
    return goals


def starts(server: SshServer, folder: Path) -> None:
    table("From start to the first prediction on the laptop, seconds:", "kind of start", *(one[0] for one in LINKS), "machine")
    kinds = ("the Nano has never seen the programs", "a new connection", "the open connection")
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    with ClockCamera(*CAMERAS["640x360"]) as camera:
        for number, (_, rate, round_trip, _) in enumerate(LINKS):
            board = Board(folder / f"start-{number}")
            with Link(server.host, server.port, rate, round_trip) as link:
                port = server.port if rate is None else link.port
                machine = open_nano(server, port, board.root, folder)
                for kind, into in found.items():
                    if kind == kinds[1]:
                        machine.close()
                        machine = open_nano(server, port, board.root, folder)
                    with Session(machine, board, camera.uri, watched=False) as session:
                        into.append(f"{session.first_s:.2f}")
                machine.close()
    for kind, took in found.items():
        row(kind, *took, load())


def memory(server: SshServer, board: Board, folder: Path, minutes: float) -> None:
    machine = open_nano(server, server.port, board.root, folder)
    samples: list[tuple[float, int]] = []
    with ClockCamera(*CAMERAS["1280x720"]) as camera:
        try:
            with Session(machine, board, camera.uri) as session:
                end = time.monotonic() + 60 * minutes
                while time.monotonic() < end:
                    time.sleep(SAMPLE_S)
                    samples.append((time.monotonic() / 60, memory_kb(session.pid)))
        finally:
            machine.close()
    # The first ten seconds load and fill buffers.
    kept = samples[1:]
    table("Memory of the program while it is watched:", "minutes", "RSS at the end, MB", "slope, kB a minute",
          "of the second half", "machine")
    row(f"{minutes:g}", f"{samples[-1][1] / 1e3:.1f}", slope(kept), slope(kept[len(kept) // 2:]), load())


def slope(samples: Sequence[tuple[float, int]]) -> str:
    """Least squares."""
    return f"{statistics.linear_regression(*zip(*samples, strict=True)).slope:+.1f}" if len(samples) > 1 else "-"


def nobody() -> Account:
    raise AssertionError("only the password kind needs a user")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="of memory; 10 for doc/results.md")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each live view, after it has settled")
    parser.add_argument("--frames", type=int, default=450, help="of each loop")
    parser.add_argument("--parts", nargs="+", choices=("loop", "live", "starts", "memory"),
                        default=["loop", "live", "starts", "memory"])
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    goals: list[Goal] = []
    print(f"Before it: {load()}.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        board = Board(folder / "nano")
        if "loop" in options.parts:
            done, met = loops(board, options.frames)
            goals += met
            beside_the_older(board, done[0], max(12.0, options.frames / 15))
        parts: dict[str, Callable[[SshServer], list[Goal] | None]] = {
            "live": lambda server: live(server, board, folder, options.seconds),
            "starts": lambda server: starts(server, folder),
            "memory": lambda server: memory(server, board, folder, options.minutes)}
        for part in [one for one in parts if one in options.parts]:
            with start_server("openssh-key", _made(folder / part), True, nobody) as server:
                goals += parts[part](server) or []
    print()
    for words, met_it in dict.fromkeys(goals):
        print(f"goal {'met' if met_it else 'missed'}: {words}")
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
