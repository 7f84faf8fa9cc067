"""A window on a furnished project: two trained models with reports, in a room of doubles whose training goes on until told."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy
from rooms import opening, wait_until_closed

from ai_nano.core import bundle
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import JobEnd, MachineReport, MachineState
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.gui import app as gui_app
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.settings import Settings
from ai_nano.lab import build_workflow

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
from fakes import FakeLab, FakeMachine  # noqa: E402  (of the unit tests)

CLASSES = ("cat", "coffee", "rocket", "nothing")
TRAIN, EXPORT = "gpu_server/train.py", "gpu_server/export.py"
CHECKPOINTS = {"nano-ada-001": "1" * 64, "nano-ada-002": "2" * 64}


class DoubleLab(FakeLab):
    """What the window asks of a room besides."""

    def machine_reports(self) -> list[MachineReport]:
        return [MachineReport(machine.name, MachineState.CONNECTED) for machine in self.config.machines]

    def look_around(self) -> None:
        """Everybody is there."""

    def close(self) -> None:
        """Nothing is open."""

    def with_nanos(self, folder: Path, *names: str) -> dict[str, FakeMachine]:
        """Each Nano a machine of its own, with nothing that starts at boot."""
        nanos = {name: FakeMachine(name, folder / name) for name in names}
        for one in nanos.values():
            one.board_answers["autostart"] = {"model": None}
        self.nano = lambda name: nanos[name or names[0]]  # type: ignore[method-assign]
        self.config = replace(self.config, nanos=tuple(replace(self.nano_settings, name=name) for name in names))
        return nanos


def report(model: str, recipe: str, right: float, created: str, stages: Sequence[Mapping[str, Any]],
           exported: bool = True) -> dict[str, Any]:
    """report.json as doc/design/wire.md has it; `right`: the share of 48 test images that the model knows."""
    dice = random.Random(model)
    matrix = [[0] * len(CLASSES) for _ in CLASSES]
    samples = []
    for row, name in enumerate(CLASSES):
        for number in range(12):
            good = dice.random() < right
            column = row if good else dice.choice([one for one in range(len(CLASSES)) if one != row])
            matrix[row][column] += 1
            if not good or number < 2:
                samples.append({"file": f"test/{name}/{number:03d}.jpg", "class": name, "predicted": CLASSES[column],
                                "confidence": round(dice.uniform(0.5, 0.99), 3)})
    half = {"images": 32, "accuracy": 0.96875, "max_difference": 0.004, "agreement": 1.0}
    hits = sum(matrix[place][place] for place in range(len(CLASSES)))
    bins = [{"low": low / 10, "high": low / 10 + 0.1, "count": low * low, "confidence": low / 10 + 0.05,
             "accuracy": max(0.0, low / 10 + dice.uniform(-0.1, 0.1))} for low in range(10)]
    history = [{"epoch": epoch, "epochs": 30, "stage": "quick" if epoch < 6 else recipe, "train_loss": 1.4 / epoch,
                "train_accuracy": 1 - 0.5 / epoch, "val_loss": 1.5 / epoch + 0.1, "val_accuracy": 1 - 0.6 / epoch, "lr": 0.01,
                "images_per_s": 310.0} for epoch in range(1, 31)]
    return {
        "v": 1, "model": model, "recipe": recipe, "arch": "resnet18" if recipe == "classic" else "efficientnet_lite0",
        "classes": list(CLASSES), "images": {"train": 384, "val": 48, "test": 48}, "created": created,
        "stage": stages[-1]["stage"],
        "checkpoint_sha256": CHECKPOINTS.get(model, "3" * 64), "device": "CPU",
        "settings": {"epochs": None, "lr": None, "batch": None, "minutes": None, "seed": 0}, "stages": list(stages),
        "seconds": {"start": 2.1, "first_image": 4.4, "total": sum(stage["seconds"] for stage in stages)}, "history": history,
        "val_accuracy": 0.979, "test_accuracy": hits / 48,
        "interval": [max(0.0, hits / 48 - 0.11), min(1.0, hits / 48 + 0.04)],
        "calibration": {"temperature": 0.82, "before": {"ece": 0.081, "nll": 0.3, "bins": bins},
                        "after": {"ece": 0.034, "nll": 0.2, "bins": bins}},
        "size": {"parameters": 4_700_000, "bytes": 18_800_000}, "milliseconds": 9.4,
        "data": {"classes": {name: {"train": 96, "val": 12, "test": 12} for name in CLASSES}, "width": 1280, "height": 720},
        "export": {"created": created, "opset": 13, "bytes": 18_600_000, "images": 48, "max_difference": 2.1e-6,
                   "agreement": 1.0, "refused": [], "milliseconds": 5.2, "fp16": half} if exported else None,
        "confusion": matrix, "samples": samples,
        "per_class": {name: {"precision": round(dice.uniform(0.85, 1), 2), "recall": round(dice.uniform(0.85, 1), 2),
                             "images": 12} for name in CLASSES}}


def make_workspace(folder: Path) -> Workspace:
    """Steps 1 to 6 are done, twice; the second model is the newest."""
    workspace = Workspace.create(folder, list(CLASSES))
    for part in ("images", "train", "val", "test"):
        for place, name in enumerate(CLASSES):
            for number in range(12):
                path = workspace.path / part / name / f"{number:03d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = numpy.full((180, 320, 3), (60 + 50 * place, 200 - 12 * number, 90 + 10 * number), numpy.uint8)
                cv2.circle(picture, (40 + 20 * number, 90), 30 + 5 * place, (240, 240, 240), -1)
                cv2.imwrite(str(path), picture)
    workspace.write_labels()
    quick = {"stage": "quick", "seconds": 4.6, "epochs": 5, "val_accuracy": 0.93, "val_loss": 0.3, "taken": True}
    fine = {"stage": "fine", "seconds": 71.0, "epochs": 25, "val_accuracy": 0.979, "val_loss": 0.1, "taken": True}
    put_model(workspace, report("nano-ada-001", "quick", 0.9, "2026-11-21T09:15:00Z", [quick]))
    put_model(workspace, report("nano-ada-002", "fine", 0.95, "2026-11-21T10:02:00Z", [quick, fine]))
    images, split, onnx = workspace.images_fingerprint(), workspace.split_fingerprint(), hash_of(workspace, "nano-ada-002")
    receipts: dict[str, tuple[str, dict[str, Any]]] = {
        "split": (images, {"train": 384, "val": 48, "test": 48, "seed": 0, "strategy": "blocks"}),
        "upload": (split, {"model": "nano-ada-001", "files": 145, "sent": 145}),
        "train": (split, {"model": "nano-ada-002", "recipe": "fine", "arch": "efficientnet_lite0", "val_accuracy": 0.979,
                          "test_accuracy": 0.958, "seconds": 75.6, "checkpoint_sha256": CHECKPOINTS["nano-ada-002"]}),
        "export": (CHECKPOINTS["nano-ada-002"], {
            "model": "nano-ada-002", "classes": list(CLASSES), "agreement": 1.0, "max_difference": 2e-6, "opset": 13,
            "ir_version": 7, "bytes": 18_600_000, "sha256": onnx, "fp16_accuracy": 0.96875, "fp16_agreement": 1.0}),
        "deploy": (onnx, {"model": "nano-ada-002", "nanos": ["nano1"], "where": {"nano1": "nano-ada-002"},
                          "engines": {"nano1": {"reused": False, "seconds": 131.5, "file": "model.onnx.engine"}}})}
    with workspace.writing():
        for step, (inputs, facts) in receipts.items():
            workspace.note(Receipt(step, "done", inputs, facts=facts))
    return workspace


def put_model(workspace: Workspace, told: Mapping[str, Any], onnx: bool = True) -> None:
    folder = workspace.model_folder(str(told["model"]))
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(told))
    if onnx:
        (folder / "model.onnx").write_bytes(str(told["model"]).encode())
        (folder / "labels.txt").write_text("\n".join(CLASSES))
        (folder / "bundle.json").write_text(json.dumps({
            "v": 1, "model": told["model"], "classes": list(CLASSES),
            "sha256": {name: bundle.sha256(folder / name) for name in ("model.onnx", "labels.txt")}}))


def hash_of(workspace: Workspace, model: str) -> str:
    return bundle.sha256(workspace.model_folder(model) / "model.onnx")


def training_events(best: bool = True) -> list[dict[str, Any]]:
    """A `fine` that is in the midst of its second stage."""
    events: list[dict[str, Any]] = [
        {"type": "progress", "what": "train.features", "done": 300, "total": 480, "unit": "images", "eta_s": 64.0}]
    for epoch in range(1, 19):
        stage = "quick" if epoch < 7 else "blocks"
        events.append({"type": "metric", "epoch": epoch, "epochs": 40, "train_loss": 1.3 / epoch ** 0.8,
                       "train_accuracy": 1 - 0.5 / epoch, "val_loss": 1.4 / epoch ** 0.7 + 0.05,
                       "val_accuracy": 1 - 0.6 / epoch, "lr": 0.003, "images_per_s": 312.0, "stage": stage})
    if best:
        events.append({"type": "best", "stage": "quick", "epoch": 6, "val_accuracy": 0.979, "val_loss": 0.1,
                       "test_accuracy": 0.958, "seconds": 5.1, "checkpoint_sha256": "4" * 64})
    return events


@contextmanager
def furnished_window(folder: Path, size: tuple[int, int] = (1280, 800), theme: str = "light",
                     language: str = "en") -> Iterator[tuple[MainWindow, DoubleLab]]:
    """The project is open; trainings of its room last until `lab.server.hold` is set or they are told to stop."""
    lab = DoubleLab(folder / "room")
    nanos = (lab.nano_settings, replace(lab.nano_settings, name="nano2"))
    lab.config = replace(lab.config, nanos=nanos)
    lab.server.hold, lab.server.events[TRAIN] = threading.Event(), training_events()
    lab.server.ends[TRAIN] = JobEnd("done", {"model": "m", "recipe": "fine", "stage": "quick", "checkpoint_sha256": "4" * 64,
                                             "val_accuracy": 0.979, "test_accuracy": 0.958, "seconds": 31.0})

    def download(source: PurePosixPath, target: Path, _cancel: object) -> None:
        stage = {"stage": "quick", "seconds": 5.1, "epochs": 6, "val_accuracy": 0.979, "val_loss": 0.1, "taken": True}
        told = report(source.parent.name, "fine", 0.9, "2026-11-21T10:30:00Z", [stage], exported=False)
        target.write_text(json.dumps(told))

    lab.server.download = download  # type: ignore[method-assign]
    workspace = make_workspace(folder / "project")
    (lab.server.root / "models" / "nano-ada-001").mkdir(parents=True)
    with window_on(workspace, lab, folder, size, theme, language) as made:
        made.show_page("train")
        try:
            yield made, lab
        finally:
            lab.server.hold.set()


@contextmanager
def window_on(workspace: Workspace, lab: DoubleLab, folder: Path, size: tuple[int, int] = (1280, 800), theme: str = "light",
              language: str = "en") -> Iterator[MainWindow]:
    """The window with this project open in this room; `folder` is for the student's own files."""
    told = opening(folder)
    settings = Settings(told.user_folder)
    settings.theme, settings.language = theme, language
    gui_app.make_application(settings, told.cache)
    lanes = Lanes()
    made = MainWindow(told, settings)
    made._arrived = True  # it is not to look for a room of its own
    made.session.lab = lab  # type: ignore[assignment]
    made.session.workflow = build_workflow(workspace, lab, lanes)  # type: ignore[arg-type]
    made.session.statuses = {one.step: one for one in made.session.workflow.status()}
    made.resize(*size)
    made.move(0, 0)
    made.show()
    try:
        yield made
    finally:
        made.leave()
        wait_until_closed(made)
        lanes.close()


