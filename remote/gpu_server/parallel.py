"""Work on many images side by side: OpenCV, PyTorch and ONNX Runtime all compute without Python's lock.

Threads with a whole image each share nothing, while threads inside a layer of a small network mostly wait for one another.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Sequence, TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")

# More of them need memory, and one reads no faster from a shared disk.
MOST_THREADS = 16


def cores() -> int:
    """How many cores this process may use; a shared server or a container often grants fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    work: Callable[[Item], Made], items: Sequence[Item], tick: Callable[[int], None] = lambda done: None
) -> List[Made]:
    """work(item) of each item, in their order; `tick` hears how many are done, in the calling thread.

    What `work` or `tick` raises ends it, as a stop does: no item is begun after that.
    """
    made: List[Made] = []
    # A new thread does not have the number of torch's own threads that the first one was given.
    with ThreadPoolExecutor(min(cores(), MOST_THREADS), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                made.append(future.result())
                tick(len(made))
        finally:
            for future in futures:
                future.cancel()
    return made
