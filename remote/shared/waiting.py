"""What who follows or lists a run hears of its waiting for a GPU, whichever scheduler it waits in."""

from typing import Any, Dict, Optional

from shared import cluster, gpus
from shared.runs import RunFolder

# Between two looks at the queue: seldom when far back.
LOOK_S = 0.5
LOOK_MOST_S = 5.0
# What has not changed is told so often.
TELL_S = 5.0
# A cluster may put a job that ran back into its queue.
AGAIN_S = 10.0
# What makes a difference for who waits; the estimate moves all the time.
CHANGES = ("state", "place", "of", "reason", "node", "error")


def place(folder: RunFolder) -> Optional[Dict[str, Any]]:
    """The fields of the message `queue` for a run that waits for a GPU; None for every other."""
    spec = folder.spec() or {}
    if not isinstance(spec.get("schedule"), dict):
        return None
    if folder.clustered:
        told = cluster.Watch(folder).look()
        return told if told["state"] == "waiting" else None
    return gpus.Watch(folder.root, folder.id, spec).look() if folder.waiting.exists() else None


class Waiting:
    """For who follows a run."""

    def __init__(self, folder: RunFolder) -> None:
        spec = folder.spec() or {}
        self._folder = folder
        self._scheduled = isinstance(spec.get("schedule"), dict)
        self._cluster = cluster.Watch(folder) if folder.clustered else None
        self._gpus = gpus.Watch(folder.root, folder.id, spec) if self._scheduled and self._cluster is None else None
        self._told: Optional[Dict[str, Any]] = None
        self._told_at = self._look_at = 0.0

    def news(self, now: float) -> Optional[Dict[str, Any]]:
        """What is to be told now, if anything is. May be asked often."""
        if not self._scheduled or now < self._look_at:
            return None
        told = self._look()
        self._look_at = now + self._pause_s(told)
        if told is None:
            return None
        changed = self._told is None or any(told[key] != self._told[key] for key in CHANGES)
        if not changed and (told["state"] != "waiting" or now - self._told_at < TELL_S):
            return None
        self._told, self._told_at = told, now
        return told

    def _look(self) -> Optional[Dict[str, Any]]:
        if self._cluster is not None:
            return self._cluster.look()
        assert self._gpus is not None
        told = self._gpus.look() if self._folder.waiting.exists() else None
        if told is None and self._told is not None:
            told = dict(self._told, state="running", place=None, of=None, start_s=None, ahead=[])
        return told

    def _pause_s(self, told: Optional[Dict[str, Any]]) -> float:
        if told is not None and told["state"] == "waiting":
            return min(LOOK_MOST_S, LOOK_S * (told["place"] or 1))
        return LOOK_S if told is None else AGAIN_S
