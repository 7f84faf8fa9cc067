"""The trained model of a workspace: what export takes, whether the training has ended or has a best model so far."""

import os
from dataclasses import dataclass
from typing import Any

from ai_nano.core import names
from ai_nano.core.events import Best
from ai_nano.core.project.workspace import Receipt, Workspace

# The key of what a training under way notes of its best model so far.
BEST = "best"
# The key of what an upload notes once the server has said that its images are no longer there.
GONE = "gone"


@dataclass(frozen=True)
class Trained:
    """`facts` are for sentences; `so_far`: its training has not ended, or not well. `checkpoint` "" where it was not told."""

    model: str
    checkpoint: str
    facts: dict[str, Any]
    so_far: bool = False


def newest(workspace: Workspace) -> Trained | None:
    """The best model of the training under way (or of one that was cancelled, lost or has failed), else of the last one
    that is done."""
    attempt, done = workspace.attempts.get("train"), workspace.done("train")
    best = best_of(attempt)
    if best is not None:
        return Trained(str(best["model"]), str(best["checkpoint_sha256"]), best, so_far=True)
    if done is None:
        return None
    return Trained(str(done.facts["model"]), str(done.facts.get("checkpoint_sha256") or ""), done.facts)


def best_of(attempt: Receipt | None) -> dict[str, Any] | None:
    """What the attempt has noted of its best model; None where it has none."""
    noted = attempt.facts.get(BEST) if attempt is not None else None
    return noted if isinstance(noted, dict) and {"model", "checkpoint_sha256"} <= set(noted) else None


def is_gone(upload: Receipt) -> bool:
    """Whether what was uploaded is known to be there no longer."""
    return upload.facts.get(GONE) is True


def highest_number(workspace: Workspace, stem: str) -> int:
    """Of the models of that stem that the workspace has, or has noted; 0 without one. A machine that was cleaned begins its
    numbers again, and what lies here under one of them would be written over."""
    folder = workspace.path / "models"
    models = os.listdir(folder) if folder.is_dir() else []
    for one in (*workspace.receipts.values(), *workspace.attempts.values()):
        models += [str(facts["model"]) for facts in (one.facts, one.facts.get(BEST))
                  if isinstance(facts, dict) and "model" in facts]
    return names.highest_number(stem, models)


def noted(model: str, event: Best) -> dict[str, Any]:
    """What an attempt notes of it."""
    return {"model": model, "checkpoint_sha256": event.checkpoint_sha256, "stage": event.stage,
            "val_accuracy": event.val_accuracy, "test_accuracy": event.test_accuracy}
