"""The commands: each starts what the window would start, waits for it, and says how it ended."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ai_nano.cli import classes, hints, home, room
from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import carry_out, wait
from ai_nano.core import names, wire
from ai_nano.core.errors import BadInput, Cancelled, ConfigError, Detached
from ai_nano.core.events import Best, Event, Log, Prediction
from ai_nano.core.figures import percent
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Machine, StepContext
from ai_nano.core.project import trained
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.recipes import RECIPES
from ai_nano.core.room import config as configuration
from ai_nano.core.room import defaults, own_projects
from ai_nano.core.room.training_queue import Queued
from ai_nano.core.texts import t
from ai_nano.core.workflow import Workflow
from ai_nano.lab import Lab, build_lab, build_workflow, steps, user_folder
from ai_nano.steps import project
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.import_images import ImportOptions
from ai_nano.steps.infer import InferOptions, InferStep, TryOptions
from ai_nano.steps.nano_test import NanoTestOptions
from ai_nano.steps.record import RecordOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions

Command = Callable[[argparse.Namespace, Console], int]

# Steps that need no machine work without a filled-in config.json.
LOCAL_STEPS = ("record", "import", "split")


def run(args: argparse.Namespace, console: Console) -> int:
    return _COMMANDS[args.command](args, console)


# ---- the room --------------------------------------------------------------------------------------------------------


@contextmanager
def _lab(args: argparse.Namespace, console: Console, needs_machines: bool = True) -> Iterator[Lab]:
    folder = user_folder()
    try:
        config = configuration.find(args.config, folder)
    except ConfigError as error:
        if needs_machines or error.code not in ("config.missing", "config.empty") or args.config is not None:
            raise
        config = configuration.nowhere()
    if config.open_to_others:
        console.emit(Log("config.open_to_others", {"file": config.path}, "warning"))
    lab = build_lab(config, TerminalQuestions(console, args.yes), folder)
    try:
        yield lab
    finally:
        lab.close()


@contextmanager
def _workflow(args: argparse.Namespace, console: Console, needs_machines: bool = True) -> Iterator[Workflow]:
    workspace = Workspace.open(args.workspace)
    lanes = Lanes()
    try:
        with _lab(args, console, needs_machines) as lab:
            yield build_workflow(workspace, lab, lanes)
    finally:
        lanes.close()


# ---- steps -----------------------------------------------------------------------------------------------------------


def _new(args: argparse.Namespace, console: Console) -> int:
    options = project.ProjectOptions(tuple(args.classes.split(",")), args.name, args.camera,
                                     settings=defaults.load(user_folder()).for_project())
    workspace = project.create(args.workspace, options)
    console.result({"step": "project", "workspace": str(workspace.path.resolve()), "classes": workspace.classes},
                   t("project.created", folder=workspace.path, classes=workspace.classes))
    return 0


def _options(args: argparse.Namespace, step: str) -> Any:
    match step:
        case "record":
            return RecordOptions(args.class_name, args.camera, args.count, args.seconds, args.fps)
        case "import":
            return ImportOptions(args.class_name, tuple(args.paths), args.new_classes)
        case "split":
            return SplitOptions(args.val, args.test, args.seed, args.strategy, args.fresh)
        case "upload":
            return UploadOptions()
        case "train":
            return TrainOptions(_recipe(args), args.arch, args.epochs, args.seed, args.lr, args.batch, args.minutes)
        case "export":
            return ExportOptions()
        case "try":
            return TryOptions(args.camera, args.frames, args.seconds, args.threshold, args.hysteresis, args.smoothing,
                              **_keeping(args))
        case "deploy":
            return DeployOptions(tuple(args.nano), getattr(args, "model", None), getattr(args, "force", False))
        case "infer":
            nano = args.nano[0] if isinstance(args.nano, list) and args.nano else args.nano or None
            return InferOptions(getattr(args, "model", None), nano, args.frames, args.seconds, args.threshold, args.hysteresis,
                                args.smoothing, **_keeping(args))
        case "test-nano":
            return NanoTestOptions(args.nano, args.model, args.keep)
    raise AssertionError(step)


def _recipe(args: argparse.Namespace) -> str:
    """What was asked for, else what the room's pack gave the project."""
    wanted = args.recipe or Workspace.open(args.workspace).settings.get("recipe")
    return str(wanted) if args.recipe or wanted in RECIPES else TrainOptions.recipe


def _keeping(args: argparse.Namespace) -> dict[str, Any]:
    """`run` does not offer it."""
    return {key: getattr(args, key) for key in ("keep_uncertain", "keep_most") if hasattr(args, key)}


def _step(args: argparse.Namespace, console: Console) -> int:
    step = args.command
    _check(args, step)
    with _workflow(args, console, needs_machines=step not in (*LOCAL_STEPS, "try")) as workflow:
        try:
            receipt = carry_out(workflow, step, _options(args, step), console,
                                *([_may_leave] if getattr(args, "leave", False) else []))
        except Detached:
            return _left(workflow.workspace, args, console)
        console.result({"step": step, **receipt.facts}, summary(workflow.workspace, receipt))
    return 0


def _may_leave(event: Event) -> bool:
    """A training: there is a model, or it waits for a GPU."""
    return isinstance(event, Best) or (isinstance(event, Queued) and event.waits)


def _left(workspace: Workspace, args: argparse.Namespace, console: Console) -> int:
    """A training that goes on without us; what it has made so far can be exported, deployed and tried."""
    attempt = workspace.attempts["train"]
    best = trained.best_of(attempt) or {}
    facts = {"model": attempt.facts["model"], "run": attempt.facts["run"], "stage": best.get("stage")}
    right = best.get("val_accuracy")
    if not best:
        console.result({"step": "train", "left": True, "waiting": True, **facts, "val_accuracy": None},
                       t("summary.train.left_waiting", workspace=args.workspace, **facts))
        return 0
    console.result({"step": "train", "left": True, **facts, "val_accuracy": right},
                   t("summary.train.left", workspace=args.workspace, val_accuracy=percent(right), **facts))
    return 0


def _check(args: argparse.Namespace, step: str) -> None:
    """What is missing in the workspace is said before what is missing in the room."""
    problems = steps()[step].check(Workspace.open(args.workspace), _options(args, step))
    if problems:
        raise problems[0]


def _infer(args: argparse.Namespace, console: Console) -> int:
    """With a workspace like every step; without one, any model that is on the Nano (`--model`)."""
    if args.workspace is not None:
        return _step(args, console)
    options, step = _options(args, "infer"), InferStep()
    problems = step.check(None, options)
    if problems:
        raise problems[0]
    with _lab(args, console) as lab:
        receipt = wait(lambda cancel: step.run(None, options, StepContext(lab, console.emit, cancel)))
        console.result({"step": "infer", **receipt.facts}, t("summary.infer", counts=_counts(receipt), **receipt.facts))
    return 0


def _run(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.parser import STEPS

    first, last = STEPS.index(args.first), STEPS.index(args.last)
    if first > last:
        raise BadInput("run.order", first=args.first, last=args.last)
    done = []
    _check(args, args.first)
    with _workflow(args, console) as workflow:
        for step in STEPS[first:last + 1]:
            receipt = carry_out(workflow, step, _options(args, step), console)
            console.say(summary(workflow.workspace, receipt))
            done.append({"step": step, **receipt.facts})
    console.result({"step": args.last, "steps": done}, "")
    return 0


def summary(workspace: Workspace, receipt: Receipt) -> str:
    """What a step made, in a sentence or a table."""
    if receipt.step == "split":
        from ai_nano.cli import split

        return split.summary(workspace, receipt)
    if receipt.step == "test-nano":
        from ai_nano.cli.nano_test import tested

        return tested(workspace, receipt)
    facts = dict(receipt.facts)
    for key in ("val_accuracy", "test_accuracy"):
        if key in facts:
            facts[key] = percent(facts[key])
    if receipt.step in ("infer", "try"):
        facts["counts"] = _counts(receipt)
    if receipt.step == "export":
        facts["report"] = workspace.model_folder(str(facts["model"])) / "report.html"
    if facts.get("stopped"):
        return t("summary.train.stopped", **facts)
    return t(f"summary.{receipt.step}", **facts)


def _counts(receipt: Receipt) -> str:
    """How many frames showed which class; nothing recognised is a result like the others."""
    seen = {**receipt.facts["seen"], t("infer.nothing"): receipt.facts["unrecognised"]}
    return ", ".join(f"{name} {count}" for name, count in seen.items() if count) or "–"


# ---- looking -----------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace, console: Console) -> int:
    with _workflow(args, console, needs_machines=False) as workflow:
        for status in workflow.status():
            console.emit(status.event())
        console.result({"step": "status", "workspace": str(workflow.workspace.path.resolve()),
                        "classes": workflow.workspace.classes}, "")
    return 0


def _of_nano(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli import nano

    does = {"blink": nano.blink, "power": nano.power, "autostart": nano.autostart}
    with _lab(args, console) as lab:
        return does[args.command](args, lab, console)


def _models(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli import nano

    with _lab(args, console) as lab:
        if nano.wanted(args):
            return nano.models(args, lab, console)
        machine: Machine = lab.server
        if args.delete:
            if not names.is_model_name(args.delete):
                raise BadInput("infer.model_name", model=args.delete)
            if not TerminalQuestions(console, args.yes).confirm(t("models.delete?", model=args.delete, machine=machine.name)):
                raise Cancelled()
            if not args.force:
                own_projects.refuse_others(wire.to_models(machine.store("models"), machine.name), args.delete, machine.name,
                                           lab.own_projects)
            machine.store("delete", args.delete)
            console.result({"step": "models", "machine": machine.name, "deleted": args.delete},
                           t("models.deleted", model=args.delete, machine=machine.name))
            return 0
        models = wire.to_models(machine.store("models"), machine.name)
        for model in models:
            console.say(f"{model['model']:<40} {model['student'] or '–':<24} {', '.join(model['classes'])}")
        console.result({"step": "models", "machine": machine.name, "models": models},
                       "" if models else t("models.none", machine=machine.name))
    return 0


def _jobs(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.jobs import jobs

    with _lab(args, console) as lab:
        return jobs(args, lab, console)


def _clean(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.clean import clean

    with _lab(args, console) as lab:
        return clean(args, lab, console)


def _doctor(args: argparse.Namespace, console: Console) -> int:
    """Without a room, this computer alone: what is wrong with config.json is one of its findings."""
    from ai_nano.cli.doctor import doctor

    with _lab(args, console, needs_machines=False) as lab:
        return doctor(args, lab, console)


def _provision(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.provision import provision

    with _lab(args, console) as lab:
        return provision(args, lab, console)


def _room(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.overview import overview

    with _lab(args, console) as lab:
        return overview(args, lab, console)


def _demo(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.demo.journey import DemoOptions, run_demo

    def listener(event: Event) -> None:
        # On a terminal each card gets one line; every frame's prediction is for programs.
        if args.json or not isinstance(event, Prediction):
            console.emit(event)

    outcome = wait(lambda cancel: run_demo(DemoOptions(args.workspace), listener, cancel))
    console.result(outcome.to_json(), outcome.text)
    return 0


def _lesson(args: argparse.Namespace, console: Console) -> int:
    from ai_nano.cli.split import lesson_table
    from ai_nano.core.split.lesson import LessonOptions
    from ai_nano.demo.lesson import run_lesson

    options = LessonOptions(args.seeds, args.per_take)
    result = wait(lambda cancel: run_lesson(options, console.emit, cancel))
    console.result({"step": "lesson", "topic": args.topic, **result.to_json()}, lesson_table(result))
    return 0


_COMMANDS: dict[str, Command] = {
    "new": _new, "infer": _infer, "run": _run, "status": _status, "models": _models, "jobs": _jobs, "doctor": _doctor,
    "demo": _demo, "lesson": _lesson, "clean": _clean, "provision": _provision, "room": _room,
    **dict.fromkeys(("blink", "power", "autostart"), _of_nano),
    "classes": classes.classes, "images": classes.images, "hints": hints.hints,
    "pack": room.pack, "open": home.open_file, "runs": home.runs, "save": home.save,
    **dict.fromkeys(("record", "import", "split", "upload", "train", "export", "try", "deploy", "test-nano"), _step),
}
