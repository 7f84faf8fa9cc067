"""classify.py with a clock around its camera: python3.6 timed.py REMOTE --run RUNDIR

RUNDIR/timing.json then has a row for each frame: unix time at which it was there, unix time at which the loop asked for the
next one, and the milliseconds between. Written for the Nano's Python 3.6.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from jetson_nano import classify  # noqa: E402
from jetson_nano.camera import Camera  # noqa: E402
from shared.runs import RunFolder  # noqa: E402

rows = []
there = None
read = Camera.read


def timed(camera, timeout_s):
    global there
    if there is not None:
        rows.append((there[0], time.time(), (time.perf_counter() - there[1]) * 1000))
    frame = read(camera, timeout_s)
    there = None if frame is None else (time.time(), time.perf_counter())
    return frame


def main(words):
    folder = words[-1]
    RunFolder(Path(folder)).note_process(os.getpid())
    Camera.read = timed
    code = classify.main(words)
    if there is not None:
        rows.append((there[0], time.time(), (time.perf_counter() - there[1]) * 1000))
    with open(os.path.join(folder, "timing.json"), "w") as stream:
        json.dump(rows, stream)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
