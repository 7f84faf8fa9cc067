"""The runs of a workspace: its models that have a report.json, with what is compared of them."""

from dataclasses import dataclass
from typing import Any

from ai_nano.core import bundle, names, report_figures, trained
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import percent
from ai_nano.core.report_figures import Figures
from ai_nano.core.workflow import where_deployed
from ai_nano.core.workspace import Workspace


@dataclass(frozen=True)
class ModelRun:
    """`exported`: it can be deployed. `nanos`: those that got it last. `so_far`: its training has not ended, or not well."""

    figures: Figures
    exported: bool
    nanos: tuple[str, ...]
    so_far: bool

    def to_json(self) -> dict[str, Any]:
        told = self.figures
        return {"model": told.model, "recipe": told.recipe, "arch": told.arch, "stage": told.stage, "created": told.created,
                "images": dict(told.images), "val_accuracy": told.val_accuracy, "test_accuracy": told.test_accuracy,
                "interval": told.interval, "ece": told.calibration.after if told.calibration is not None else None,
                "seconds": told.seconds, "milliseconds": told.milliseconds, "bytes": told.bytes, "seed": told.seed,
                "exported": self.exported, "nanos": list(self.nanos), "so_far": self.so_far}


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
            found.append(ModelRun(report_figures.load(one), bundle.is_there(one), nanos, so_far))
        except (AiNanoError, OSError):
            continue
    return sorted(found, key=lambda run: (run.figures.created, run.figures.model), reverse=True)


def with_interval(told: Figures) -> str:
    """The test accuracy with its 95 %, for example `95.8 % (86 % – 99 %)`."""
    between = f" ({percent(told.interval[0], 0)} – {percent(told.interval[1], 0)})" if told.interval else ""
    return percent(told.test_accuracy) + between
