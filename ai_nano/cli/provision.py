"""`ai-nano provision`: the machines prepared, and what their owner has still to type."""

import argparse

from ai_nano.cli.console import Console
from ai_nano.cli.waiting import wait
from ai_nano.core.provisioned import Prepared
from ai_nano.core.texts import t
from ai_nano.lab import Lab, wheels_folder
from ai_nano.steps.provision import NAME, ProvisionOptions
from ai_nano.steps.provision import provision as carry_out


def provision(args: argparse.Namespace, lab: Lab, console: Console) -> int:
    options = ProvisionOptions(tuple(args.machine), args.wheels, not args.no_registry, args.dry_run)
    outcome = wait(lambda cancel: carry_out(lab.config, lab.bare, wheels_folder(), options, console.emit, cancel))
    for one in outcome.prepared:
        _say(one, console)
    if outcome.problem is not None:
        raise outcome.problem
    console.result({"step": NAME, "machines": [one.to_json() for one in outcome.prepared]}, "")
    return 0


def _say(one: Prepared, console: Console) -> None:
    console.say(one.text)
    for sentence in one.done if one.dry else ():
        console.say(f"  {sentence}")
    if one.needs:
        console.say(t("provision.needs_root", machine=one.machine))
        console.say(one.block)
