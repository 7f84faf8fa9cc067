"""The live view: how old a picture is when the laptop has it, from the moment its frame was grabbed, on links of tests/link.py.

    python -m tests.bench.live [--seconds 20] [--warm-up 5] [--python .venv-nano/bin/python]

classify.py with a tiny network behind real sshd; the camera shows rendered photographs, 30 a second. One clock, since all
runs on this computer. Prints Markdown. `--warm-up 0` counts the beginning too.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from ai_nano.core.cancel import CancelToken
from ai_nano.core.config import NanoConfig
from ai_nano.core.ports import Picture
from ai_nano.demo.stage_scene import Scene
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration"), str(TESTS / "contract")]
from colours import MjpegCamera, make_model  # noqa: E402
from link import Link  # noqa: E402
from ssh_servers import Account, start_server  # noqa: E402

LINKS = {"loopback": (None, 0.0), "100 Mbit/s, 20 ms": (100e6, 0.02), "10 Mbit/s, 20 ms": (10e6, 0.02),
         "1 Mbit/s, 20 ms": (1e6, 0.02)}
CAMERAS = {"720p": (1280, 720), "360p": (640, 360)}
FPS = 30


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


def no_user() -> Account:
    raise AssertionError("only the password kind needs a user")


@contextmanager
def camera(size: tuple[int, int]) -> Iterator[str]:
    """Its URI."""
    made, stop = MjpegCamera(), threading.Event()
    scene = Scene(1, "record", 0, "cat")
    frames = [bytes(cv2.imencode(".jpg", cv2.resize(scene.frame(number), size))[1]) for number in range(30)]

    def show() -> None:
        due = time.monotonic()
        for frame in itertools.cycle(frames):
            due += 1 / FPS
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            made.show_latest(frame)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield made.uri
    finally:
        stop.set()
        thread.join()
        made.close()


def watch(machine: SshMachine, params: dict[str, Any], seconds: float) -> list[tuple[float, float, Picture]]:
    """When each picture came, counted from the first, and how old it was."""
    job = machine.start("live", "jetson_nano/classify.py", params, lease_s=5)
    cancel, done = CancelToken(), CancelToken()
    seen: list[tuple[float, float, Picture]] = []

    def look(picture: Picture) -> None:
        now = time.time()
        seen.append((now - seen[0][2].t if seen else 0.0, now - picture.t, picture))
        if seen[-1][0] >= seconds:
            cancel.cancel()

    follower = threading.Thread(target=lambda: job.follow(lambda event: None, lambda text: None, done))
    follower.start()
    job.watch(look, cancel)
    done.cancel()
    follower.join()
    return seen


def new(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    options = parser.parse_args()
    print("| camera | link | pictures/s | width | median ms | p95 ms |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made, start_server("openssh-key", new(made, "server"), True, no_user) as server:
        model = make_model(Path(made) / "models" / "colours-001")
        for (name, size), (kind, (rate, round_trip)) in itertools.product(CAMERAS.items(), LINKS.items()):
            with Link(server.host, server.port, rate, round_trip) as link, camera(size) as uri:
                config = NanoConfig("nano1", link.host, server.user, None, link.port, server.key_file,
                                    host_key=server.host_key, root=f"{made}/root", python=str(options.python.absolute()))
                machine = SshMachine(config, Programs("jetson_nano"), HostKeys(Path(made) / "known_hosts"), Nobody())
                params = {"model_dir": str(model), "camera": uri, "flip": None, "engine": "onnxruntime", "leds": "none",
                          "pins": [], "leds_file": None, "threshold": 0.6, "frames": None, "seconds": None}
                seen = watch(machine, params, options.warm_up + options.seconds)
                machine.close()
            counted = [one for one in seen if one[0] >= options.warm_up]
            ages = [age * 1000 for _, age, _ in counted]
            print(f"| {name} | {kind} | {len(counted) / options.seconds:.1f} | "
                  f"{statistics.median(picture.width for _, _, picture in counted):.0f} | {statistics.median(ages):.0f} | "
                  f"{statistics.quantiles(ages, n=20)[-1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
