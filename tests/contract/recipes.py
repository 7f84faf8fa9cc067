"""Trainings in this process, on few and small images, with small networks: a recipe from beginning to end in a second."""

import json
import time
from pathlib import Path
from typing import Any

import server_data
import torch

from gpu_server import networks, recipe_classic, recipe_fine, recipe_quick, resume, settings
from gpu_server.training import Training
from shared.wire import Run

RECIPES = {"quick": recipe_quick.train, "fine": recipe_fine.train, "classic": recipe_classic.train}
FINE = {"recipe": "fine", "epochs": 4, "batch": 4}
CLASSIC = {"recipe": "classic", "arch": "squeezenet1_1", "epochs": 3, "batch": 4, "lr": 0.003}
SMALL = 64  # pixels; every network here takes any size


class Killed(BaseException):
    """Ends a training as KILL does: nothing in the programs expects it."""


class Trained:
    """A training that is over, or was killed; the model's folder stays as it left it."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder = folder
        self.events = server_data.read_events(run)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def logs(self) -> list[str]:
        return [event["code"] for event in self.of("log")]

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return report

    @property
    def checkpoint(self) -> bytes:
        return (self.folder / "checkpoint.pth").read_bytes()


def small_networks(monkeypatch: Any, cuts: int = 2) -> None:
    """For this test the networks take images of 64 pixels, and Lite0's has `cuts` cuts."""
    small = {name: known._replace(resolution=SMALL) for name, known in networks.ARCHITECTURES.items()}
    small["efficientnet_lite0"] = small["efficientnet_lite0"]._replace(cuts=small["efficientnet_lite0"].cuts[:cuts])
    monkeypatch.setattr(networks, "ARCHITECTURES", small)
    monkeypatch.setattr(recipe_classic, "cores", lambda: 1)  # torch's own threads crawl where several tests run


def small_server(monkeypatch: Any, root: Path) -> None:
    """Small networks, no weights but those of the package, and the model `photos` below `root`."""
    small_networks(monkeypatch)
    monkeypatch.setenv("TORCH_HOME", str(root / "torch"))
    model(root)


def model(root: Path) -> Path:
    """The folder of the model `photos` with a few images of two classes."""
    folder = root / "models" / "photos"
    server_data.make_dataset(folder, ["cat", "coffee"], {"train": 5, "val": 2, "test": 2}, width=160, height=90)
    return folder


def train(root: Path, stop: bool = False, **params: Any) -> Trained:
    """A training of `photos`; what it raises comes through. `stop`: it is told to stop before it begins."""
    path = server_data.run_folder(root, "train", model="photos", **params)
    if stop:
        (path / "commands.jsonl").write_text('{"v":1,"type":"stop"}\n')
    run = Run(str(path))
    threads = torch.get_num_threads()
    try:
        training = Training(run, settings.read(run.params), time.monotonic())
        RECIPES[training.settings.recipe](training)
        training.finish()
        resume.remove(training.folder)
    finally:
        torch.set_num_threads(threads)
    return Trained(root / "models" / "photos", path)


def last(root: Path) -> Trained:
    """The training that was begun last, however it ended."""
    return Trained(root / "models" / "photos", sorted((root / ".ai_nano" / "runs").iterdir())[-1])
