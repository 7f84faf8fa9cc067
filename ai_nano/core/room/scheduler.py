"""How the server shares its GPUs among trainings: what config.json says of it, and what of that goes with a training."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ai_nano.core.errors import ConfigError

if TYPE_CHECKING:
    from ai_nano.core.room.config import ServerConfig

SCHEDULERS = ("auto", "direct", "slurm")
MOST_GPUS = 64
MOST_CPUS = 1024


class Place(Protocol):
    """Where a value stands in config.json."""

    def wrong(self, expected: str) -> ConfigError: ...


Reader = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class SlurmConfig:
    """What sbatch is asked for; None: as the cluster has it. `gres` None: a GPU where the cluster has them; `none`: none."""

    partition: str | None = None
    gres: str | None = None
    time: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: int | None = None
    memory: str | None = None
    constraint: str | None = None
    reservation: str | None = None


def _like(pattern: str, example: str) -> Reader:
    form = re.compile(pattern)

    def read(place: Place, value: Any) -> str | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise place.wrong(example)
        return value
    return read


def whole(most: int) -> Reader:
    """A number from 1 on; None: the default."""

    def read(place: Place, value: Any) -> int | None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
            raise place.wrong(f"1 … {most}")
        return value
    return read


def folder(place: Place, value: Any) -> str | None:
    """An absolute path on the server."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or ".." in value.split("/"):
        raise place.wrong('"/..."')
    return value


_NAME = r"[\w.@+][\w.@+-]*"
_TIME = r"\d+(:\d{1,2}){0,2}|\d+-\d{1,2}(:\d{1,2}){0,2}"

# JSON key -> (field, reader)
SLURM_SCHEMA: Mapping[str, tuple[str, Reader]] = {
    "partition": ("partition", _like(rf"{_NAME}(,{_NAME})*", '"gpu"')),
    "gres": ("gres", _like(r"none|\w+(:[\w.-]+)*(,\w+(:[\w.-]+)*)*", '"gpu:1" | "gpu:a100:1" | "none"')),
    "time": ("time", _like(_TIME, '"30" | "1:30:00" | "1-00:00:00"')),
    "account": ("account", _like(_NAME, '"..."')), "qos": ("qos", _like(_NAME, '"..."')),
    "cpus": ("cpus", whole(MOST_CPUS)), "memory": ("memory", _like(r"\d+[KMGT]?", '"8G"')),
    "constraint": ("constraint", _like(r"[\w.@+][\w.@+|&*()\[\],-]*", '"..."')),
    "reservation": ("reservation", _like(_NAME, '"..."')),
}


def schedule(server: "ServerConfig", project: str) -> dict[str, Any]:
    """What goes with a training, as doc/design/wire.md has it."""
    slurm = {key: value for key, value in asdict(server.slurm).items() if value is not None}
    return {"scheduler": server.scheduler, "gpus": server.gpus, "queue": server.queue, "slurm": slurm, "project": project}
