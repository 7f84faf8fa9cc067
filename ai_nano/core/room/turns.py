"""Whose turn it is on a Nano: its camera, its LEDs and its memory serve one program at a time (doc/design/turns.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import optional
from ai_nano.core.events import WIRE_VERSION, Event
from ai_nano.core.figures import duration
from ai_nano.core.texts import t

STATES = ("waiting", "yours", "ending")
MOST_PLACES = 1000
# What the programs that queue do.
DOING = {"jetson_nano/classify.py": "turn.doing.infer", "jetson_nano/build_engine.py": "turn.doing.deploy",
         "jetson_nano/blink.py": "turn.doing.blink", "jetson_nano/doctor.py": "turn.doing.doctor"}


@dataclass(frozen=True)
class Place:
    """A run in the queue of a Nano: for how long it has had the turn, or has waited, and how long its turn lasts at most
    (None: nobody knows). `own`: the same student started it."""

    run: str
    program: str
    student: str | None
    laptop: str | None
    for_s: float
    left_s: float | None
    own: bool = False

    @property
    def who(self) -> str:
        """For example `ada@lab3`, `ada (lab3)`."""
        who = self.student or self.run
        return who if self.laptop is None or self.laptop in who else f"{who} ({self.laptop})"

    @property
    def doing(self) -> str:
        return t(DOING[self.program]) if self.program in DOING else self.program

    def words(self, has_turn: bool) -> str:
        """For example `bob@lab3: classification for 2 min 5 s, 2 min 55 s left at most`, `ada@lab1: waiting for 8 s`."""
        if not has_turn:
            return t("turn.row.waits", who=self.who, age=duration(self.for_s))
        if self.left_s is None:
            return t("turn.row.has", who=self.who, doing=self.doing, age=duration(self.for_s))
        return t("turn.row.has_left", who=self.who, doing=self.doing, age=duration(self.for_s), left=duration(self.left_s))

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Turn(Event):
    """`waiting`: behind `ahead`, the first of which has the turn, for `wait_s` at most. `yours`: the turn has come, or nobody
    waits any longer; while others wait it lasts `limit_s`. `ending`: it is over in `left_s`, since `waiting` others wait,
    `who` first. Seconds are None where nobody knows."""

    step: str
    machine: str
    state: str
    ahead: tuple[Place, ...] = ()
    wait_s: float | None = None
    limit_s: float | None = None
    left_s: float = 0.0
    waiting: int = 0
    who: str = ""

    @property
    def own(self) -> Place | None:
        """The same student's run that is before this one: a window that was forgotten."""
        return next((place for place in self.ahead if place.own), None)

    @property
    def text(self) -> str:
        """For example `Waiting: bob@lab3 has had nano1 for 2 min 5 s (classification). You are next, in 1 min 8 s at the
        latest.`"""
        return self.words if self.own is None else f"{self.words} {t('turn.end_own', run=self.own.run)}"

    @property
    def words(self) -> str:
        """Without a hint at a command."""
        if self.state == "waiting":
            return f"{self.holder} {self.place}"
        return t("turn.yours", machine=self.machine) if self.state == "yours" else self.ending(self.left_s)

    @property
    def holder(self) -> str:
        """Who has the turn, and whether the one who waits is in the queue already."""
        if not self.ahead:
            return t("turn.yours", machine=self.machine)
        first, own = self.ahead[0], self.own
        told = {"machine": self.machine, "age": duration(first.for_s), "doing": first.doing}
        if own is first:
            return t("turn.own", who=first.who, **told)
        words = t("turn.waiting", who=first.who, **told)
        return words if own is None else f"{words} {t('turn.own_waits', who=own.who)}"

    @property
    def place(self) -> str:
        """When the turn of the one who waits comes."""
        position = len(self.ahead)
        if self.wait_s is None:
            return t("turn.next") if position == 1 else t("turn.place", position=position)
        time = duration(self.wait_s)
        return t("turn.next_in", time=time) if position == 1 else t("turn.place_in", position=position, time=time)

    def ending(self, left_s: float) -> str:
        """How long is left."""
        if self.waiting > 1:
            return t("turn.ending_several", machine=self.machine, time=duration(left_s), count=self.waiting)
        return t("turn.ending", machine=self.machine, time=duration(left_s), who=self.who)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"v": WIRE_VERSION, "type": "turn", "step": self.step, "machine": self.machine,
                                "state": self.state}
        match self.state:
            case "waiting":
                return {**told, "position": len(self.ahead), "ahead": [place.to_json() for place in self.ahead],
                        "wait_s": self.wait_s}
            case "yours":
                return {**told, "limit_s": self.limit_s}
        return {**told, "left_s": self.left_s, "waiting": self.waiting, "who": self.who}


def read(raw: Mapping[str, Any], step: str, machine: str) -> Turn:
    """A program's event `turn`. Raises Nonsense."""
    state = answers.choice(raw, "state", STATES)
    match state:
        case "waiting":
            return Turn(step, machine, state, places(answers.objects(raw, "ahead", MOST_PLACES)),
                        optional(answers.number, raw, "wait_s", low=0))
        case "yours":
            return Turn(step, machine, state, limit_s=optional(answers.number, raw, "limit_s", low=0))
    return Turn(step, machine, state, left_s=answers.number(raw, "left_s", 0),
                waiting=answers.count(raw, "waiting", 1, MOST_PLACES), who=answers.text(raw, "who"))


def places(told: Sequence[Mapping[str, Any]]) -> tuple[Place, ...]:
    """The queue of a Nano, the first has the turn. Raises Nonsense."""
    return tuple(_place(one) for one in told)


def _place(told: Mapping[str, Any]) -> Place:
    return Place(answers.model(told, "run"), answers.text(told, "program"), optional(answers.text, told, "student"),
                 optional(answers.text, told, "laptop"), answers.number(told, "for_s", 0),
                 optional(answers.number, told, "left_s", low=0), bool(optional(answers.flag, told, "own")))
