"""A workspace with thousands of images, within seconds: some hundred frames of the stage under many names, take by take.

    python -m tests.bench.many_images FOLDER [--images 5000] [--classes 20] [--rendered 200]
"""

import argparse
import json
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import cv2

from ai_nano.core.project.workspace import Workspace
from ai_nano.demo.cards import CARDS
from ai_nano.demo.stage_scene import FPS, Scene

# As the recorder writes them.
QUALITY = 92
PER_TAKE = 50
PER_SCENE = 20
TAKE_S = 300.0


def rendered_frames(count: int) -> list[bytes]:
    """JPEGs of 1280x720, of all cards in turn."""
    names, frames = [*CARDS], []
    for number in range(-(-count // PER_SCENE)):
        scene = Scene(7, "record", number, names[number % len(names)])
        for frame in range(min(PER_SCENE, count - len(frames))):
            image = scene.frame(frame * FPS // 10)
            frames.append(bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]))
    return frames


def make(folder: Path, images: int = 5000, classes: int = 20, rendered: int = 200) -> Workspace:
    """As if each class had been recorded at 10 frames a second in takes of PER_TAKE; each image is a file of its own."""
    frames = rendered_frames(rendered)
    names = [f"class {number:02d}" for number in range(1, classes + 1)]
    # A project has two classes at least; the second one stays empty where one is asked for.
    workspace = Workspace.create(folder, names if classes > 1 else [*names, "nothing"])
    began, notes, written = time.time() - TAKE_S * (images // PER_TAKE + 1), [], 0
    for place, name in enumerate(names):
        count = images // classes + (place < images % classes)
        for number in range(count):
            if number % PER_TAKE == 0:
                began += TAKE_S
                take = datetime.fromtimestamp(began, timezone.utc).strftime("%Y%m%dT%H%M%S%f")[:-3]
            file, t = f"{take}-{number % PER_TAKE + 1:05d}.jpg", began + number % PER_TAKE / 10
            path = workspace.image_folder(name) / file
            path.write_bytes(frames[written % len(frames)])
            os.utime(path, (t, t))
            notes.append({"v": 1, "file": file, "class": name, "take": take, "t": t, "camera": "webcam:0", "width": 1280,
                          "height": 720})
            written += 1
    workspace.takes_file.write_text("".join(json.dumps(note, ensure_ascii=False) + "\n" for note in notes), encoding="utf-8")
    return workspace


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--rendered", type=int, default=200)
    options = parser.parse_args()
    start = time.perf_counter()
    workspace = make(options.folder, options.images, options.classes, options.rendered)
    size = sum(path.stat().st_size for path in (workspace.path / "images").rglob("*.jpg"))
    print(f"{options.images} images in {options.classes} classes, {size / 1e6:.0f} MB, in {time.perf_counter() - start:.1f} s: "
          f"{workspace.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
