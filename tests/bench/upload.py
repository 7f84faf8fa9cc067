"""Step 4 beside what a user would pick instead, to real sshd: on the link of tests/link.py at 100 Mbit/s, and on loopback.

    python -m tests.bench.upload [--images 600] [--rounds 3] [--round-trip 5 20] [--ways raw put zip scp rsync sftp tar]

Each way starts without a connection and ends when all images are there; ours finds its programs there, as after a
first visit. Prints Markdown.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ai_nano.demo.stage_scene import Scene

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "integration")]
from link import QUEUE_BYTES, Link  # noqa: E402
from ssh_servers import Account, SshServer, start_server  # noqa: E402

from tests.bench.ways import OURS, RawLink, Tools, clear, open_machine, seconds, send, total_bytes  # noqa: E402

RATE_BITS_S = 100e6
# About 90 kB of 1280x720 pixels; OpenCV's own 95 makes 280 kB of them.
QUALITY = 80
ADDED = 10
NAMES = {"raw": "the raw link: one TCP stream", "put": "SFTP `put` per file (paramiko, TCP_NODELAY)",
         "zip": "zip + `put` + unzip", "scp": "`scp -r`", "rsync": "`rsync -a`", "sftp": "ai_nano, `sftp`",
         "tar": "ai_nano, `tar`"}


def images(folder: Path, numbers: range, quality: int) -> None:
    """Rendered photographs, 1280x720."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        picture = Scene(1, "record", number // 30, "cat").frame(number % 30)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def available(ways: list[str]) -> list[str]:
    """Those whose programs are here; the others are named."""
    needs = {"zip": ("zip", "unzip"), "scp": ("scp",), "rsync": ("rsync",)}
    missing = {way: [tool for tool in needs.get(way, ()) if shutil.which(tool) is None] for way in ways}
    for way, tools in missing.items():
        if tools:
            print(f"left out: {NAMES[way]}, without {' and '.join(tools)}")
    return [way for way in ways if not missing[way]]


def nobody() -> Account:
    raise AssertionError("only the password kind needs a user")


class Comparison:
    """All ways over one emulated link, in turns; what each took is in `took`, in seconds."""

    def __init__(self, server: SshServer, folder: Path, sent: Path, more: Path, ways: list[str]) -> None:
        """`sent` holds the images; `more` the same and some that are added later."""
        self._server, self._folder, self._sent, self._more = server, folder, sent, more
        self._ways = ways
        self._target = folder / "there"
        self.took: dict[str, list[float]] = {way: [] for way in ways}
        self.added: dict[str, list[float]] = {way: [] for way in ways if way in (*OURS, "rsync")}
        self.round_trips: list[float] = []

    def round(self, round_trip_s: float) -> None:
        for way in self._ways:
            if way == "raw":
                took, asked = RawLink(RATE_BITS_S, round_trip_s).measure(total_bytes(self._sent)[1])
                self.took[way].append(took)
                self.round_trips.append(asked)
                continue
            clear(self._target, self._folder / "root" / "models", self._folder / "root" / ".ai_nano" / "incoming")
            with Link(self._server.host, self._server.port, RATE_BITS_S, round_trip_s) as link:
                (self._ours if way in OURS else self._theirs)(way, link)

    def _theirs(self, way: str, link: Link) -> None:
        tools = Tools(self._server, link.port, self._folder)
        send_all: Callable[[Path, Path], None] = {
            "put": tools.put_each, "zip": tools.zip_put_unzip, "scp": tools.scp, "rsync": tools.rsync}[way]
        self.took[way].append(seconds(lambda: send_all(self._sent, self._target)))
        assert total_bytes(self._target) == total_bytes(self._sent), way
        if way in self.added:
            self.added[way].append(seconds(lambda: send_all(self._more, self._target)))
            assert total_bytes(self._target) == total_bytes(self._more), way

    def _ours(self, way: str, link: Link) -> None:
        root = self._folder / "root"
        models = root / "models"
        first_visit = open_machine(self._server, self._server.port, root, way, self._folder)
        first_visit.store("models")
        first_visit.close()
        machine = open_machine(self._server, link.port, root, way, self._folder)
        try:
            names: list[str] = []
            self.took[way].append(seconds(lambda: names.append(send(machine, self._sent, "bench").model)))
            assert total_bytes(models / names[0]) == total_bytes(self._sent), way
            self.added[way].append(seconds(lambda: names.append(send(machine, self._more, "bench", tuple(names)).model)))
            assert total_bytes(models / names[1]) == total_bytes(self._more), way
        finally:
            machine.close()

    def tell(self, round_trip_s: float) -> None:
        count, size = total_bytes(self._sent)
        rounds = len(next(iter(self.took.values())))
        print(f"\n{count} images, {size / 1e6:.1f} MB, {RATE_BITS_S / 1e6:.0f} Mbit/s, round trip {1e3 * round_trip_s:.0f} ms, "
              f"queue {QUEUE_BYTES >> 10} KiB; median of {rounds}:\n")
        raw = statistics.median(self.took["raw"]) if "raw" in self.took else None
        print("| way | seconds | MB/s | of the raw link |\n|---|---|---|---|")
        for way, all_took in self.took.items():
            took = statistics.median(all_took)
            share = f"{raw / took:.0%}" if raw else "-"
            print(f"| {NAMES[way]} | {took:.2f} | {size / 1e6 / took:.2f} | {share} |")
        if raw is not None:
            print(f"\nMeasured of the link itself: {8 * size / raw / 1e6:.1f} Mbit/s with connecting, round trip "
                  f"{1e3 * statistics.median(self.round_trips):.1f} ms.")
        if self.added:
            print(f"\nAdding {ADDED} images:\n\n| way | seconds |\n|---|---|")
            for way, all_took in self.added.items():
                how = "connects anew, into the same folder" if way == "rsync" else "on the open connection, a new model"
                print(f"| {NAMES[way]} ({how}) | {statistics.median(all_took):.2f} |")
        sys.stdout.flush()


def loopback(server: SshServer, folder: Path, rounds: int, count: int) -> None:
    """Ours against `scp -r` without a link between: what the processors allow."""
    pictures, root = folder / "large", folder / "root"
    images(pictures, range(count), 95)
    total = total_bytes(pictures)[1]
    tools = Tools(server, server.port, folder)
    machine = open_machine(server, server.port, root, "auto", folder)
    machine.store("models")
    ours, theirs, again = [], [], []
    for _ in range(rounds):
        clear(root / "models", root / ".ai_nano" / "incoming", folder / "there")
        ours.append(seconds(lambda: send(machine, pictures, "bench")))
        again.append(seconds(lambda: send(machine, pictures, "bench", ("bench-001",))))
        theirs.append(seconds(lambda: tools.scp(pictures, folder / "there")))
    machine.close()
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    mine = statistics.median(ours)
    print(f"upload of {count} images, {total / 1e6:.0f} MB, loopback, median of {rounds}: "
          f"ai_nano {mine:.2f} s ({total / 1e6 / mine:.0f} MB/s), scp -r {statistics.median(theirs):.2f} s, ratio {ratio:.2f}; "
          f"nothing to send: {statistics.median(again):.2f} s")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-trip", type=float, nargs="*", default=[5.0, 20.0], metavar="MS")
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--loopback-images", type=int, default=480, help="0: none")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    ways = available(options.ways)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent, more = folder / "sent", folder / "more"
        images(sent / "train" / "cat", range(options.images), QUALITY)
        # The same files, times too.
        subprocess.run(["cp", "-a", str(sent), str(more)], check=True)
        images(more / "train" / "cat", range(options.images, options.images + ADDED), QUALITY)
        with start_server("openssh-key", _made(folder / "sshd"), True, nobody) as server:
            if options.loopback_images:
                loopback(server, folder, options.rounds, options.loopback_images)
            for round_trip in options.round_trip:
                comparison = Comparison(server, folder, sent, more, ways)
                for _ in range(options.rounds):
                    comparison.round(round_trip / 1e3)
                comparison.tell(round_trip / 1e3)
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
