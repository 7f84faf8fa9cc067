"""The entry point, `ai-nano` and `python -m ai_nano`: the window, or a command on the terminal.

The one place that knows the terminal, the window and the embedded classroom; they do not know each other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ai_nano.cli.main import main as run_command

if TYPE_CHECKING:
    from ai_nano.core.cancel import CancelToken
    from ai_nano.core.events import Listener
    from ai_nano.core.split.lesson import LessonOptions, LessonResult
    from ai_nano.gui.opening import Opening, Practice


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(argv, open_window)


def open_window(args: argparse.Namespace) -> int | None:
    """The exit code of the window; None where `demo`, or a room pack, finds no display and the terminal is to show it.

    Raises BadInput where a window is asked for and cannot be opened.
    """
    try:
        from ai_nano.gui import app
    except ImportError as error:
        from ai_nano.core.errors import BadInput

        raise BadInput("window.library", library=error.name or str(error)) from error
    if (args.command == "demo" or args.pack is not None) and not app.has_display():
        return None
    return app.run(_opening(args))


def _opening(args: argparse.Namespace) -> Opening:
    import platformdirs

    from ai_nano.core.room import config
    from ai_nano.gui.opening import Opening
    from ai_nano.lab import user_folder

    def practice(folder: Path) -> Practice:
        # Numbers and pictures of the stage cost most of a second to import.
        from ai_nano.demo import practice as embedded

        return embedded.Practice(folder)

    def lesson(options: LessonOptions, emit: Listener, cancel: CancelToken) -> LessonResult:
        from ai_nano.demo.lesson import run_lesson

        return run_lesson(options, emit, cancel)

    demo = None
    if args.command == "demo":
        from ai_nano.demo.journey import prepare_folder

        demo = prepare_folder(args.workspace)
    folder = user_folder()
    return Opening(
        find_config=lambda: config.find(args.config, folder), practice=practice, user_folder=folder,
        cache=Path(platformdirs.user_cache_dir("ai_nano", appauthor=False)),
        practice_folder=Path(platformdirs.user_data_dir("ai_nano", appauthor=False)) / "classroom", demo=demo, lesson=lesson,
        pack=args.pack)


if __name__ == "__main__":
    sys.exit(main())
