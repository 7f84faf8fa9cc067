"""Image files read by several threads, ahead of what computes with them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Generator, Iterable, List, TypeVar

import torch

from gpu_server.parallel import MOST_THREADS, cores
from shared.wire import Run

_NAMED_BAD_IMAGES = 20
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Generator[_Result, None, None]:
    """function(item) for each item, in order, computed by a thread for each core up to three items a thread ahead.

    Close the iterator to stop early; what runs then is waited for, so an item should take well under a second.
    """
    waiting: Deque[Future[Any]] = deque()
    threads = min(cores(), MOST_THREADS)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 3 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def name_bad(run: Run, files: List[str]) -> None:
    """Warns of images that cannot be read, the first ones by name."""
    for file in files[:_NAMED_BAD_IMAGES]:
        run.log("train.bad_image", level="warning", file=file)
    if len(files) > _NAMED_BAD_IMAGES:
        run.log("train.more_bad_images", level="warning", count=len(files) - _NAMED_BAD_IMAGES)
