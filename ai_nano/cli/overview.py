"""`ai-nano room`: the instructor's page on a terminal. Who works, who waits, whose Nano it is, what failed; stepping in."""

import argparse
import sys
import threading
from collections.abc import Iterator

from ai_nano.cli.console import Console
from ai_nano.cli.jobs import find
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import wait
from ai_nano.core import runs
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, Cancelled, ConfigError
from ai_nano.core.figures import duration, in_minutes
from ai_nano.core.overview import room, sight, stepping_in
from ai_nano.core.overview.room import Room
from ai_nano.core.overview.sight import Work
from ai_nano.core.overview.watch import RoomWatch
from ai_nano.core.room.ended import By, whose
from ai_nano.core.texts import t
from ai_nano.lab import Lab

EVERY_S = 2.0
LOOK_S = 0.1
# Clears the screen and goes to its upper left.
CLEAR = "\x1b[2J\x1b[H"


def overview(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    if args.everybody and not args.take_over:
        raise BadInput("room.everybody")
    if args.take_over:
        return _take_over(args, lab, console)
    if args.end:
        return _end(args, lab, console)
    return _watch(lab, console, args.json) if args.watch else _show(lab, console)


def _show(lab: Lab, console: Console) -> int:
    """The server being out of reach is no reason to say nothing of the Nanos; none at all is."""
    seen = room.make(wait(lambda cancel: RoomWatch(lab).ask_once()))
    troubles = [one.error for one in seen.sights if one.error is not None]
    if troubles and len(troubles) == len(seen.sights):
        raise troubles[0]
    for line in lines(seen):
        console.say(line)
    console.result({"step": "room", **seen.to_json()}, "")
    return 0


def _watch(lab: Lab, console: Console, as_json: bool) -> int:
    """Until Ctrl-C. With --json a line each time, else one screen that is drawn anew."""
    def look(cancel: CancelToken) -> None:
        watch = RoomWatch(lab)
        for one in watch.watches:
            threading.Thread(target=one.run, name="room", daemon=True).start()
        try:
            while not room.make(watch.sights()).asked and not cancel.wait(LOOK_S):
                continue
            while not cancel.cancelled:
                _draw(room.make(watch.sights()), console, as_json)
                cancel.wait(EVERY_S)
        finally:
            watch.stop()

    wait(look)
    return 0


def _draw(seen: Room, console: Console, as_json: bool) -> None:
    if as_json:
        console.result({"step": "room", **seen.to_json()}, "")
    else:
        print((CLEAR if sys.stdout.isatty() else "") + "\n".join(lines(seen)), flush=True)


def _end(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    machine, run = find(runs.machines(lab), args.end, console)
    question = t("window.running.end.text" if run.get("student") else "window.running.end.anonymous",
                 step=run["step"], student=run.get("student"), machine=machine.name, age=duration(run["age_s"]))
    if not TerminalQuestions(console, args.yes).confirm(question):
        raise Cancelled()
    stepping_in.end(machine, args.end, whose(lab.config.student, run.get("student"), True, args.reason))
    console.result({"step": "room", "machine": machine.name, "ended": [args.end]}, t("jobs.cancelled", run=args.end))
    return 0


def _take_over(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    if args.take_over == lab.config.server.name:
        raise ConfigError("config.unknown_nano", name=args.take_over, known=[one.name for one in lab.config.filled_nanos])
    machine = lab.nano(args.take_over)
    nano = room.Nano(machine.name, tuple(one for one in sight.read(machine.name, machine.room()) if one.state == "running"))
    if not TerminalQuestions(console, args.yes).confirm(room.question(nano, args.everybody)):
        raise Cancelled()
    by = By(lab.config.student, True, args.reason)
    ended = wait(lambda cancel: stepping_in.take_over(machine, args.everybody, by))
    console.result({"step": "room", "machine": machine.name, "ended": [one.run for one in ended]},
                   room.taken(machine.name, ended))
    return 0


def lines(seen: Room) -> Iterator[str]:
    """The room for a person, a line for each."""
    for trouble in seen.troubles:
        if trouble.error is not None:
            yield t("jobs.unreachable", machine=trouble.name, what=trouble.error.what)
    yield t("room.training")
    yield from [_working(work) for work in seen.working] or [f"  {t('room.training.none')}"]
    yield t("room.waiting", count=len(seen.waiting))
    yield from ([f"  {position:>3}  {_who(work)} {work.step:<14} {work.place}" for position, work in
                 enumerate(seen.waiting, 1)] or [f"  {t('room.waiting.none')}"])
    yield t("room.nanos")
    for nano in seen.nanos:
        yield f"  {nano.name:<12} {nano.use}{'  ·  ' + nano.waiting if nano.waiting else ''}"
    yield t("room.failed")
    yield from [_failed(work) for work in seen.failed] or [f"  {t('room.failed.none')}"]


def _working(work: Work) -> str:
    return f"  {_who(work)} {work.step:<14} {in_minutes(work.age_s):<8} {work.place_of_work:<8} {work.far}".rstrip()


def _failed(work: Work) -> str:
    return f"  {t('room.ago', age=in_minutes(work.ended_s or 0)):<14} {_who(work)} {work.machine:<10} {work.step}: {work.why}"


def _who(work: Work) -> str:
    """With the model, which is named after the project."""
    return f"{work.who:<22} {work.model or '':<26}"
