"""`ai-nano clean`: images and models of a student or of the whole room go from server and Nanos, after a question."""

import argparse
from dataclasses import asdict

from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import wait
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, MachineError, WorkFailed
from ai_nano.core.events import Log
from ai_nano.core.figures import amount
from ai_nano.core.room import cleaning, inventory
from ai_nano.core.room.cleaning import Plan, Receipt
from ai_nano.core.texts import t
from ai_nano.lab import Lab
from ai_nano.steps import clean as step


def clean(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    if args.older_than is not None and args.older_than < 0:
        raise BadInput("clean.older_than", days=args.older_than)
    scope = step.scope_of(lab, args.student, args.room, args.older_than, args.keep_models)
    machines = step.machines(lab, args.machine)
    plans = wait(lambda cancel: step.look(machines, scope))
    absent = [plan.error for plan in plans if plan.error is not None]
    if len(absent) == len(plans):
        raise absent[0]
    console.say(t("clean.title", whose=scope.whose))
    for line in cleaning.lines(plans, ending=args.end):
        console.say(line)
    if args.dry_run:
        console.result({"step": "clean", "dry_run": True, "scope": scope.to_json(), "machines": [told(one) for one in plans]},
                       t("clean.dry_run"))
        return _unreachable(plans)
    going = [thing for plan in plans for thing in plan.things if args.end or not thing.used_by]
    if going and not TerminalQuestions(console, args.yes).confirm(t("clean.sure?", amount=cleaning.how_much(going))):
        raise Cancelled()

    def progress(machine: str, files: int, size: int) -> None:
        console.emit(Log("clean.progress", {"files": files, "amount": amount(size, "bytes")}, machine=machine))

    receipt = wait(lambda cancel: step.clean(lab, plans, scope, args.end, progress, cancel))
    console.say(receipt.text)
    try:
        as_json, as_text = step.keep(receipt, lab.data_folder)
    except AiNanoError as error:
        if args.json or args.quiet:
            error.details = receipt.text.splitlines()  # nothing else has said it
        raise
    console.emit(Log("clean.kept", {"file": as_text}))
    _raise_what_failed(receipt, str(as_text))
    console.result({"step": "clean", "receipt": receipt.to_json(), "file": str(as_json)}, "")
    return 0


def told(plan: Plan) -> dict[str, object]:
    """A machine's part of what would go."""
    return {"machine": plan.machine, "error": None if plan.error is None else plan.error.to_json(),
            "things": [{**inventory.to_json(one), "used_by": [asdict(user) for user in one.used_by]} for one in plan.things]}


def _unreachable(plans: list[Plan]) -> int:
    """What could not be looked at may hold anything."""
    return MachineError.exit_code if any(plan.error is not None for plan in plans) else 0


def _raise_what_failed(receipt: Receipt, file: str) -> None:
    """What was done is done and in the receipt; a machine that was not reached comes before one that kept something."""
    if any(isinstance(one.error, Cancelled) for one in receipt.machines):
        raise Cancelled()
    if receipt.unreachable:
        raise MachineError("clean.partly", machines=[one.machine for one in receipt.unreachable], file=file,
                           details=[f"{one.machine}: {one.error.what}" for one in receipt.unreachable if one.error is not None])
    if receipt.failed:
        raise WorkFailed("clean.not_all", machines=[one.machine for one in receipt.failed], file=file,
                         details=[left.text for one in receipt.failed for left in one.left])
