"""What a test can set: read anew whenever it is asked for, so that a camera can be pulled out while it is used.

    {"cameras": {"/dev/video0": "/folder/of/images" or "http://127.0.0.1:1/name.mjpg", "csi://0": ..., "rtsp://room/1": ...},
     "fps": 30, "tensorrt": 8201, "device": "a Nano", "build_s": 0.0, "numpy": true,
     "build": null | "out_of_memory" | "killed" | "crashes" | "fails", "foreign": "refused" | "crashes"}

A device that is not named is not plugged in. "device" and "tensorrt" are written into an engine, which loads only where both
are the same; "foreign" says what becomes of one that does not.
"""

import json
import os

DEFAULTS = {"cameras": {}, "fps": 30, "tensorrt": 8201, "device": "a Nano", "build_s": 0.0, "numpy": True, "build": None,
            "foreign": "refused"}


def get(name):
    path = os.environ.get("JETSON_DOUBLE", "")
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        found = {}
    return found.get(name, DEFAULTS[name])
