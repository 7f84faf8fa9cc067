"""Looks through the Nano's camera for a laptop that records with it: no network, no LEDs, full pictures for its viewers.

    python PROGRAMS/jetson_nano/look.py --run RUNDIR

doc/design/wire.md has its parameters and events.
"""

import argparse
import sys
import time
from contextlib import closing
from typing import Any, Dict, List

from jetson_nano.autostart_files import make_room
from jetson_nano.camera import Camera
from jetson_nano.in_container import carry_out
from jetson_nano.opening import LARGEST_SIDE, check_size, open_camera
from jetson_nano.pictures import Pictures
from jetson_nano.pixels import Arrays, CudaImages, Pixels
from jetson_nano.sources import SourceEnded, check_flip
from jetson_nano.viewer import Wish
from shared.wire import Commands, Failure, Lease, Run

FRAME_WAIT_S = 0.1
LISTEN_S = 0.05
# As the camera gives them: these are what a student trains with.
FULL = Wish(LARGEST_SIDE, 90, 30)


def look(run: Run) -> None:
    """Until the laptop says stop or is gone, or the file has ended; then the result."""
    check_params(run.params)
    make_room(run.root)
    pixels = _pixels(run)
    frames, began = 0, time.monotonic()
    with closing(Camera(run, run.params["camera"], lambda: open_camera(run), lambda: None)) as camera:
        with closing(Pictures(run, pixels, FULL, keeps=0)) as pictures:
            over = Over(run)
            try:
                while not over():
                    frame = camera.read(FRAME_WAIT_S)
                    if frame is not None:
                        pictures.offer(frame.image, frames, frame.t)
                        frames += 1
            except SourceEnded:
                pass
    run.result(frames=frames, seconds=round(time.monotonic() - began, 3))


class Over:
    """Whether the laptop has said stop, or is gone; looked at from time to time, asked as often as one likes."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._commands = Commands(run)
        self._lease = Lease(run)
        self._over = False
        self._look_at = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._over and now >= self._look_at:
            self._look_at = now + LISTEN_S
            self._over = any(command.get("type") == "stop" for command in self._commands.poll())
            if not self._over and self._lease.expired():
                self._over = True
                self._run.log("look.lease_lost", level="warning")
        return self._over


def check_params(params: Dict[str, Any]) -> None:
    """Raises Failure infer.bad_params {key}, infer.bad_flip, infer.unknown_engine {engine}."""
    for key in ("camera", "engine"):
        if not isinstance(params.get(key), str):
            raise Failure("infer.bad_params", key=key)
    if params["engine"] not in ("tensorrt", "onnxruntime"):
        raise Failure("infer.unknown_engine", engine=params["engine"])
    check_size(params)
    check_flip(params.get("flip"))


def _pixels(run: Run) -> Pixels:
    if run.params["engine"] != "tensorrt":
        return Arrays()
    from jetson_nano.bindings import import_jetson

    return CudaImages(import_jetson().utils)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Look through the camera, for who records with it on a laptop.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return carry_out(Run(get_parser().parse_args(argv).run), look)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
