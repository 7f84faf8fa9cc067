"""The soak: a class of simulated laptops, each with a home and commands of its own, against one real sshd.

    python -m tests.soak [--laptops 30] [--images 60] [--scheduler direct|slurm] [--markdown]

Prints a table and the same as JSON in one line; what happens meanwhile goes to standard error. 0 when every laptop
finished and nobody's files were found with another, 1 when not, 130 when it was broken off; nothing is left behind.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "integration")]
from tests.soak.figures import markdown, table  # noqa: E402
from tests.soak.room import MAX_STARTUPS, SCHEDULERS  # noqa: E402
from tests.soak.run import Plan, soak, to_stderr  # noqa: E402

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laptops", type=int, default=30)
    parser.add_argument("--images", type=int, default=60, help="of each of the three classes")
    parser.add_argument("--width", type=int, default=640, help="of the images, in pixels")
    parser.add_argument("--scheduler", choices=SCHEDULERS, default="slurm")
    parser.add_argument("--nanos", type=int, default=3)
    parser.add_argument("--spread", type=float, default=5.0, help="seconds within which all begin")
    parser.add_argument("--max-startups", default=MAX_STARTUPS, help="of the server's sshd")
    parser.add_argument("--markdown", action="store_true", help="the table of doc/scale.md alone")
    return parser


def _break_off(number: int, frame: FrameType | None) -> None:
    """Once: what then ends everything is not to be broken off in its turn."""
    for each in _ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    for each in _ENDS:
        signal.signal(each, _break_off)
    plan = Plan(options.laptops, options.images, options.scheduler, options.nanos, options.spread, options.width,
                options.max_startups)
    try:
        told = soak(plan, to_stderr)
    except KeyboardInterrupt:
        to_stderr("Broken off; nothing of it is left.")
        return 130
    print(markdown(told) if options.markdown else f"{table(told)}\n{json.dumps(told.to_json(), ensure_ascii=False)}")
    return 0 if told.ok else 1


if __name__ == "__main__":
    sys.exit(main())
