"""A training that waits for a GPU of the server: its place, who trains now, and when it will start (doc/design/sharing.md)."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import optional
from ai_nano.core.events import WIRE_VERSION, Event
from ai_nano.core.figures import duration
from ai_nano.core.texts import known, t

STATES = ("waiting", "running")
SCHEDULERS = ("direct", "slurm")
MOST_AHEAD = 100
LONGEST_QUEUE = 1_000_000
LONGEST_WORD = 200
# Slurm has a reason for each of many limits; whose limit it is says enough: the QOS's, the account's, one's own.
FAMILIES = ("QOSMax", "QOSGrp", "QOS", "AssocMax", "AssocGrp", "Assoc", "Partition", "Node")
# From here on a clock's time says more than a duration.
FAR_S = 3600


@dataclass(frozen=True)
class Trainee:
    """Who is before one: trains (for so long, and about so long still) or waits."""

    student: str | None
    laptop: str | None
    trains: bool
    own: bool
    for_s: float
    left_s: float | None
    run: str | None = None

    @property
    def who(self) -> str:
        who = self.student or self.run or "–"
        return who if self.laptop is None or self.laptop in who else f"{who} ({self.laptop})"

    @property
    def words(self) -> str:
        """For example `bob@lab3: trains for 2 min 5 s, about 1 min left`."""
        if not self.trains:
            return t("turn.row.waits", who=self.who, age=duration(self.for_s))
        if self.left_s is None:
            return t("queue.row.trains", who=self.who, age=duration(self.for_s))
        return t("queue.row.trains_left", who=self.who, age=duration(self.for_s), left=duration(self.left_s))


@dataclass(frozen=True)
class Queued(Event):
    """`waiting`: as number `place` of `of` who wait, to start in about `start_s`; None where nobody knows. `reason` is Slurm's
    word for why, `error` why Slurm does not answer. `running`: it has begun, in a cluster on `node`."""

    step: str
    machine: str
    scheduler: str
    state: str
    place: int | None = None
    of: int | None = None
    start_s: float | None = None
    reason: str | None = None
    node: str | None = None
    error: str | None = None
    ahead: tuple[Trainee, ...] = ()

    @property
    def waits(self) -> bool:
        return self.state == "waiting"

    @property
    def text(self) -> str:
        """For example `You are 2nd of 5 waiting for DL; it will start in about 3 min. bob@lab3: trains for 2 min.`"""
        return " ".join(part if part.endswith((".", "…")) else f"{part}." for part in (self.headline, *self.rows[:2]))

    @property
    def headline(self) -> str:
        """The place, and when it starts."""
        if not self.waits:
            told = "queue.began" if self.node is None else "queue.began_on"
            return t(told, machine=self.machine, node=self.node)
        if self.place is None:
            return t("queue.waiting", machine=self.machine)
        place = t("queue.next", machine=self.machine, of=self.of) if self.place == 1 else t(
            "queue.place", machine=self.machine, place=ordinal(self.place), of=self.of)
        return place if self.start_s is None else f"{place} {self._start(self.start_s)}"

    def _start(self, start_s: float) -> str:
        if start_s < FAR_S:
            return t("queue.start", time=duration(start_s))
        at = time.localtime(time.time() + start_s)
        far = start_s >= 20 * FAR_S
        return t("queue.start_at", at=time.strftime("%Y-%m-%d %H:%M" if far else "%H:%M", at))

    @property
    def rows(self) -> list[str]:
        """Why it waits, who trains, who is before."""
        rows = [] if self.error is None else [t("queue.silent", error=self.error)]
        if not self.waits:
            return rows
        if self.reason is not None:
            rows.append(t("queue.why", reason=reason_words(self.reason)))
        return rows + [one.words for one in self.ahead]

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it worth a line on the terminal."""
        return (self.state, self.place, self.of, self.reason, self.node, self.error)

    def to_json(self) -> dict[str, Any]:
        told = {**self.__dict__, "ahead": [dict(one.__dict__) for one in self.ahead]}
        return {"v": WIRE_VERSION, "type": "queue", **told, "reason_text": reason_words(self.reason) if self.reason else None}


def ordinal(number: int) -> str:
    """In the reader's language: the ending depends on the last digits."""
    tens, ones = number % 100, number % 10
    ending = str(ones) if ones in (1, 2, 3) and tens not in (11, 12, 13) else "other"
    return t("queue.ordinal.first" if number == 1 else f"queue.ordinal.{ending}", number=number)


def reason_words(reason: str) -> str:
    """Slurm's reason in words; one that is not known literally."""
    word = re.split(r"[^A-Za-z]", reason, maxsplit=1)[0]
    for name in (word, *(family for family in FAMILIES if word.startswith(family))):
        if known(f"queue.reason.{name}"):
            return f"{t(f'queue.reason.{name}')} ({reason})"
    return reason


def read(raw: Mapping[str, Any], step: str, machine: str) -> Queued:
    """A message `queue` of runner.py, or `queue` of a listed run. Raises Nonsense."""
    return Queued(step, machine, answers.choice(raw, "scheduler", SCHEDULERS), answers.choice(raw, "state", STATES),
                  optional(answers.count, raw, "place", low=1, high=LONGEST_QUEUE),
                  optional(answers.count, raw, "of", low=1, high=LONGEST_QUEUE),
                  optional(answers.number, raw, "start_s", low=0, high=1e9),
                  optional(answers.text, raw, "reason", longest=LONGEST_WORD),
                  optional(answers.text, raw, "node", longest=LONGEST_WORD), optional(answers.text, raw, "error"),
                  tuple(_trainee(one) for one in answers.objects(raw, "ahead", MOST_AHEAD)))


def _trainee(raw: Mapping[str, Any]) -> Trainee:
    return Trainee(optional(answers.text, raw, "student"), optional(answers.text, raw, "laptop"), answers.flag(raw, "trains"),
                   answers.flag(raw, "own"), answers.number(raw, "for_s", 0), optional(answers.number, raw, "left_s", low=0),
                   optional(answers.model, raw, "run"))
