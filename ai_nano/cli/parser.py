"""The command line: every command of the contract page that belongs to the eight steps or to the room."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ai_nano import __version__
from ai_nano.core.errors import BadInput
from ai_nano.core.texts import t

COMMANDS_WITH_WORKSPACE = ("new", "record", "import", "split", "upload", "train", "export", "try", "deploy", "run", "status",
                           "runs", "save", "test-nano", "classes", "images", "hints")


class Parser(argparse.ArgumentParser):
    """Says what is wrong as one of the project's errors, so that --json and the exit code hold here too."""

    def error(self, message: str) -> NoReturn:
        raise BadInput("cli.usage", reason=message, command=self.prog)


def _common() -> Parser:
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group(t("cli.common"))
    group.add_argument("--config", type=Path, metavar="FILE", help=t("cli.config"))
    group.add_argument("--json", action="store_true", help=t("cli.json"))
    group.add_argument("--yes", action="store_true", help=t("cli.yes"))
    group.add_argument("--quiet", action="store_true", help=t("cli.quiet"))
    group.add_argument("--log-file", type=Path, metavar="FILE", help=t("cli.log_file"))
    return common


def get_parser() -> Parser:
    common = _common()
    parser = Parser(prog="ai-nano", description=t("cli.description"), parents=[common])
    parser.add_argument("--version", action="version", version=f"ai-nano {__version__}")
    commands = parser.add_subparsers(dest="command", metavar=t("cli.command"), parser_class=Parser)

    def command(name: str) -> argparse.ArgumentParser:
        text = t(f"cli.{name}.help")
        added = commands.add_parser(name, help=text, description=text, parents=[common])
        if name in COMMANDS_WITH_WORKSPACE:
            added.add_argument("workspace", type=Path, metavar="WORKSPACE", help=t("cli.workspace"))
        return added

    demo = command("demo")
    demo.add_argument("--headless", action="store_true", help=t("cli.demo.headless"))
    demo.add_argument("--workspace", type=Path, metavar="DIR", help=t("cli.demo.workspace"))

    new = command("new")
    new.add_argument("--classes", required=True, metavar="A,B,...", help=t("cli.new.classes"))
    new.add_argument("--name", help=t("cli.new.name"))
    new.add_argument("--camera", metavar="URI", help=t("cli.camera"))

    record = command("record")
    record.add_argument("--class", dest="class_name", required=True, metavar="CLASS", help=t("cli.class"))
    record.add_argument("--camera", metavar="URI", help=t("cli.camera"))
    until = record.add_mutually_exclusive_group()
    until.add_argument("--seconds", type=float, metavar="S", help=t("cli.record.seconds"))
    until.add_argument("--count", type=int, metavar="N", help=t("cli.record.count"))
    record.add_argument("--fps", type=float, default=10.0, help=t("cli.record.fps"))

    brought = command("import")
    brought.add_argument("--class", dest="class_name", metavar="CLASS", help=t("cli.import.class"))
    brought.add_argument("--new-classes", action="store_true", help=t("cli.import.new_classes"))
    brought.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=t("cli.import.paths"))

    command("hints")
    _add_split(command("split"))
    lesson = command("lesson")
    lesson.add_argument("topic", choices=("split",), help=t("cli.lesson.topic"))
    lesson.add_argument("--seeds", type=_some, default=3, metavar="N", help=t("cli.lesson.seeds"))
    lesson.add_argument("--per-take", type=_some, default=10, metavar="N", help=t("cli.lesson.per_take"))
    command("upload")
    train = command("train")
    _add_train(train)
    train.add_argument("--leave", action="store_true", help=t("cli.train.leave"))
    command("export")
    preview = command("try")
    preview.add_argument("--camera", metavar="URI", help=t("cli.camera"))
    preview.add_argument("--frames", type=int, metavar="N", help=t("cli.infer.frames"))
    preview.add_argument("--seconds", type=float, metavar="S", help=t("cli.infer.seconds"))
    _add_deciding(preview)
    _add_keeping(preview)
    deploy = command("deploy")
    deploy.add_argument("--nano", action="append", default=[], metavar="NAME", help=t("cli.deploy.nano"))
    deploy.add_argument("--model", metavar="NAME", help=t("cli.deploy.model"))
    deploy.add_argument("--force", action="store_true", help=t("cli.deploy.force"))

    infer = command("infer")
    infer.add_argument("workspace", type=Path, nargs="?", metavar="WORKSPACE", help=t("cli.workspace"))
    infer.add_argument("--model", metavar="NAME", help=t("cli.infer.model"))
    infer.add_argument("--nano", metavar="NAME", help=t("cli.nano"))
    _add_infer(infer)
    _add_keeping(infer)

    run = command("run")
    run.add_argument("--from", dest="first", default="split", choices=STEPS, help=t("cli.run.from"))
    run.add_argument("--to", dest="last", default="infer", choices=STEPS, help=t("cli.run.to"))
    _add_split(run)
    _add_train(run, seed=False)
    run.add_argument("--nano", action="append", default=[], metavar="NAME", help=t("cli.deploy.nano"))
    _add_infer(run)

    _add_classes(command)
    command("status")
    _add_nano_commands(command)
    models = command("models")
    _add_nano(models, "cli.models.nano")
    models.add_argument("--delete", metavar="MODEL", help=t("cli.models.delete"))
    models.add_argument("--force", action="store_true", help=t("cli.models.force"))
    jobs = command("jobs")
    which = jobs.add_mutually_exclusive_group()
    which.add_argument("--cancel", metavar="ID", help=t("cli.jobs.cancel"))
    which.add_argument("--follow", metavar="ID", help=t("cli.jobs.follow"))
    which.add_argument("--stop", metavar="ID", help=t("cli.jobs.stop"))
    jobs.add_argument("--reason", metavar="TEXT", default="", help=t("cli.room.reason"))
    room = command("room")
    what = room.add_mutually_exclusive_group()
    what.add_argument("--watch", action="store_true", help=t("cli.room.watch"))
    what.add_argument("--end", metavar="ID", help=t("cli.room.end"))
    what.add_argument("--take-over", metavar="NANO", help=t("cli.room.take_over"))
    room.add_argument("--everybody", action="store_true", help=t("cli.room.everybody"))
    room.add_argument("--reason", metavar="TEXT", default="", help=t("cli.room.reason"))
    _add_clean(command("clean"))
    _add_provision(command("provision"))
    command("runs")
    command("save").add_argument("file", type=Path, metavar="FILE.zip", help=t("cli.save.file"))
    doctor = command("doctor")
    doctor.add_argument("--machine", action="append", default=[], metavar="NAME", help=t("cli.doctor.machine"))
    doctor.add_argument("--deep", action="store_true", help=t("cli.doctor.deep"))
    packed = command("pack")
    packed.add_argument("file", type=Path, metavar="FILE", help=t("cli.pack.file"))
    packed.add_argument("--images", type=Path, metavar="FOLDER", help=t("cli.pack.images"))
    packed.add_argument("--note", metavar="TEXT", default="", help=t("cli.pack.note"))
    packed.add_argument("--target", type=int, metavar="N", help=t("cli.pack.target"))
    packed.add_argument("--recipe", help=t("cli.pack.recipe"))
    packed.add_argument("--language", help=t("cli.pack.language"))
    opened = command("open")
    opened.add_argument("file", type=Path, nargs="?", metavar="FILE", help=t("cli.open.file"))
    opened.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help=t("cli.open.folder"))
    opened.add_argument("--register", action="store_true", help=t("cli.open.register"))
    return parser


def _add_classes(command: Callable[[str], argparse.ArgumentParser]) -> None:
    classes = command("classes")
    what = classes.add_mutually_exclusive_group()
    what.add_argument("--add", metavar="NAME", help=t("cli.classes.add"))
    what.add_argument("--rename", nargs=2, metavar=("OLD", "NEW"), help=t("cli.classes.rename"))
    what.add_argument("--remove", metavar="NAME", help=t("cli.classes.remove"))
    what.add_argument("--order", metavar="A,B,...", help=t("cli.classes.order"))
    what.add_argument("--undo", action="store_true", help=t("cli.classes.undo"))
    what.add_argument("--empty-bin", action="store_true", help=t("cli.classes.empty_bin"))
    images = command("images")
    images.add_argument("--class", dest="class_name", required=True, metavar="CLASS", help=t("cli.class"))
    what = images.add_mutually_exclusive_group()
    what.add_argument("--remove", nargs="+", metavar="FILE", help=t("cli.images.remove"))
    what.add_argument("--remove-last-take", action="store_true", help=t("cli.images.remove_last_take"))
    what.add_argument("--undo", action="store_true", help=t("cli.images.undo"))


def _add_clean(parser: argparse.ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--student", metavar="S", help=t("cli.clean.student"))
    whose.add_argument("--room", action="store_true", help=t("cli.clean.room"))
    parser.add_argument("--machine", action="append", default=[], metavar="NAME", help=t("cli.clean.machine"))
    parser.add_argument("--older-than", type=float, metavar="DAYS", help=t("cli.clean.older_than"))
    parser.add_argument("--keep-models", action="store_true", help=t("cli.clean.keep_models"))
    parser.add_argument("--end", action="store_true", help=t("cli.clean.end"))
    parser.add_argument("--dry-run", action="store_true", help=t("cli.clean.dry_run"))


def _add_provision(provision: argparse.ArgumentParser) -> None:
    provision.add_argument("--machine", action="append", default=[], metavar="NAME", help=t("cli.provision.machine"))
    source = provision.add_mutually_exclusive_group()
    source.add_argument("--wheels", type=Path, metavar="FOLDER", help=t("cli.provision.wheels"))
    source.add_argument("--no-registry", action="store_true", help=t("cli.provision.no_registry"))
    provision.add_argument("--dry-run", action="store_true", help=t("cli.provision.dry_run"))


def _add_nano_commands(command: Callable[[str], argparse.ArgumentParser]) -> None:
    """What a bench of boards without screens needs beside the eight steps."""
    tested = command("test-nano")
    tested.add_argument("--nano", metavar="NAME", help=t("cli.nano"))
    tested.add_argument("--model", metavar="NAME", help=t("cli.test-nano.model"))
    tested.add_argument("--keep", action="store_true", help=t("cli.test-nano.keep"))
    blink = command("blink")
    _add_nano(blink, "cli.board")
    blink.add_argument("--model", metavar="NAME", help=t("cli.blink.model"))
    blink.add_argument("--seconds", type=_seconds, default=1.0, metavar="S", help=t("cli.blink.seconds"))
    blink.add_argument("--rounds", type=int, choices=range(1, 101), default=2, metavar="N", help=t("cli.blink.rounds"))
    power = command("power")
    power.add_argument("named", metavar="NANO", help=t("cli.power.nano"))
    power.add_argument("action", choices=("shutdown", "reboot"), help=t("cli.power.action"))
    power.add_argument("--force", action="store_true", help=t("cli.power.force"))
    autostart = command("autostart")
    _add_nano(autostart, "cli.board")
    what = autostart.add_mutually_exclusive_group()
    what.add_argument("--model", metavar="NAME", help=t("cli.autostart.model"))
    what.add_argument("--off", action="store_true", help=t("cli.autostart.off"))
    what.add_argument("--status", action="store_true", help=t("cli.autostart.status"))
    autostart.add_argument("--threshold", type=float, metavar="P", help=t("cli.infer.threshold"))


def _add_nano(parser: argparse.ArgumentParser, help_code: str) -> None:
    """With or without --nano: as it is easier to type, and as older scripts do."""
    parser.add_argument("named", nargs="?", metavar="NANO", help=t(help_code))
    parser.add_argument("--nano", metavar="NAME", help=t(help_code))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"{text}: 0 < S <= 60")
    return value


def _some(text: str) -> int:
    value = int(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: 0 < N <= 100")
    return value


STEPS = ("split", "upload", "train", "export", "deploy", "infer")


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--val", type=float, default=0.1, metavar="SHARE", help=t("cli.split.val"))
    parser.add_argument("--test", type=float, default=0.1, metavar="SHARE", help=t("cli.split.test"))
    parser.add_argument("--seed", type=int, default=0, help=t("cli.seed"))
    parser.add_argument("--strategy", choices=("blocks", "random"), default="blocks", help=t("cli.split.strategy"))
    parser.add_argument("--fresh", action="store_true", help=t("cli.split.fresh"))


def _add_train(parser: argparse.ArgumentParser, seed: bool = True) -> None:
    parser.add_argument("--recipe", help=t("cli.train.recipe"))
    parser.add_argument("--arch", help=t("cli.train.arch"))
    parser.add_argument("--epochs", type=int, metavar="N", help=t("cli.train.epochs"))
    parser.add_argument("--lr", type=float, metavar="RATE", help=t("cli.train.lr"))
    parser.add_argument("--batch", type=int, metavar="N", help=t("cli.train.batch"))
    parser.add_argument("--minutes", type=float, metavar="M", help=t("cli.train.minutes"))
    if seed:
        parser.add_argument("--seed", type=int, default=0, help=t("cli.seed"))


def _add_infer(parser: argparse.ArgumentParser) -> None:
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--frames", type=int, metavar="N", help=t("cli.infer.frames"))
    until.add_argument("--seconds", type=float, metavar="S", help=t("cli.infer.seconds"))
    _add_deciding(parser)


def _add_deciding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threshold", type=float, metavar="P", help=t("cli.infer.threshold"))
    parser.add_argument("--hysteresis", type=float, metavar="P", help=t("cli.infer.hysteresis"))
    parser.add_argument("--smoothing", type=float, metavar="S", help=t("cli.infer.smoothing"))


def _add_keeping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep-uncertain", type=float, metavar="P", help=t("cli.infer.keep_uncertain"))
    parser.add_argument("--keep-most", type=int, default=30, metavar="N", help=t("cli.infer.keep_most"))
