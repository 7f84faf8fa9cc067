"""What runs on one machine: a rendered frame of the stage, and how soon a command answers.

    python -m tests.bench.local
"""

import statistics
import subprocess
import sys
import time

import cv2

from ai_nano.demo.stage_scene import Scene


def stage(frames: int = 150) -> None:
    cv2.setNumThreads(1)
    rendered, encoded = [], []
    for take in range(5):
        scene = Scene(1, "show", take, "cat")
        for number in range(frames // 5):
            start = time.perf_counter()
            image = scene.frame(number)
            middle = time.perf_counter()
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
            rendered.append(middle - start)
            encoded.append(time.perf_counter() - middle)
    drawn, jpeg = (f"{1000 * statistics.median(times):.1f} ({1000 * max(times):.1f}) ms" for times in (rendered, encoded))
    print(f"a frame of the stage, 1280x720, one core, median (worst) of {frames}: drawn in {drawn}, JPEG in {jpeg}")


def answer(words: list[str], rounds: int = 11) -> None:
    taken, bare = [], []
    for _ in range(rounds):
        for into, command in ((taken, ["-m", "ai_nano", *words]), (bare, ["-c", "pass"])):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            into.append(time.perf_counter() - start)
    print(f"ai-nano {' '.join(words)}: median {1000 * statistics.median(taken):.0f} ms of {rounds}; Python alone "
          f"{1000 * statistics.median(bare):.0f} ms")


def main() -> int:
    stage()
    answer(["--help"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
