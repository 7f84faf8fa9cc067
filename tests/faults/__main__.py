"""Real faults: many seeds, one line each, and the totals last.

    python -m tests.faults [--seeds 20] [--first 1] [--transfer auto|tar|sftp]

0 when all held. The folder of a run that did not is kept, and its line says where.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "integration")]
from tests.faults.driver import run  # noqa: E402
from tests.faults.room import Template  # noqa: E402


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--transfer", choices=("auto", "tar", "sftp"), help="the same for all (default: each seed's own)")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    seeds = range(options.first, options.first + options.seeds)
    began, outcomes = time.monotonic(), []
    folder = Path(tempfile.mkdtemp(prefix="ai_nano-faults-"))
    template = Template(folder / "template")
    for seed in seeds:
        outcomes.append(run((seed,), template, folder / f"seed-{seed}", options.transfer))
        print(outcomes[-1].text, flush=True)
    broken = [outcome for outcome in outcomes if outcome.problem]
    left_out = sum(bool(outcome.left_out) for outcome in outcomes)
    again = sum(len(exits) - 1 for outcome in outcomes for exits in outcome.exits if exits)
    struck, missed = sum(outcome.struck for outcome in outcomes), sum(outcome.missed for outcome in outcomes)
    print(f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]}): {len(seeds) - len(broken) - left_out} ok, {len(broken)} broken, "
          f"{left_out} left out; {struck} faults struck a command at work, {missed} came too late and were drawn anew; "
          f"{again} commands run again; {time.monotonic() - began:.0f} s")
    if not broken:
        template.remove()
        folder.rmdir()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
