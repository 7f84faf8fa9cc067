"""Opening the camera that a run's params name, in the way that suits its engine."""

import time
from typing import Any, Dict, Optional, Tuple

from jetson_nano.sources import Source, open_source
from shared.runs import Runs
from shared.wire import Failure, Run

LARGEST_SIDE = 8192
LOOK = "jetson_nano/look.py"
# For a laptop that recorded with this camera and has just gone on to step 8.
LEAVING_S = 3.0
POLL_S = 0.1


def check_size(params: Dict[str, Any]) -> None:
    """[width, height] in pixels, or null. Raises Failure infer.bad_params {key}."""
    size = params.get("size")
    fits = isinstance(size, list) and len(size) == 2 and all(type(each) is int and 0 < each <= LARGEST_SIDE for each in size)
    if size is not None and not fits:
        raise Failure("infer.bad_params", key="size")


def wait_for_lookers(run: Run) -> None:
    """Returns when nobody looks through the camera any more; who goes on looking is not waited for."""
    until = time.monotonic() + LEAVING_S
    while time.monotonic() < until and any(each["program"] == LOOK and each["state"] == "running"
                                           for each in Runs(run.root).listing()):
        time.sleep(POLL_S)


def open_camera(run: Run) -> Source:
    """With TensorRT the frames never leave the GPU, so its source is jetson-utils' own."""
    uri, flip = run.params["camera"], run.params.get("flip")
    size: Optional[Tuple[int, int]] = tuple(run.params["size"]) if run.params.get("size") else None
    if run.params["engine"] == "tensorrt":
        from jetson_nano.jetson_source import open_jetson_source

        return open_jetson_source(run, uri, flip, size)
    return open_source(uri, flip, size)
