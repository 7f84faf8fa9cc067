"""A dataset of real photographs for the GPU server's programs, and ways to run those programs as themselves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import skimage
import torch

REMOTE = Path(__file__).resolve().parents[2] / "remote"
NURSERY = Path(__file__).with_name("nursery.py")
sys.path.insert(0, str(REMOTE))

torch.set_num_threads(1)  # threads that wait for one another slow the tests down wherever something else runs

PHOTOGRAPHS = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
BACKGROUNDS = ("motorcycle_left.png", "astronaut.png", "gravel.png", "brick.png", "hubble_deep_field.jpg", "coins.png")
CLASSES = ["cat", "coffee", "rocket"]


class Ended(NamedTuple):
    """A program that has ended: its exit code, the events it wrote and what it printed."""

    code: int
    events: list[dict[str, Any]]
    output: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        assert self.code == 0, (self.output, self.events[-3:])
        assert self.events[-1]["type"] == "result"
        return self.events[-1]

    @property
    def error(self) -> tuple[str, dict[str, Any]]:
        assert self.code == 1, (self.output, self.events[-3:])
        assert self.events[-1]["type"] == "error"
        assert "Traceback" not in self.output
        return self.events[-1]["code"], self.events[-1]["params"]


def photograph(name: str) -> np.ndarray:
    """One of the photographs in scikit-image's wheel, as BGR."""
    image = cv2.imread(str(Path(skimage.__file__).parent / "data" / name), cv2.IMREAD_COLOR)
    assert image is not None, name
    return image


def scene(name: str | None, random: np.random.Generator, width: int = 640, height: int = 360) -> np.ndarray:
    """A class's photograph held before a background with random place, size, turn and light; None shows no card."""
    background = photograph(BACKGROUNDS[int(random.integers(len(BACKGROUNDS)))])
    part = random.uniform(0.5, 0.9)
    rows, columns = int(background.shape[0] * part), int(background.shape[1] * part)
    top = int(random.integers(background.shape[0] - rows))
    left = int(random.integers(background.shape[1] - columns))
    frame = cv2.resize(background[top:top + rows, left:left + columns], (width, height))
    if name is not None:
        card = photograph(PHOTOGRAPHS[name])
        size = height * random.uniform(0.6, 0.95) / card.shape[0]
        centre = (width * random.uniform(0.35, 0.65), height * random.uniform(0.4, 0.6))
        turn = cv2.getRotationMatrix2D((card.shape[1] / 2, card.shape[0] / 2), random.uniform(-25, 25), size)
        turn[:, 2] += np.array(centre) - (card.shape[1] / 2, card.shape[0] / 2)
        mask = cv2.warpAffine(np.full(card.shape[:2], 255, np.uint8), turn, (width, height))
        placed = cv2.warpAffine(card, turn, (width, height), flags=cv2.INTER_AREA)
        frame[mask > 127] = placed[mask > 127]
    noise = random.normal(0, 4, frame.shape)
    return np.clip(frame * random.uniform(0.6, 1.25) + noise, 0, 255).astype(np.uint8)


def make_dataset(folder: Path, classes: list[str], counts: dict[str, int], seed: int = 0, width: int = 640,
                 height: int = 360) -> None:
    """labels.txt and `counts[split]` JPEG images a class; a class that is no photograph shows the background alone."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "labels.txt").write_text("\n".join(classes), encoding="utf-8")
    for split, count in counts.items():
        for name in sorted(classes):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                frame = scene(name if name in PHOTOGRAPHS else None, random, width, height)
                assert cv2.imwrite(str(folder / split / name / f"{name}-{number:03}.jpg"), frame)


def run_folder(root: Path, program: str, **params: Any) -> Path:
    """A new run's folder with its spec.json, as runner.py makes it."""
    runs = root / ".ai_nano" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{len(list(runs.iterdir())):03}-{program}"
    path.mkdir()
    spec = {"v": 1, "id": path.name, "program": f"gpu_server/{program}.py", "params": params, "lease_s": None,
            "root": str(root)}
    (path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    return path


def command(program: str, run: Path) -> list[str]:
    return [sys.executable, str(REMOTE / "gpu_server" / f"{program}.py"), "--run", str(run)]


def read_events(run: Path) -> list[dict[str, Any]]:
    path = run / "events.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


_nurseries: list["subprocess.Popen[str]"] = []


def run_program(root: Path, program: str, **params: Any) -> Ended:
    """Runs train or export to its end, in a process of its own: a copy of one that has loaded PyTorch (nursery.py)."""
    run = run_folder(root, program, **params)
    output = run / "output.log"
    if not _nurseries:
        _nurseries.append(subprocess.Popen([sys.executable, str(NURSERY), str(REMOTE)], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True, env=_without_token()))
    nursery = _nurseries[0]
    assert nursery.stdin is not None and nursery.stdout is not None
    asked = {"program": f"gpu_server/{program}.py", "run": str(run), "output": str(output), "environment": dict(os.environ)}
    nursery.stdin.write(json.dumps(asked) + "\n")
    nursery.stdin.flush()
    code = nursery.stdout.readline()
    assert code, "the nursery has ended"
    return Ended(int(code), read_events(run), output.read_text("utf-8", "replace"))


def _without_token() -> dict[str, str]:
    """It outlives the test that needs it first."""
    return {name: value for name, value in os.environ.items() if name != "AI_NANO_TEST"}


_trained: list[tuple[Path, Ended]] = []


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A ROOT with the model `photos`, trained and untouched since; and how its training went. Once for all modules."""
    if not _trained:
        root = tmp_path_factory.mktemp("server")
        make_dataset(root / "models" / "photos", CLASSES, {"train": 8, "val": 3, "test": 6})
        _trained.append((root, run_program(root, "train", model="photos", recipe="quick", seed=7)))
    return _trained[0]


def copy_of(root: Path, destination: Path) -> Path:
    """A ROOT of one's own with the same models; returns the folder of `photos` in it."""
    shutil.copytree(root / "models", destination / "models")
    return destination / "models" / "photos"
