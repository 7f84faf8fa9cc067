"""How steadily a class is shown (the Nano's decision.py, doc/design/nano.md): what suits which camera."""

from dataclasses import dataclass

# As decision.py takes them.
LONGEST_SMOOTHING_S = 60.0


@dataclass(frozen=True)
class Steadiness:
    """`hysteresis`: by how much, 0 to 1, another class must be ahead; `smoothing_s`: time constant of the running mean."""

    hysteresis: float
    smoothing_s: float


LIVE = Steadiness(0.1, 0.15)
# Each frame by itself: what a test of fixed images, and the report, count.
EACH_FRAME = Steadiness(0.0, 0.0)


def usual(camera: str) -> Steadiness:
    """For the URI of a camera, the laptop's or a Nano's: a shaking hand makes no LED flicker, files are taken as they are."""
    return LIVE if is_live(camera) else EACH_FRAME


def is_live(camera: str) -> bool:
    """Not a file or a folder (as sources.py tells them apart)."""
    return not camera.startswith("file://") and ("://" in camera or camera.startswith(("/dev/", "webcam:")))
