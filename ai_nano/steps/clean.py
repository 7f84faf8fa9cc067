"""`ai-nano clean`: a student's or the room's images and models go from the server and all Nanos, with a receipt."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ai_nano.core import answers, runs
from ai_nano.core.answers import Message, Nonsense, optional, shown
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, ConfigError, WorkFailed
from ai_nano.core.files import storage_errors, write_atomically
from ai_nano.core.nano import boards
from ai_nano.core.ports import Lab, Machine
from ai_nano.core.project import ident
from ai_nano.core.room import cleaning, inventory
from ai_nano.core.room.cleaning import Done, Left, Plan, Receipt, Scope
from ai_nano.core.room.config import FILE_NAME
from ai_nano.core.room.ended import whose
from ai_nano.core.room.inventory import Thing
from ai_nano.core.texts import known
from ai_nano.core.unexpected import explained

RECEIPTS = "receipts"
# What is running may take its files with it in the moment in which it ends; so often is removed and looked again.
ROUNDS = 3

# machine, files and bytes that are gone there so far
Progress = Callable[[str, int, int], None]
Answer = tuple[str, list[Thing] | AiNanoError]


def machines(lab: Lab, wanted: Sequence[str] = ()) -> list[Machine]:
    """Those of these names; without names all of the room. BadInput for a name that no machine has, and
    ConfigError `config.empty` for a room without machines."""
    if not lab.config.machines:
        raise ConfigError("config.empty", file=lab.config.path or FILE_NAME)
    found = runs.machines(lab)
    names = [one.name for one in found]
    if unknown := [name for name in wanted if name not in names]:
        raise BadInput("clean.no_machine", name=unknown[0], known=names)
    return [one for one in found if not wanted or one.name in wanted]


def ask(asked: Sequence[Machine]) -> list[Answer]:
    """What of whom lies on these machines, or why one does not say; all side by side. Nothing is changed."""
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        return list(pool.map(_ask, asked))


def plans(found: Sequence[Answer], scope: Scope) -> list[Plan]:
    """What there is of the scope."""
    return [Plan(name, error=things) if isinstance(things, AiNanoError) else cleaning.plan(name, things, scope)
            for name, things in found]


def _ask(machine: Machine) -> Answer:
    try:
        return machine.name, inventory.read(machine.inventory(), machine.name)
    except AiNanoError as error:
        return machine.name, error


def look(asked: Sequence[Machine], scope: Scope) -> list[Plan]:
    return plans(ask(asked), scope)


def clean(lab: Lab, planned: Sequence[Plan], scope: Scope, end: bool, progress: Progress, cancel: CancelToken) -> Receipt:
    """Remove what the plans hold, and look again. With `end` what uses it is ended first; else it is left, and named.

    Machines side by side; one that fails is in the receipt, and the others are done all the same. After Cancelled the receipt
    says which machines were not done.
    """
    by_name = {machine.name: machine for machine in runs.machines(lab)}
    with ThreadPoolExecutor(max(1, len(planned))) as pool:
        done = pool.map(lambda one: _clean(by_name[one.machine], one, scope, end, progress, cancel), planned)
        return Receipt(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", scope.me, scope.laptop, scope, tuple(done))


def _clean(machine: Machine, plan: Plan, scope: Scope, end: bool, progress: Progress, cancel: CancelToken) -> Done:
    done = Done(machine.name, error=plan.error)
    if plan.error is not None:
        return done
    try:
        cancel.check()
        unended: dict[str, WorkFailed] = {}
        if end:
            ended, unended = _end(machine, plan, scope.me)
            done = replace(done, ended=tuple(ended))
        things: Sequence[Thing] = plan.things if end else plan.free
        for attempt in range(ROUNDS):
            if things:
                answer = machine.remove([{"kind": one.kind, "name": one.name} for one in things], scope.keep_models,
                                        lambda files, size: progress(machine.name, files, size), cancel)
                done = _told(done, things, answer, machine.name)
            [again] = look([machine], scope)
            if again.error is not None:
                raise again.error
            remaining = [one for one in again.things if not _kept(one, scope)]
            done = replace(done, remaining=tuple(remaining))
            # Logs of what was just ended, the folder of an upload that gave up: only what was asked for is tried again.
            asked = {(one.kind, one.name) for one in plan.things}
            things = [one for one in remaining if not one.used_by and (one.kind, one.name) in asked]
            if not things or attempt == ROUNDS - 1:
                break
        used = [_used(one, unended) for one in done.remaining or () if one.used_by]
        already = {(left.thing.kind, left.thing.name) for left in used}
        there = {(one.kind, one.name) for one in done.remaining or ()}
        others = [left for left in done.left if (left.thing.kind, left.thing.name) in there - already]
        return replace(done, left=(*used, *others))
    except Exception as error:  # whatever one machine makes us stumble over, the receipt of all the others is made
        return replace(done, error=explained(error))


def _kept(thing: Thing, scope: Scope) -> bool:
    """A model that was to stay is no remainder, nor is a cache that somebody's waiting has made anew."""
    return thing.kind == "cache" or (scope.keep_models and thing.kind == "model" and not thing.used_by)


def _used(thing: Thing, unended: Mapping[str, WorkFailed]) -> Left:
    for user in thing.used_by:
        if user.run is not None and user.run in unended:
            return Left(thing, "clean.left.not_ended",
                        {"who": user.who, "run": shown(user.run), "problem": unended[user.run].what})
    return Left(thing, "clean.left.in_use", {"who": thing.used_by[0].who, "program": thing.used_by[0].program})


def _end(machine: Machine, plan: Plan, me: str) -> tuple[list[str], dict[str, WorkFailed]]:
    """Ends what uses the things, and what could not be ended: runs with their group of processes, and what starts at boot."""
    ended: list[str] = []
    unended: dict[str, WorkFailed] = {}
    users = {user.run: user for thing in plan.used for user in thing.used_by if user.run is not None}
    for run, user in users.items():
        try:
            if machine.attach(run).cancel(whose(me, user.student)):
                ended.append(run)
        except WorkFailed as error:
            if error.code != "run.missing":  # it has ended, and somebody has removed its log since the plan was made
                unended[run] = error
    if any(user.program == "autostart" for thing in plan.used for user in thing.used_by):
        boards.autostart_off(machine)
        ended.append("autostart")
    return ended, unended


def _told(done: Done, things: Sequence[Thing], answer: Message, machine: str) -> Done:
    asked = {(one.kind, one.name): one for one in things}
    removed, left, files, size = list(done.removed), [], done.files, done.bytes
    with answers.reading(machine):
        for raw in answers.objects(answer, "things", inventory.MOST_THINGS):
            thing = asked.get((answers.choice(raw, "kind", inventory.KINDS), inventory.name_of(raw)))
            if thing is None:
                raise Nonsense("name")
            gone, freed = answers.count(raw, "files"), answers.count(raw, "bytes")
            files, size = files + gone, size + freed
            code = optional(answers.code, raw, "left")
            if code is not None:
                left.append(Left(thing, code if known(code) else "clean.left.unknown", answers.params(raw)))
            if code is None or gone:
                removed.append(replace(thing, files=gone, bytes=freed))
    return replace(done, removed=tuple(removed), left=tuple(left), files=files, bytes=size)


def keep(receipt: Receipt, folder: Path) -> tuple[Path, Path]:
    """As JSON and as text below the person's data folder, for its owner's eyes only: it names students.

    Raises `clean.not_kept` with the exit code of what was in the way.
    """
    place = folder / RECEIPTS
    stem = f"clean-{receipt.at.replace(':', '').replace('-', '')}-{os.getpid()}"
    try:
        with storage_errors(place):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            as_json, as_text = place / f"{stem}.json", place / f"{stem}.txt"
            document = json.dumps(receipt.to_json(), ensure_ascii=False, indent=1) + "\n"
            write_atomically(as_json, document.encode("utf-8"), mode=0o600)
            write_atomically(as_text, receipt.text.encode("utf-8"), mode=0o600)
    except AiNanoError as error:
        raise type(error)("clean.not_kept", folder=place, problem=error.what) from error
    return as_json, as_text


def scope_of(lab: Lab, student: str | None = None, room: bool = False, older_than_days: float | None = None,
             keep_models: bool = False) -> Scope:
    """What a person asks for, who uses this room from this computer."""
    return Scope(lab.config.student, ident.here()[1], lab.own_projects, student, room,
                 None if older_than_days is None else older_than_days * cleaning.DAY_S, keep_models)
