"""Step 4 beside what a user would pick instead: our SFTP upload and `scp -r`, on one sshd, in turns.

    python -m tests.bench.upload [--images 480] [--rounds 5]
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Upload
from ai_nano.demo.stage_scene import Scene

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from ssh_servers import Account, SshServer, start_server  # noqa: E402
from test_machine import config_for, connect  # noqa: E402


def images(folder: Path, count: int) -> int:
    """Rendered photographs, 1280x720; returns their bytes."""
    import cv2

    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), Scene(1, "record", number // 30, "cat").frame(number % 30))
    return sum(path.stat().st_size for path in folder.iterdir())


def seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def nobody() -> Account:
    raise AssertionError("only the password kind needs a user")


def compare(server: SshServer, folder: Path, rounds: int, total: int, count: int) -> None:
    root = folder / "root"
    machine = connect(config_for(server, str(root)), folder)
    machine.store("models")
    files = [Upload(path, PurePosixPath("models/m") / path.name) for path in sorted((folder / "images").iterdir())]
    options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "LogLevel=ERROR"]
    scp = ["scp", "-q", "-r", "-i", str(server.key_file), "-P", str(server.port), *options, str(folder / "images"),
           f"{server.user}@{server.host}:{folder / 'by-scp'}"]
    ours, theirs, again = [], [], []
    for _ in range(rounds):
        shutil.rmtree(root / "models", ignore_errors=True)
        ours.append(seconds(lambda: machine.upload(files, lambda done, all_bytes: None, CancelToken())))
        again.append(seconds(lambda: machine.upload(files, lambda done, all_bytes: None, CancelToken())))
        shutil.rmtree(folder / "by-scp", ignore_errors=True)
        theirs.append(seconds(lambda: subprocess.run(scp, check=True)))
    machine.close()
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    mine = statistics.median(ours)
    print(f"upload of {count} images, {total / 1e6:.0f} MB, loopback, median of {rounds}: "
          f"ai_nano {mine:.2f} s ({total / 1e6 / mine:.0f} MB/s), scp -r {statistics.median(theirs):.2f} s, ratio {ratio:.2f}; "
          f"nothing to send: {statistics.median(again):.2f} s")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        total = images(folder / "images", options.images)
        with start_server("openssh-key", _made(folder / "sshd"), True, nobody) as server:
            compare(server, folder, options.rounds, total, options.images)
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
