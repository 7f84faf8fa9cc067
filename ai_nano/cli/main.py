"""The entry point of `ai-nano`: parse, dispatch, and turn every failure into sentences and an exit code."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from ai_nano.cli.console import Console, JsonConsole, make_console
from ai_nano.cli.parser import get_parser
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled
from ai_nano.core.files import user_path
from ai_nano.core.unexpected import explained

log = logging.getLogger("ai_nano")
# Without a handler, logging would print an unexpected error's traceback on the student's terminal.
log.addHandler(logging.NullHandler())


# Opens the window and returns its exit code; None where there is no display and the command can do without one.
OpenWindow = Callable[[argparse.Namespace], int | None]


SUFFIX = ".ainano"
# Of --log-file, and as much again of what was before: a session may run for days.
LOG_BYTES = 16 << 20


def main(argv: Sequence[str] | None = None, open_window: OpenWindow | None = None) -> int:
    """`open_window` comes from the entry point, since the terminal knows no Qt; without it there are commands only."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        args = _parse(words)
    except AiNanoError as error:
        # Not parsed, so --json is looked for by hand.
        (JsonConsole() if "--json" in words else make_console(False, False)).failure(error)
        return error.exit_code
    console = make_console(args.json, args.quiet)
    try:
        _log_to(args.log_file)
        return _dispatch(args, console, open_window)
    except AiNanoError as error:
        log.info("ended with %s", error.code, exc_info=error)
        console.failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.failure(Cancelled())
        return Cancelled.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone (`ai-nano ... | head`): no more output, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        failure = explained(error)
        console.failure(failure)
        return failure.exit_code
    finally:
        console.close()


def _parse(words: list[str]) -> argparse.Namespace:
    # A desktop starts the program with the file on which somebody clicked.
    clicked = bool(words) and words[-1].lower().endswith(SUFFIX) and all(word.startswith("-") for word in words[:-1])
    args = get_parser().parse_args(words[:-1] if clicked else words)
    args.pack = user_path(words[-1]) if clicked and args.command is None else None
    for name, default in (("config", None), ("json", False), ("yes", False), ("quiet", False), ("log_file", None)):
        if not hasattr(args, name):
            setattr(args, name, default)
    return args


def _dispatch(args: argparse.Namespace, console: Console, open_window: OpenWindow | None) -> int:
    wants_window = args.command is None and not (args.pack and args.json)
    wants_window |= args.command == "demo" and not args.headless and not args.json
    code = open_window(args) if wants_window and open_window is not None else None
    if code is not None:
        return code
    if args.pack is not None:
        args.command, args.file, args.folder, args.register = "open", args.pack, None, False
    if args.command is None:
        raise BadInput("window.no_display")
    from ai_nano.cli import commands

    return commands.run(args, console)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _log_to(path: Path | None) -> None:
    if path is None:
        return
    from logging.handlers import RotatingFileHandler

    try:
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        raise BadInput("cli.log_file.open", file=path, reason=error.strerror) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
