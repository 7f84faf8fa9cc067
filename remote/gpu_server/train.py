"""Trains a model on the dataset in its folder: checkpoint.pth and report.json (doc/design/wire.md, doc/design/training.md)."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu_server import libraries, settings
from gpu_server.ending import leave
from shared.wire import Run, guard


def train(run: Run) -> None:
    """The whole training; raises Failure."""
    start = time.monotonic()
    asked = settings.read(run.params)
    run.progress("train.libraries", 0, None, "steps")
    libraries.quiet()
    libraries.need("numpy", "cv2", "torch")

    from gpu_server import recipe_classic, recipe_fine, recipe_quick, resume
    from gpu_server.training import Training

    recipes = {"quick": recipe_quick.train, "fine": recipe_fine.train, "classic": recipe_classic.train}
    training = Training(run, asked, start)
    recipes[asked.recipe](training)
    training.finish()
    resume.remove(training.folder)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Trains a model on the dataset in its folder.")
    parser.add_argument("--run", required=True, metavar="RUNDIR", help="the run's folder, with spec.json in it")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    return guard(Run(get_parser().parse_args(argv).run), train)


if __name__ == "__main__":
    leave(main())
