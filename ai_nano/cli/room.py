"""Room packs on the terminal: the instructor makes one, the student opens it."""

import argparse
from pathlib import Path

from ai_nano.cli.console import Console
from ai_nano.core.events import Log
from ai_nano.core.room import config as configuration
from ai_nano.core.room import config_file, known_hosts
from ai_nano.core.room import pack as room_pack
from ai_nano.core.texts import t
from ai_nano.lab import user_folder


def pack(args: argparse.Namespace, console: Console) -> int:
    folder = user_folder()
    config = configuration.find(args.config, folder)
    hosts = folder / known_hosts.FILE_NAME
    if unknown := room_pack.without_host_key(config, hosts):
        console.emit(Log("room_pack.no_host_key", {"machines": unknown}, "warning"))
    file = room_pack.pack(config, hosts, args.file)
    machines = [machine.name for machine in config.machines]
    console.result({"step": "pack", "file": str(file), "machines": machines, "without_host_key": unknown},
                   t("room_pack.packed", file=file, machines=machines))
    return 0


def open_pack(args: argparse.Namespace, console: Console) -> int:
    folder = user_folder()
    path = folder / configuration.FILE_NAME
    copy = config_file.backup(path)
    before = _changed_at(copy)
    config = room_pack.open_pack(args.file, folder)
    kept = copy if _changed_at(copy) != before else None
    machines = [machine.name for machine in config.machines]
    if kept:
        console.say(t("room_pack.kept", file=kept))
    console.result({"step": "open", "file": str(path), "machines": machines, "kept": str(kept) if kept else None},
                   t("room_pack.opened", file=path, machines=machines))
    return 0


def _changed_at(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
