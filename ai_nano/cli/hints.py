"""`ai-nano hints`: what the recorded images could do better, on the terminal."""

import argparse
import time

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli.console import Console
from ai_nano.cli.waiting import wait
from ai_nano.core.cancel import CancelToken
from ai_nano.core.events import Progress
from ai_nano.core.hints.advice import Hint
from ai_nano.core.hints.look_book import LookBook
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.texts import t


def hints(args: argparse.Namespace, console: Console) -> int:
    workspace = Workspace.open(args.workspace)
    book = LookBook(workspace, ImageFiles().look)
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.25 or done == total:
            last = now
            console.emit(Progress("hints", done, total, "images"))

    def look(cancel: CancelToken) -> list[Hint]:
        return book.hints(cancel, tell)

    found = wait(look)
    for hint in found:
        console.say("\n".join([hint.text, f"  → {hint.advice}", *(f"    {key}" for key in hint.images)]))
    console.result({"step": "hints", "hints": [hint.to_json() for hint in found]}, "" if found else t("hints.none"))
    return 0
