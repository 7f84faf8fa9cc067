"""What a project keeps, on the terminal: its models side by side, and the whole of it in one file, to take home."""

import argparse
import time

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli import room
from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import wait
from ai_nano.core.errors import BadInput, Cancelled
from ai_nano.core.events import Progress
from ai_nano.core.figures import amount, duration
from ai_nano.core.files import user_path
from ai_nano.core.project import opening, pack
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.report import model_runs
from ai_nano.core.report.model_runs import ModelRun, with_interval
from ai_nano.core.texts import t
from ai_nano.steps.report import make_pages


def runs(args: argparse.Namespace, console: Console) -> int:
    found = model_runs.runs(Workspace.open(args.workspace))
    for run in found:
        console.say(line(run))
    console.result({"step": "runs", "runs": [run.to_json() for run in found]}, "" if found else t("runs.none"))
    return 0


def line(run: ModelRun) -> str:
    """One model in a line, for a person."""
    told = run.report
    seconds = "–" if told.total_s is None else duration(told.total_s)
    place = t("runs.on", nanos=run.nanos) if run.nanos else "" if run.exported else t("runs.not_exported")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.at))
    return (f"{run.model:<30} {told.recipe:<8} {told.arch:<18} {with_interval(told):<22} "
            f"{amount(sum(told.images.values()), 'images'):<12} {seconds:<10} {when}  {place}").rstrip()


def save(args: argparse.Namespace, console: Console) -> int:
    workspace, file = Workspace.open(args.workspace), user_path(str(args.file))
    target = file if file.suffix == pack.SUFFIX else file.with_name(file.name + pack.SUFFIX)
    if target.exists() and not TerminalQuestions(console, args.yes).confirm(t("project_pack.replace?", file=target)):
        raise Cancelled()
    saved = wait(lambda cancel: pack.save(workspace, target, _told(console, "save"), cancel))
    console.result({"step": "save", "file": str(saved.file), "images": saved.images, "models": saved.models,
                    "bytes": saved.bytes},
                   t("project_pack.saved", file=saved.file, images=saved.images, models=saved.models,
                     size=amount(saved.bytes, "bytes")))
    return 0


def open_file(args: argparse.Namespace, console: Console) -> int:
    """A project or a room pack: by what is in it, not by its name."""
    if args.register:
        return room.register(console)
    if args.file is None:
        raise BadInput("room_pack.what")
    file = user_path(str(args.file))
    if not opening.is_project(file) and file.suffix.lower() != pack.SUFFIX:
        return room.open_pack(args, console)
    folder = user_path(str(args.folder)) if args.folder is not None else None
    workspace = wait(lambda cancel: opening.open_project(file, folder, _told(console, "open"), cancel))
    make_pages(workspace, ImageFiles())
    images = sum(workspace.count(name) for name in workspace.classes)
    found = model_runs.runs(workspace)
    console.result({"step": "open", "workspace": str(workspace.path), "classes": workspace.classes, "images": images,
                    "models": [run.model for run in found]},
                   t("project_pack.opened", folder=workspace.path, images=images, models=len(found)))
    return 0


def _told(console: Console, step: str) -> pack.Tell:
    """Progress four times a second is enough."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last > 0.25:
            last = now
            console.emit(Progress(step, done, total, "bytes"))

    return tell
