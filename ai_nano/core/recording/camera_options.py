"""What a workspace notes of its camera: size, rate and rotation of the pictures, and whether the view is a mirror.

The mirror is for whoever stands before the camera; what is saved stays as the Nano will see it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ai_nano.core.ports import CameraOptions

KEY = "camera_options"
SIZES = ((640, 480), (1280, 720), (1920, 1080))
RATES = (10.0, 15.0, 25.0, 30.0, 60.0)
TURNS = (0, 90, 180, 270)
# The names of jetson-utils, by which the programs for the Nano turn a picture.
FLIPS = {0: None, 90: "clockwise", 180: "rotate-180", 270: "counterclockwise"}
MOST_PIXELS = 8192
MOST_FPS = 240.0


def of(settings: Mapping[str, Any]) -> CameraOptions:
    """The options in a workspace's settings; what somebody wrote there by hand and cannot be, is passed over."""
    noted = _noted(settings)
    width, height, fps, rotate = (noted.get(name) for name in ("width", "height", "fps", "rotate"))
    options = CameraOptions()
    if _is_side(width) and _is_side(height):
        options = replace(options, width=width, height=height)
    if isinstance(fps, (int, float)) and not isinstance(fps, bool) and math.isfinite(fps) and 0 < fps <= MOST_FPS:
        options = replace(options, fps=float(fps))
    return replace(options, rotate=rotate) if rotate in TURNS and isinstance(rotate, int) else options


def mirrored(settings: Mapping[str, Any]) -> bool:
    return _noted(settings).get("mirror") is True


def to_settings(options: CameraOptions, mirror: bool) -> dict[str, Any]:
    """What `of` and `mirrored` read, for settings[KEY]."""
    noted = {"width": options.width, "height": options.height, "fps": options.fps, "rotate": options.rotate or None,
             "mirror": mirror or None}
    return {name: value for name, value in noted.items() if value is not None}


def _noted(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    noted = settings.get(KEY)
    return noted if isinstance(noted, Mapping) else {}


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_PIXELS
