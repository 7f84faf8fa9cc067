"""What of whom lies on a machine, as its shared/inventory.py tells it (doc/design/wire.md), and whose it is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import Message, optional
from ai_nano.core.texts import t

# `older`: a model of the older program, in the login's home; `waste`: what a removal or a replacement left when it broke off.
KINDS = ("model", "images", "incoming", "run", "autostart", "older", "waste", "cache")
MOST_THINGS = 20_000
MOST_USERS = 100


@dataclass(frozen=True)
class User:
    """Who uses it now: a run (None: what starts at boot, or an upload) of a program."""

    run: str | None
    student: str | None
    program: str

    @property
    def who(self) -> str:
        return self.student or self.run or "–"


@dataclass(frozen=True)
class Thing:
    """`student`, `project`, `workspace`, `laptop`: None where nobody knows. `age_s`: since it was last written."""

    machine: str
    kind: str
    name: str
    student: str | None
    project: str | None
    workspace: str | None
    laptop: str | None
    files: int
    bytes: int
    age_s: float
    used_by: tuple[User, ...] = ()

    @property
    def text(self) -> str:
        return t(f"clean.kind.{self.kind}", name=self.name)


def read(answer: Message, machine: str) -> list[Thing]:
    """MachineError for nonsense. What a newer version of its program tells of other kinds is passed over."""
    with answers.reading(machine):
        return [_thing(raw, machine) for raw in answers.objects(answer, "things", MOST_THINGS) if raw.get("kind") in KINDS]


def _thing(raw: Message, machine: str) -> Thing:
    owner = optional(answers.mapping, raw, "owner") or {}
    whose = {key: optional(answers.text, owner, key) for key in ("student", "project", "workspace", "laptop")}
    users = tuple(User(optional(answers.text, one, "run"), optional(answers.text, one, "student"), answers.text(one, "program"))
                  for one in answers.objects(raw, "used_by", MOST_USERS))
    return Thing(machine, answers.choice(raw, "kind", KINDS), name_of(raw), **whose, files=answers.count(raw, "files"),
                 bytes=answers.count(raw, "bytes"), age_s=answers.number(raw, "age_s", 0), used_by=users)


def name_of(raw: Message) -> str:
    """As it is there: it goes back to the machine, and is shown with `shown` only."""
    value = raw.get("name")
    if not isinstance(value, str) or not 0 < len(value) <= 255 or "/" in value or "\0" in value:
        raise answers.Nonsense("name")
    return value


def is_mine(thing: Thing, own: Collection[str], student: str, laptop: str) -> bool:
    """By the project's id. What has none, because no project was involved, is its student's on this very laptop."""
    if thing.workspace is not None:
        return thing.workspace in own
    return thing.kind in ("run", "autostart") and thing.student == student and thing.laptop in (laptop, None)


def largest(things: Sequence[Thing], most: int = 5) -> list[tuple[str | None, int]]:
    """Whose things take the most: (student, bytes), the largest first."""
    sizes: dict[str | None, int] = {}
    for one in things:
        if one.kind != "older":
            sizes[one.student] = sizes.get(one.student, 0) + one.bytes
    return sorted(((student, size) for student, size in sizes.items() if size), key=lambda each: -each[1])[:most]


def to_json(thing: Thing) -> Mapping[str, Any]:
    return {"kind": thing.kind, "name": answers.shown(thing.name), "student": thing.student, "project": thing.project,
            "files": thing.files, "bytes": thing.bytes}
