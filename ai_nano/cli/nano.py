"""The commands for a bench of boards without screens: blink, power, autostart, and the models of a Nano."""

import argparse

from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import wait
from ai_nano.core.errors import BadInput, Cancelled
from ai_nano.core.nano import boards
from ai_nano.core.nano.boards import NanoModel
from ai_nano.core.ports import StepContext
from ai_nano.core.texts import t
from ai_nano.lab import Lab
from ai_nano.steps.autostart import start_at_boot
from ai_nano.steps.blink import blink as light_in_turn


def wanted(args: argparse.Namespace) -> str | None:
    """The Nano's name, with or without --nano before it."""
    if args.nano is not None and args.named is not None and args.nano != args.named:
        raise BadInput("cli.two_nanos", first=args.named, second=args.nano)
    name: str | None = args.named if args.nano is None else args.nano
    return name


def blink(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    name = wanted(args)
    done = wait(lambda cancel: light_in_turn(name, args.model, StepContext(lab, console.emit, cancel), args.seconds,
                                              args.rounds))
    console.result({"step": "blink", "nano": done.nano, "model": done.model,
                    "lit": [{"pin": pin, "class": name} for pin, name in done.lit], "without_pin": list(done.without_pin)},
                   t("blink.of_model", model=done.model, machine=done.nano) if done.model
                   else t("blink.no_model", machine=done.nano))
    return 0


def power(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    machine = lab.nano(args.named)
    switched = wait(lambda cancel: boards.power(machine, args.action, args.force))
    code = f"power.done.{args.action}" if switched.done else "power.recorded"
    console.result({"step": "power", "nano": machine.name, "action": switched.action, "done": switched.done,
                    "answered": switched.answered}, t(code, machine=machine.name))
    return 0


def autostart(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    name = wanted(args)
    nano = lab.nano_config(name)
    machine = lab.nano(name)
    if args.off:
        removed = wait(lambda cancel: boards.autostart_off(machine))
        console.result({"step": "autostart", "nano": nano.name, "removed": removed},
                       t("autostart.removed" if removed else "autostart.none", machine=nano.name))
        return 0
    if args.model is not None:
        found = wait(lambda cancel: start_at_boot(lab, name, args.model, args.threshold))
    else:
        found = wait(lambda cancel: boards.autostart_status(machine))
    console.say(found.text(nano.name))
    for note in found.notes:
        console.say(boards.note_text(note, nano.name, nano.login))
    console.result({"step": "autostart", "nano": nano.name, **found.to_json()}, "")
    return 0


def models(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    """Of a Nano: with which one is running, and who started it."""
    machine = lab.nano(wanted(args))
    if args.delete:
        question = t("models.delete?", model=args.delete, machine=machine.name)
        if not TerminalQuestions(console, args.yes).confirm(question):
            raise Cancelled()
        boards.delete(machine, args.delete, None if args.force else lab.own_projects)
        console.result({"step": "models", "machine": machine.name, "deleted": args.delete},
                       t("models.deleted", model=args.delete, machine=machine.name))
        return 0
    found, queue = boards.models_and_queue(machine)
    for model in found:
        console.say(line(model))
    if queue:
        console.say(t("turn.title", machine=machine.name))
    for position, place in enumerate(queue):
        console.say(f"{position or '→':>3}  {place.words(has_turn=position == 0)}")
    console.result({"step": "models", "machine": machine.name, "models": [model.to_json() for model in found],
                    "queue": [place.to_json() for place in queue]},
                   "" if found else t("models.none", machine=machine.name))
    return 0


def line(model: NanoModel) -> str:
    """One model in a line, for a person."""
    return f"{model.model:<40} {model.student or '–':<24} {', '.join(model.classes):<30} {model.text}".rstrip()
