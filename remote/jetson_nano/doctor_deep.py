"""The deep checks of a Nano, while nobody uses it: they take its camera and its memory, and so a turn (turns.py)."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from jetson_nano import doctor_devices
from jetson_nano.turn_queue import entries, queue_of
from shared.deep import check
from shared.doctor import Asked
from shared.findings import Check, Findings
from shared.runs import Runs

INFERENCE = """
import os
os.environ.pop("DISPLAY", None)
try:
    import jetson_inference as inference, jetson_utils
except ImportError:
    import jetson.inference as inference, jetson.utils
print(inference.__name__, hasattr(inference, "imageNet"))
"""
TENSORRT = """
import tensorrt
print(tensorrt.__version__)
"""
ONNXRUNTIME = """
import cv2, numpy, onnxruntime
print("onnxruntime", onnxruntime.__version__)
"""
# Switches nothing: the pins may have something else on them.
GPIO = """
import Jetson.GPIO as GPIO
GPIO.setwarnings(False)
GPIO.setmode(GPIO.BOARD)
GPIO.cleanup()
print(GPIO.model, GPIO.VERSION)
"""
# One frame, by the way that classify.py takes for this engine.
CAMERA_BY_JETSON = """
import os
os.environ.pop("DISPLAY", None)
try:
    import jetson_utils as utils
except ImportError:
    import jetson.utils as utils
source = utils.videoSource(CAMERA, argv=["doctor", "--headless"])
frame = None
for _ in range(10):
    frame = source.Capture()
    if frame is not None:
        break
assert frame is not None, "no frame"
print(frame.width, "x", frame.height)
"""
CAMERA_BY_OPENCV = """
import cv2
source = cv2.VideoCapture(CAMERA[7:] if CAMERA.startswith(("v4l2://", "file://")) else CAMERA)
ok, frame = source.read()
assert ok, "no frame"
print(frame.shape[1], "x", frame.shape[0])
"""
CAMERA_S = 30.0
# As the laptops of those who wait name it.
PROGRAM = "jetson_nano/doctor.py"


def users(root: Path) -> List[str]:
    """Who uses the board now: who has the turn or waits for it, and runs that need none."""
    queue: List[Dict[str, Any]] = entries(queue_of(root).tickets() or [], time.monotonic())
    runs = [run for run in Runs(root).listing() if run["state"] == "running"] if (root / ".ai_nano").is_dir() else []
    return sorted({str(one["student"] or one["run"]) for one in queue} | {str(run["student"] or run["id"]) for run in runs})


def take_turn(root: Path, asked: Asked) -> bool:
    """The turn is this process's until it ends; False where somebody was quicker. Where nothing can be written, nobody
    queues."""
    spec = {"program": PROGRAM, "student": asked.get("student"), "laptop": asked.get("laptop")}
    queue = queue_of(root)
    try:
        place = queue.join(f"doctor-{os.getpid()}", spec)
    except OSError:
        return True
    if (queue.tickets() or [place.ticket])[0].number != place.ticket.number:
        place.leave()
        return False
    place.begin()
    return True


def checks(root: Path, asked: Asked) -> Dict[str, Check]:
    using = users(root)
    if not using and not take_turn(root, asked):
        using = users(root)
    if using:
        return {"deep": lambda findings: _in_use(findings, using)}
    camera = asked.get("camera", "csi://0")
    by_jetson = asked.get("engine", "tensorrt") == "tensorrt"
    found = {"deep_onnxruntime": check("deep_onnxruntime", ONNXRUNTIME, python=sys.executable)}
    if by_jetson and not asked.get("container"):
        found = {"deep_inference": check("deep_inference", INFERENCE), "deep_tensorrt": check("deep_tensorrt", TENSORRT),
                 "deep_camera": _camera(CAMERA_BY_JETSON, camera)}
    elif not by_jetson:
        found["deep_camera"] = _camera(CAMERA_BY_OPENCV, camera)
    else:
        found = {}
    if asked.get("leds", "gpio") == "gpio":
        found["deep_gpio"] = check("deep_gpio", GPIO)
    return found or {"deep": lambda findings: findings.unsure("deep", "doctor.deep.container")}


def _camera(text: str, camera: str) -> Check:
    return check("deep_camera", f"CAMERA = {camera!r}\n{text}", CAMERA_S, camera=doctor_devices.shown(camera))


def _in_use(findings: Findings, who: List[str]) -> None:
    findings.unsure("deep", "doctor.deep.in_use", ", ".join(who)[:100], who=who)
