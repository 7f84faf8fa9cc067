"""A room of doubles with a workspace in it, for the tests of steps and workflow."""

import json
from pathlib import Path
from typing import Any

from fakes import FakeLab

from ai_nano.core.events import Event
from ai_nano.core.files import sha256
from ai_nano.core.lanes import Lanes
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.running import Status
from ai_nano.core.workflow import Workflow
from ai_nano.lab import steps

JPEG = b"\xff\xd8\xff\xe0 not a whole image, but one by its first and last bytes \xff\xd9"


class Room:
    """A workspace with images, a room of doubles and the workflow over both."""

    def __init__(self, folder: Path, lanes: Lanes) -> None:
        self.workspace = Workspace.create(folder / "w", ["cat", "dog"])
        self.lab = FakeLab(folder)
        self.workflow = Workflow(self.workspace, self.lab, steps(), lanes)
        self.events: list[Event] = []

    def add_images(self, name: str, count: int, prefix: str = "") -> None:
        for number in range(count):
            (self.workspace.image_folder(name) / f"{prefix}{number:03d}.jpg").write_bytes(JPEG + bytes([number]))

    def do(self, step: str, options: object) -> dict[str, Any]:
        return self.workflow.start(step, options, self.events.append).result(20).facts

    def statuses(self) -> dict[str, Status]:
        return {one.step: one.status for one in self.workflow.status()}

    def make_report(self, model: str) -> None:
        """What training leaves on the server."""
        (self.lab.server.root / "models" / model / "report.json").write_text(json.dumps({
            "v": 1, "model": model, "recipe": "quick", "arch": "a", "classes": ["cat", "dog"], "seconds": {"total": 1.0},
            "images": {"train": 1, "val": 1, "test": 1}, "history": [], "val_accuracy": 1.0, "test_accuracy": None,
            "confusion": [[1, 0], [0, 1]], "per_class": {}, "samples": []}))

    def make_bundle(self, model: str, onnx: bytes = b"onnx") -> None:
        """What export leaves on the server."""
        folder = self.lab.server.root / "models" / model
        (folder / "model.onnx").write_bytes(onnx)
        (folder / "labels.txt").write_text("cat\ndog")
        (folder / "bundle.json").write_text(json.dumps({
            "v": 1, "model": model, "classes": ["cat", "dog"],
            "sha256": {name: sha256(folder / name) for name in ("model.onnx", "labels.txt")}}))
        self.make_report(model)
