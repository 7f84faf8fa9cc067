"""Room packs on the terminal: the instructor makes one, the student opens it, by a command or with a double click."""

import argparse
import os
from pathlib import Path

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli.console import Console
from ai_nano.cli.questions import TerminalQuestions
from ai_nano.cli.waiting import wait
from ai_nano.core import desktop, texts
from ai_nano.core.errors import BadInput, Cancelled
from ai_nano.core.events import Log
from ai_nano.core.files import user_path
from ai_nano.core.project import starter
from ai_nano.core.recipes import RECIPES
from ai_nano.core.room import config as configuration
from ai_nano.core.room import config_file, defaults, known_hosts
from ai_nano.core.room import pack as room_pack
from ai_nano.core.room.defaults import RoomDefaults
from ai_nano.core.room.pack import Starter
from ai_nano.core.room.pack_words import contents
from ai_nano.core.texts import t
from ai_nano.lab import user_folder


def pack(args: argparse.Namespace, console: Console) -> int:
    folder = user_folder()
    config = configuration.find(args.config, folder)
    hosts = folder / known_hosts.FILE_NAME
    if unknown := room_pack.without_host_key(config, hosts):
        console.emit(Log("room_pack.no_host_key", {"machines": unknown}, "warning"))
    made, target = _starter(args, console)
    told = _settings(args, target)
    place = room_pack.target_of(args.file)
    if place.exists() and not TerminalQuestions(console, args.yes).confirm(t("project_pack.replace?", file=place)):
        raise Cancelled()
    file = wait(lambda cancel: room_pack.pack(config, hosts, args.file, told, made))
    machines = [machine.name for machine in config.machines]
    images = len(made.files) if made else 0
    if made:
        console.say(t("room_pack.packed_images", count=images, classes=made.classes))
    console.result({"step": "pack", "file": str(file), "machines": machines, "without_host_key": unknown, "images": images},
                   t("room_pack.packed", file=file, machines=machines))
    return 0


def _starter(args: argparse.Namespace, console: Console) -> tuple[Starter | None, int | None]:
    if args.images is None:
        return None, None
    made, settings = wait(lambda cancel: starter.gather(user_path(str(args.images)), ImageFiles()))
    return made, starter.target_of(settings)


def _settings(args: argparse.Namespace, target: int | None) -> RoomDefaults:
    for given, known, name in ((args.recipe, tuple(RECIPES), "--recipe"), (args.language, texts.languages(), "--language")):
        if given is not None and given not in known:
            raise BadInput("room_pack.option", option=name, value=given, known=known)
    target = args.target if args.target is not None else target
    if target is not None and not 1 <= target <= defaults.MOST_TARGET:
        raise BadInput("room_pack.option", option="--target", value=target, known=f"1 … {defaults.MOST_TARGET}")
    note = args.note.replace("\\n", "\n")
    if len(note) > defaults.LONGEST_NOTE:
        raise BadInput("room_pack.option", option="--note", value=f"{len(note)}", known=f"0 … {defaults.LONGEST_NOTE}")
    return RoomDefaults(target, args.recipe, args.language, note)


def open_pack(args: argparse.Namespace, console: Console) -> int:
    folder, file = user_folder(), user_path(str(args.file))
    path = folder / configuration.FILE_NAME
    copy = config_file.backup(path)
    before = _changed_at(copy)
    for line in contents(room_pack.check(file, folder)):
        console.say(line)
    where = user_path(str(args.folder)) if args.folder is not None else None
    config, project = wait(lambda cancel: starter.open_all(file, folder, ImageFiles(), where))
    kept = copy if _changed_at(copy) != before else None
    machines = [machine.name for machine in config.machines]
    if kept:
        console.say(t("room_pack.kept", file=kept))
    if project is not None:
        console.say(t("room_pack.project", folder=project))
    told = defaults.load(folder)
    console.result({"step": "open", "file": str(path), "machines": machines, "kept": str(kept) if kept else None,
                    "workspace": str(project) if project else None, "note": told.note or None},
                   t("room_pack.opened", file=path, machines=machines))
    return 0


def register(console: Console) -> int:
    if not desktop.supported():
        raise BadInput("room_pack.no_desktop", command=" ".join(desktop.own_command()))
    done = desktop.register(os.environ, desktop.own_command())
    console.result({"step": "register", "files": [str(one) for one in done.files], "at_once": done.at_once},
                   t("room_pack.registered" if done.at_once else "room_pack.registered_later", files=done.files))
    return 0


def _changed_at(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
