"""What the instructor's page and `ai-nano room` show, made of what the machines say: no window, no terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import in_minutes
from ai_nano.core.overview.sight import Sight, Work
from ai_nano.core.texts import t

# Of a day in which everything fails.
MOST_FAILED = 40


@dataclass(frozen=True)
class Nano:
    """Whose it is. `works` None: nobody knows, for the reason of `error` if it has answered at all."""

    name: str
    works: tuple[Work, ...] | None
    error: AiNanoError | None = None

    @property
    def holder(self) -> Work | None:
        """Who has its camera and LEDs now."""
        return next((work for work in self.works or () if not work.waiting), None)

    @property
    def queue(self) -> tuple[Work, ...]:
        """Those who wait for it, the next one first."""
        return tuple(in_order(work for work in self.works or () if work.waiting))

    @property
    def state(self) -> str:
        """As machine.state.… of the catalogue has it."""
        return "connecting" if self.works is None and self.error is None else "absent" if self.error else "connected"

    @property
    def use(self) -> str:
        """For example `ada@lab3: Inference, ada-mugs-002, for 2 min`."""
        if self.error is not None:
            return self.error.what
        if self.works is None:
            return t("room.asking")
        holder = self.holder
        return t("room.free") if holder is None else doing(holder)

    @property
    def waiting(self) -> str:
        return t("room.queue", count=len(self.queue), who=self.queue[0].who) if self.queue else ""

    def to_json(self) -> dict[str, Any]:
        return {"nano": self.name, "state": self.state, "error": self.error.to_json() if self.error else None,
                "holder": self.holder.to_json() if self.holder else None, "queue": [one.to_json() for one in self.queue]}


@dataclass(frozen=True)
class Room:
    """`working` and `waiting` are of the server, `failed` of all machines, the newest first."""

    sights: tuple[Sight, ...]
    working: tuple[Work, ...]
    waiting: tuple[Work, ...]
    nanos: tuple[Nano, ...]
    failed: tuple[Work, ...]

    @property
    def asked(self) -> bool:
        """Whether every machine has answered, or said why not."""
        return all(one.works is not None or one.error is not None for one in self.sights)

    @property
    def troubles(self) -> list[Sight]:
        return [one for one in self.sights if one.error is not None]

    def to_json(self) -> dict[str, Any]:
        machines = [{"machine": one.name, "state": "absent" if one.error else "connected",
                     "error": one.error.to_json() if one.error else None} for one in self.sights]
        return {"machines": machines, "working": [one.to_json() for one in self.working],
                "waiting": [one.to_json() for one in self.waiting], "nanos": [one.to_json() for one in self.nanos],
                "failed": [one.to_json() for one in self.failed]}


def make(sights: Sequence[Sight]) -> Room:
    running = [work for one in sights if one.is_server for work in one.works or () if work.state == "running"]
    ended = [work for one in sights for work in one.works or () if work.state != "running"]
    nanos = [Nano(one.name, None if one.works is None else tuple(work for work in one.works if work.state == "running"),
                  one.error) for one in sights if not one.is_server]
    return Room(tuple(sights), tuple(work for work in running if not work.waiting),
                tuple(in_order(work for work in running if work.waiting)), tuple(nanos),
                tuple(sorted(ended, key=lambda work: work.ended_s or 0.0)[:MOST_FAILED]))


def in_order(works: Any) -> list[Work]:
    """By their places; where nobody has told one, who waits longest comes first."""
    return sorted(works, key=lambda work: (work.position is None, work.position or 0, -work.age_s))


def doing(work: Work) -> str:
    """Who does what with which model, since when, in a line."""
    model = f"{work.model}, " if work.model else ""
    return t("room.doing", who=work.who, step=work.step, model=model, age=in_minutes(work.age_s))


def question(nano: Nano, everybody: bool) -> str:
    """Before a Nano is taken over: whose work it ends, and what becomes of those who wait."""
    holder, queue = nano.holder, nano.queue
    first = t("room.take_over.free", machine=nano.name) if holder is None else t(
        "room.take_over.has", machine=nano.name, doing=doing(holder))
    if not queue:
        return first
    who = ", ".join(dict.fromkeys(one.who for one in queue))
    return f"{first} {t('room.take_over.all' if everybody else 'room.take_over.next', who=who, next=queue[0].who)}"


def taken(machine: str, ended: Sequence[Work]) -> str:
    """What came of it."""
    who = ", ".join(dict.fromkeys(one.who for one in ended))
    return t("room.taken", machine=machine, who=who) if ended else t("room.taken.nobody", machine=machine)
