"""What is to go from the machines of a room, whose it is, and what came of it: the receipt.

Pure: who asks the machines is steps/clean.py. Why so: doc/design/cleaning.md.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_nano.core.answers import shown
from ai_nano.core.errors import AiNanoError
from ai_nano.core.figures import amount
from ai_nano.core.room import inventory
from ai_nano.core.room.inventory import Thing
from ai_nano.core.texts import t

VERSION = 1
DAY_S = 24 * 3600.0
# What is counted as a model when amounts are told.
MODELS = ("model", "older")


@dataclass(frozen=True)
class Scope:
    """Whose things go: `room`: everybody's; `student`: of one name, on whatever laptop; neither: the `own` projects' (ids) and
    what this `me` started here without one. `older_than_s`: only what was not written for so long. `keep_models`: images,
    checkpoints' images and logs go, models stay."""

    me: str
    laptop: str
    own: Collection[str] = ()
    student: str | None = None
    room: bool = False
    older_than_s: float | None = None
    keep_models: bool = False

    def covers(self, thing: Thing) -> bool:
        if self.older_than_s is not None and thing.age_s < self.older_than_s:
            return False
        if self.keep_models and thing.kind in ("autostart", "older"):
            return False
        if self.room or thing.kind == "cache":
            return True
        if self.student is not None:
            return thing.student is not None and same_student(thing.student, self.student)
        return inventory.is_mine(thing, self.own, self.me, self.laptop)

    @property
    def whose(self) -> str:
        """In words, for questions and receipts."""
        if self.room:
            return t("clean.scope.room")
        if self.student is not None:
            return t("clean.scope.student", student=self.student)
        return t("clean.scope.own", student=self.me)

    def to_json(self) -> dict[str, Any]:
        return {"room": self.room, "student": None if self.room else self.student or self.me,
                "own_projects_only": not self.room and self.student is None,
                "older_than_days": None if self.older_than_s is None else self.older_than_s / DAY_S,
                "keep_models": self.keep_models}


def same_student(one: str, other: str) -> bool:
    """As typed, but for how a keyboard composes accents: Zoë is not zoe."""
    return unicodedata.normalize("NFC", one.strip()) == unicodedata.normalize("NFC", other.strip())


@dataclass(frozen=True)
class Plan:
    """What there is of the scope on one machine; `error`: it could not be asked. `namesakes`: how much is there of the same
    student's name from other laptops, which is left alone."""

    machine: str
    things: tuple[Thing, ...] = ()
    error: AiNanoError | None = None
    namesakes: tuple[Thing, ...] = ()

    @property
    def free(self) -> list[Thing]:
        """Nobody uses these now."""
        return [one for one in self.things if not one.used_by]

    @property
    def used(self) -> list[Thing]:
        return [one for one in self.things if one.used_by]


def plan(machine: str, found: Sequence[Thing], scope: Scope) -> Plan:
    covered = tuple(one for one in found if scope.covers(one))
    if all(one.kind == "cache" for one in covered):
        covered = ()  # a cache alone is nobody's
    alike = () if scope.room or scope.student is not None else tuple(
        one for one in found if one not in covered and one.student is not None and same_student(one.student, scope.me)
        and one.kind in ("model", "images", "incoming"))
    return Plan(machine, covered, namesakes=alike)


def how_much(things: Sequence[Thing]) -> str:
    """For example `3 models, 2 runs, 618 files, 57.1 MB`."""
    counts = [("models", sum(one.kind in MODELS for one in things)), ("runs", sum(one.kind == "run" for one in things)),
              ("files", sum(one.files for one in things))]
    words = [t(f"clean.count.{name}", n=count) for name, count in counts if count]
    return ", ".join([*words, amount(sum(one.bytes for one in things), "bytes")])


@dataclass(frozen=True)
class Row:
    """A line of a table: what of whom would go from a machine (`things`), or why it stays (`note`)."""

    machine: str
    student: str
    projects: str
    amount: str
    note: str = ""


def rows(plans: Sequence[Plan], ending: bool = False) -> list[Row]:
    """What would go, by machine and student."""
    found: list[Row] = []
    for one in plans:
        if one.error is not None:
            found.append(Row(one.machine, "", "", "–", one.error.what))
            continue
        by_student: dict[str | None, list[Thing]] = {}
        for thing in one.things:
            if thing.kind != "cache":
                by_student.setdefault(thing.student, []).append(thing)
        for student, things in sorted(by_student.items(), key=lambda each: each[0] or "\uffff"):
            going = [thing for thing in things if ending or not thing.used_by]
            theirs = [thing for thing in going if thing.kind != "older"]
            older = [thing for thing in going if thing.kind == "older"]
            used = [thing for thing in things if thing.used_by]
            notes = [t("clean.row.to_end" if ending else "clean.row.used", thing=thing_text(thing), who=thing.used_by[0].who)
                     for thing in used]
            if older:
                notes.append(t("clean.row.older", names=[shown(thing.name) for thing in older]))
            projects = sorted({thing.project for thing in [*theirs, *used] if thing.project})
            found.append(Row(one.machine, student or t("clean.nobody"), ", ".join(projects) or "–",
                             how_much([*theirs, *older]) if theirs or older else "–", "\n".join(notes)))
        if not one.things:
            found.append(Row(one.machine, "", "", t("clean.row.nothing")))
        if one.namesakes:
            found.append(Row(one.machine, one.namesakes[0].student or "", "", "–",
                             t("clean.row.namesakes", amount=how_much(one.namesakes))))
    return found


def lines(plans: Sequence[Plan], ending: bool = False, students: bool = True) -> list[str]:
    """What the question shows: each machine, then each student's there; models of the older program have lines of their own."""
    said: list[str] = []
    for one in plans:
        if one.error is not None:
            said.append(t("clean.line.unreachable", machine=one.machine, what=one.error.what))
            continue
        going = [thing for thing in one.things if ending or not thing.used_by]
        said.append(t("clean.line.machine", machine=one.machine, amount=how_much(going)) if going
                    else t("clean.line.nothing", machine=one.machine))
        by_student: dict[str | None, list[Thing]] = {}
        for thing in going:
            if students and thing.kind not in ("older", "cache"):
                by_student.setdefault(thing.student, []).append(thing)
        for student, theirs in sorted(by_student.items(), key=lambda each: each[0] or "\uffff"):
            projects = sorted({thing.project for thing in theirs if thing.project})
            said.append("  " + t("clean.line.student", student=student or t("clean.nobody"), amount=how_much(theirs),
                                 projects=", ".join(projects) or "–"))
        said += ["  " + t("clean.line.older", name=shown(thing.name), amount=how_much([thing]))
                 for thing in going if thing.kind == "older"]
        code = "clean.line.to_end" if ending else "clean.line.used"
        said += ["  " + t(code, thing=thing_text(thing), who=thing.used_by[0].who) for thing in one.used]
        if one.namesakes and students:
            student = one.namesakes[0].student
            said.append("  " + t("clean.line.namesakes", amount=how_much(one.namesakes), student=student))
    return said


def thing_text(thing: Thing) -> str:
    return t(f"clean.kind.{thing.kind}", name=shown(thing.name))


# ---- the receipt -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """What is still there, and why: a code of the catalogue."""

    thing: Thing
    code: str
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{thing_text(self.thing)}: {t(self.code, **self.params)}"


@dataclass(frozen=True)
class Done:
    """What came of one machine. `remaining`: what the look afterwards found of the scope; None: it could not look."""

    machine: str
    removed: tuple[Thing, ...] = ()
    files: int = 0
    bytes: int = 0
    left: tuple[Left, ...] = ()
    ended: tuple[str, ...] = ()
    remaining: tuple[Thing, ...] | None = None
    error: AiNanoError | None = None

    @property
    def clean(self) -> bool:
        """Nothing of the scope is there any more, and somebody looked."""
        return self.error is None and not self.left and self.remaining == ()

    def to_json(self) -> dict[str, Any]:
        return {"machine": self.machine, "clean": self.clean, "files": self.files, "bytes": self.bytes,
                "removed": [inventory.to_json(one) for one in self.removed],
                "left": [{**inventory.to_json(one.thing), "code": one.code, "why": t(one.code, **one.params)}
                         for one in self.left],
                "ended": list(self.ended), "looked_again": self.remaining is not None,
                "found_afterwards": None if self.remaining is None else [inventory.to_json(one) for one in self.remaining],
                "error": None if self.error is None else self.error.to_json()}


@dataclass(frozen=True)
class Receipt:
    """`at` is this computer's time in UTC; `by` who asked, `laptop` where."""

    at: str
    by: str
    laptop: str
    scope: Scope
    machines: tuple[Done, ...]

    @property
    def unreachable(self) -> list[Done]:
        return [one for one in self.machines if one.error is not None]

    @property
    def failed(self) -> list[Done]:
        """Where something could not be removed that nobody uses, or was found afterwards."""
        return [one for one in self.machines if one.error is None and (
            any(left.code != "clean.left.in_use" for left in one.left) or one.remaining is None or any(
                not found.used_by for found in one.remaining))]

    def to_json(self) -> dict[str, Any]:
        return {"v": VERSION, "type": "clean", "at": self.at, "by": self.by, "laptop": self.laptop,
                "scope": self.scope.to_json(), "machines": [one.to_json() for one in self.machines]}

    @property
    def text(self) -> str:
        said = [t("clean.receipt.title", at=self.at.replace("T", " ").replace("Z", " UTC"), by=self.by, laptop=self.laptop),
                t("clean.receipt.scope", whose=self.scope.whose)]
        if self.scope.keep_models:
            said.append(t("clean.receipt.keep_models"))
        if self.scope.older_than_s is not None:
            said.append(t("clean.receipt.older_than", days=f"{self.scope.older_than_s / DAY_S:g}"))
        for one in self.machines:
            said += ["", *_told(one)]
        return "\n".join(said) + "\n"


def _told(done: Done) -> list[str]:
    if done.error is not None and not done.removed and not done.ended:
        return [t("clean.receipt.unreachable", machine=done.machine, what=done.error.what)]
    said = [t("clean.receipt.machine", machine=done.machine, files=done.files, amount=amount(done.bytes, "bytes"))]
    said += ["  " + t("clean.receipt.ended", run=shown(run)) for run in done.ended]
    said += ["  " + t("clean.receipt.removed", thing=thing_text(one), student=one.student or t("clean.nobody"), files=one.files,
                      amount=amount(one.bytes, "bytes")) for one in done.removed]
    said += ["  " + t("clean.receipt.left", left=one.text) for one in done.left]
    if done.error is not None:
        said.append("  " + t("clean.receipt.broken_off", what=done.error.what))
    if done.remaining is None:
        said.append("  " + t("clean.receipt.not_looked"))
    elif done.remaining:
        some = [shown(one.name) for one in done.remaining[:10]]
        said.append("  " + t("clean.receipt.found", n=len(done.remaining), names=some))
    else:
        said.append("  " + t("clean.receipt.nothing_found"))
    return said
