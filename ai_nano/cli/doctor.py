"""`ai-nano doctor`: what is wrong in the room, worst first, each with the command that mends it."""

import argparse
from collections.abc import Sequence

from ai_nano.cli.console import Console, JsonConsole
from ai_nano.cli.waiting import wait
from ai_nano.core.doctor import findings, room
from ai_nano.core.doctor.findings import FAILURE, LAPTOP, OK, Finding
from ai_nano.core.errors import MachineError
from ai_nano.core.texts import t
from ai_nano.lab import Lab

# The sign of each state: also without colours it is seen what is wrong.
SIGNS = {"failure": "✗", "warning": "!", "unknown": "?", "ok": "✓"}
FAILED = 1


def doctor(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    names = [LAPTOP, *(machine.name for machine in lab.config.machines)]
    chosen = room.chosen(args.machine, names)
    as_json = isinstance(console, JsonConsole)

    def tell(finding: Finding) -> None:
        if isinstance(console, JsonConsole):
            console.line(finding.to_json())

    def look(name: str, heard: findings.Tell) -> None:
        shallow: list[Finding] = []

        def both(finding: Finding) -> None:
            shallow.append(finding)
            heard(finding)

        lab.examine(name, both)
        if args.deep and name != LAPTOP and _was_asked(shallow):
            lab.examine(name, lambda finding: None if finding.check in SHALLOW else heard(finding), deep=True)

    found = wait(lambda cancel: room.examine_all(chosen, look, tell, lambda name: None, cancel))
    if not as_json:
        for name in chosen:
            for line in table(name, found[name]):
                console.say(line)
    counts = room.counts(found)
    machines = [{"machine": name, "state": findings.state_of(found[name]), "checks": len(found[name])} for name in chosen]
    failed = counts.get(FAILURE, 0)
    if set(chosen) != {LAPTOP} and not any(_was_asked(found[name]) for name in chosen):
        raise _first_error(found[next(name for name in chosen if name != LAPTOP)])
    console.result({"ok": not failed, "step": "doctor", "found": counts, "machines": machines},
                   t("doctor.end.failed" if failed else "doctor.end.fine", count=failed, machines=len(chosen)))
    return FAILED if failed else 0


# What a deep look finds again, after the look that came before it.
SHALLOW = ("reach", "host_key", "authentication", "round_trip", "clock")


def _was_asked(found: Sequence[Finding]) -> bool:
    """This computer, or a machine that was reached."""
    return any(one.machine == LAPTOP or (one.check == "authentication" and one.state == OK) for one in found)


def _first_error(found: Sequence[Finding]) -> MachineError:
    """Of a machine that could not be asked, where nothing else could."""
    worst = findings.worst_first(found)[0]
    return MachineError("doctor.nobody", why=worst.text, machine=worst.machine)


def table(name: str, found: Sequence[Finding]) -> list[str]:
    """What one machine's part of the answer looks like: a heading, then what is not fine, with its mend."""
    heading = t("doctor.laptop") if name == LAPTOP else name
    lines = [f"{SIGNS[findings.state_of(found)]} {heading}: {findings.summary(found)}"]
    for one in findings.worst_first(found):
        if one.state == OK:
            continue
        figure = f" [{one.figure}]" if one.figure else ""
        lines.append(f"  {SIGNS[one.state]} {one.title}{figure}: {one.text}")
        for mend in one.mends:
            lines.append(f"      {mend.text}")
            lines.append(f"          {mend.command}")
    return lines
