"""Looking on at a run that somebody else may have started: nothing is sent to it, and nobody keeps it alive by looking."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_nano.core.cancel import CancelToken, OnlookersToken
from ai_nano.core.errors import MachineError
from ai_nano.core.ports import JobEnd, Picture
from ai_nano.machines import frames
from ai_nano.machines.job import Job, Runner

# A run of an hour has said a hundred thousand results. The last of them tell what is going on: a second or so of results, and
# the board's health; of a camera that is lost, the last minute.
LAST_BYTES = 16384


class Onlooker:
    """Of core/ports.py. It cannot end the run, and has no word for it."""

    def __init__(self, runner: Runner, run_id: str) -> None:
        self.id = run_id
        self._runner = runner

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], cancel: CancelToken) -> JobEnd:
        return _Looking(self._runner, self.id).follow(on_event, _ignore, OnlookersToken(cancel))

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken) -> None:
        frames.watch(self._runner, self.id, on_picture, cancel, adaptive=False)


class _Looking(Job):
    renews_lease = False

    def __init__(self, runner: Runner, run_id: str) -> None:
        super().__init__(runner, run_id)
        self._events_at, self._log_at = f"end-{LAST_BYTES}", "end"

    def _lost(self, error: MachineError, cancel: CancelToken) -> None:
        """Who looks on asks again what runs there, once the machine is back."""
        raise error


def _ignore(text: str) -> None:
    """A program's own output is for its owner."""
