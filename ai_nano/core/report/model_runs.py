"""The runs of a workspace: its models that have a report.json, with what is compared of them."""

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ai_nano.core import bundle, names, report
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import percent
from ai_nano.core.project import trained
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.report import Report
from ai_nano.core.workflow import where_deployed


@dataclass(frozen=True)
class ModelRun:
    """`model` is the name of its folder; `at` the unix time of the model. `exported`: it can be deployed. `nanos`: those
    that got it last. `so_far`: its training has not ended, or not well."""

    model: str
    at: float
    report: Report
    exported: bool
    nanos: tuple[str, ...]
    so_far: bool

    @property
    def ece(self) -> float | None:
        """By how much its confidence is off, on average."""
        return self.report.calibration.after.ece if self.report.calibration is not None else None

    def to_json(self) -> dict[str, Any]:
        told = self.report
        return {"model": self.model, "recipe": told.recipe, "arch": told.arch, "stage": told.stage, "created": self.at,
                "images": dict(told.images), "val_accuracy": told.val_accuracy, "test_accuracy": told.test_accuracy,
                "interval": told.interval, "ece": self.ece, "seconds": told.total_s, "milliseconds": told.milliseconds,
                "bytes": told.bytes, "seed": told.settings.get("seed"), "exported": self.exported, "nanos": list(self.nanos),
                "so_far": self.so_far}


def runs(workspace: Workspace) -> list[ModelRun]:
    """Newest first. A model whose report cannot be read is passed over."""
    folder = workspace.path / "models"
    where, newest = where_deployed(workspace), trained.newest(workspace)
    found = []
    for one in folder.iterdir() if folder.is_dir() else ():
        if not (names.is_model_name(one.name) and (one / bundle.REPORT_JSON).is_file()):
            continue
        nanos = tuple(nano for nano, model in where.items() if model == one.name)
        so_far = newest is not None and newest.so_far and newest.model == one.name
        try:
            told = report.load(one)
            found.append(ModelRun(one.name, _time(told, one), told, bundle.is_there(one), nanos, so_far))
        except (AiNanoError, OSError):
            continue
    return sorted(found, key=lambda run: (run.at, run.model), reverse=True)


def with_interval(told: Report) -> str:
    """The test accuracy with its 95 %, for example `95.8 % (86 % – 99 %)`."""
    between = f" ({percent(told.interval[0], 0)} – {percent(told.interval[1], 0)})" if told.interval else ""
    return percent(told.test_accuracy) + between


def _time(told: Report, folder: Path) -> float:
    """By the server's clock, where it says so; else the file's."""
    try:
        at = datetime.strptime(told.created or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return (folder / bundle.REPORT_JSON).stat().st_mtime
    return at.timestamp()
