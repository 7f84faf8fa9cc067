"""What runs on the machines of a room, whoever started it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ai_nano.core import wire
from ai_nano.core.errors import AiNanoError
from ai_nano.core.ports import Lab, Machine

Run = dict[str, Any]


def machines(lab: Lab) -> list[Machine]:
    """The server and the Nanos that are filled in. ConfigError for one that this version cannot work with."""
    return [lab.server, *(lab.nano(nano.name) for nano in lab.config.filled_nanos)]


def ask(machine: Machine) -> list[Run] | AiNanoError:
    """The runs of a machine, oldest first, each with `machine` and the `step` that it belongs to; or why nobody can say."""
    try:
        return [{"machine": machine.name, "step": wire.step_of(run), **run} for run in machine.jobs()]
    except AiNanoError as error:
        return error


def ask_all(asked: Sequence[Machine]) -> list[list[Run] | AiNanoError]:
    """`ask` of all machines side by side: one that is off would hold the others up."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(ask, asked))
