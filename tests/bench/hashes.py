"""Step 3: how far apart the hashes of neighbouring frames are, and of other takes; and what a hash costs.

    python -m tests.bench.hashes [--takes 8] [--seeds 2]

Takes of the stage's cards, recorded at 10 frames a second. A hash is good where neighbours are near and other takes far.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import imagehash
from PIL import Image

from ai_nano.cameras import hashes
from ai_nano.demo.cards import CARDS
from ai_nano.demo.stage_scene import FPS, Scene

FRAMES = 20
RECORD_FPS = 10
NEAR = (2, 4, 6, 8, 10)


def as_number(found: imagehash.ImageHash) -> int:
    return int(str(found), 16)


def of_pillow(kind: Callable[[Any], imagehash.ImageHash]) -> Callable[[bytes], int]:
    def hashed(jpeg: bytes) -> int:
        import numpy

        grey = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        return as_number(kind(Image.fromarray(grey)))

    return hashed


def own(jpeg: bytes) -> int:
    found = hashes.of_file(jpeg)
    assert found is not None
    return found


KINDS = {"dhash": of_pillow(imagehash.dhash), "phash": of_pillow(imagehash.phash), "ours (cameras/hashes.py)": own}


def takes(seed: int, count: int) -> list[list[bytes]]:
    found = []
    for take in range(count):
        scene = Scene(seed, "record", take, list(CARDS)[take % len(CARDS)])
        frames = (scene.frame(number * FPS // RECORD_FPS) for number in range(FRAMES))
        found.append([bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()) for frame in frames])
    return found


def measure(name: str, recorded: Sequence[Sequence[Sequence[bytes]]]) -> str:
    """A row of the table. `recorded`: frames by seed and take."""
    hashed = KINDS[name]
    begun = time.perf_counter()
    values = [[[hashed(jpeg) for jpeg in take] for take in of_seed] for of_seed in recorded]
    cost = (time.perf_counter() - begun) / sum(len(take) for of_seed in recorded for take in of_seed)
    apart = {gap: [(one ^ other).bit_count() for of_seed in values for take in of_seed
                   for one, other in zip(take, take[gap:], strict=False)] for gap in (1, 3)}
    others = [(one ^ other).bit_count() for of_seed in values for number, take in enumerate(of_seed)
              for earlier in of_seed[:number] for one in take for other in earlier]
    shares = "; ".join(f"{limit}: {share(apart[1], limit)}, {share(others, limit)}" for limit in NEAR)
    return (f"| {name} | {1000 * cost:.1f} | {spread(apart[1])} | {spread(apart[3])} | {spread(others)} | {shares} |")


def spread(distances: Sequence[int]) -> str:
    tenths = statistics.quantiles(distances, n=10)
    return f"{statistics.median(distances):.0f} ({tenths[0]:.0f} to {tenths[-1]:.0f})"


def share(distances: Sequence[int], limit: int) -> str:
    return f"{100 * sum(one <= limit for one in distances) / len(distances):.1f} %"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(argv)
    recorded = [takes(seed, options.takes) for seed in range(options.seeds)]
    print("Bits of 64, median (tenth to ninth tenth).\n\n| hash | ms an image | neighbours | three frames apart | "
          "other takes | within so many bits: neighbours, other takes |\n|---|---|---|---|---|---|")
    for name in KINDS:
        print(measure(name, recorded))
    return 0


if __name__ == "__main__":
    sys.exit(main())
