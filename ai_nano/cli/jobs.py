"""`ai-nano jobs`: what runs on the server and the Nanos, whoever started it; one of them followed, or ended."""

import argparse
from collections.abc import Mapping
from typing import Any

from ai_nano.cli.console import Console
from ai_nano.cli.waiting import wait
from ai_nano.core import runs, wire
from ai_nano.core.errors import AiNanoError, Detached, MachineError, MissingPrerequisite
from ai_nano.core.events import Log, ignore
from ai_nano.core.figures import duration
from ai_nano.core.overview import stepping_in
from ai_nano.core.ports import Machine
from ai_nano.core.room import training_queue
from ai_nano.core.room.ended import whose
from ai_nano.core.texts import t
from ai_nano.lab import Lab
from ai_nano.steps.train import STOP

# Steps whose programs run on a Nano.
ON_NANOS = ("deploy", "infer")


def jobs(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    machines = runs.machines(lab)
    wanted = args.cancel or args.follow or args.stop
    if not wanted:
        return _list(machines, console)
    machine, run = find(machines, wanted, console)
    if args.cancel:
        stepping_in.end(machine, wanted, whose(lab.config.student, run.get("student"), reason=args.reason))
        console.result({"step": "jobs", "machine": machine.name, "cancelled": wanted}, t("jobs.cancelled", run=wanted))
    else:
        job, told, listener = machine.attach(wanted), "run", console.emit
        if args.stop:
            if run["state"] != "running" or run["waiting"] or run["step"] != "train":
                raise MissingPrerequisite("jobs.no_stop", run=wanted)
            # A command goes out with the following, which tells what has long been told.
            job.send(STOP)
            told, listener = "stopped", ignore
        try:
            result = wait(lambda cancel: wire.follow(job, run["step"], machine.name, listener, cancel), letting_go=True)
        except Detached:  # who looked on looks no longer
            console.result({"step": "jobs", "machine": machine.name, "run": wanted, "running": True},
                           t("jobs.let_go", run=wanted))
            return 0
        console.result({"step": "jobs", "machine": machine.name, told: wanted, "result": dict(result)},
                       t("jobs.stopped" if args.stop else "jobs.ended", run=wanted))
    return 0


def _list(machines: list[Machine], console: Console) -> int:
    answers = runs.ask_all(machines)
    found: list[runs.Run] = []
    unreachable: list[AiNanoError] = []
    told: list[dict[str, Any]] = []
    for machine, answer in zip(machines, answers, strict=True):
        if isinstance(answer, AiNanoError):
            unreachable.append(answer)
            told.append({"machine": machine.name, "error": answer.to_json()})
            leave_out(machine, answer, console)
        else:
            found += answer
    if len(unreachable) == len(machines):
        raise unreachable[0]
    for run in found:
        console.say(line(run))
    console.result({"step": "jobs", "jobs": found, "unreachable": told}, "" if found else t("jobs.none"))
    return 0


def find(machines: list[Machine], wanted: str, console: Console) -> tuple[Machine, dict[str, Any]]:
    """The machine that has the run. Those that are likely to have it are asked first, and the others only if they must."""
    missed = []
    for machine in sorted(machines, key=lambda one: any(f"-{step}-" in wanted for step in ON_NANOS) and one is machines[0]):
        answer = runs.ask(machine)
        if isinstance(answer, AiNanoError):
            missed.append(machine.name)
            leave_out(machine, answer, console)
            continue
        for run in answer:
            if run["id"] == wanted:
                return machine, run
    if missed:
        raise MachineError("jobs.out_of_reach", run=wanted, machines=missed)
    raise MissingPrerequisite("jobs.unknown", run=wanted)


def leave_out(machine: Machine, error: AiNanoError, console: Console) -> None:
    console.emit(Log("jobs.unreachable", {"machine": machine.name, "what": error.what}, "warning"))


def line(run: Mapping[str, Any]) -> str:
    """One run in a line, for a person."""
    age, student = duration(run["age_s"]), run.get("student")
    since = t("jobs.line", age=age, student=student) if student else t("jobs.line_anonymous", age=age)
    if run.get("queue"):
        since += f"  ·  {training_queue.read(run['queue'], run['step'], run['machine']).headline}"
    state = t(f"job.state.{'waiting' if run.get('waiting') else run.get('why') or run['state']}")
    return f"{run['machine']:<12} {run['id']:<40} {t('step.' + run['step']):<28} {state:<12} {since}"
