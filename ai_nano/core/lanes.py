"""A lane per machine (and one for local work): short operations that change something there, in order."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Lanes:
    """Lanes by name, made when first used. In order within a lane, side by side across lanes."""

    def __init__(self) -> None:
        self._lanes: dict[str, ThreadPoolExecutor] = {}

    def submit(self, lane: str, work: Callable[[], Any]) -> Future[Any]:
        if lane not in self._lanes:
            self._lanes[lane] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"lane-{lane}")
        return self._lanes[lane].submit(work)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.shutdown(wait=True, cancel_futures=True)
