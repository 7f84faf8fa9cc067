"""Lights each LED in turn, to find a board among many and to see that its wiring is right.

    python PROGRAMS/jetson_nano/blink.py --run RUNDIR

doc/design/wire.md has its parameters and events.
"""

import argparse
import sys
import time
from typing import Any, List

from jetson_nano.guarded_leds import open_leds
from jetson_nano.leds import Leds
from shared.wire import Commands, Failure, Lease, Run, guard

SECONDS = 0.5
ROUNDS = 3
LISTEN_S = 0.05


class Ending:
    """Whether the laptop said stop or is gone."""

    def __init__(self, run: Run) -> None:
        self._commands = Commands(run)
        self._lease = Lease(run)

    def wait(self, seconds: float, leds: Leds) -> bool:
        """Lets that time go by; True as soon as the work shall end."""
        deadline = time.monotonic() + seconds
        while True:
            leds.beat()
            if any(command.get("type") == "stop" for command in self._commands.poll()) or self._lease.expired():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, LISTEN_S))


def blink(run: Run) -> None:
    """Raises Failure infer.bad_params {key} and those of the LEDs."""
    if not isinstance(run.params.get("leds"), str):
        raise Failure("infer.bad_params", key="leds")
    seconds, rounds = _positive(run, "seconds", SECONDS), int(_positive(run, "rounds", ROUNDS))
    ending = Ending(run)
    done = 0
    with open_leds(run.params, run.root) as leds:
        over = False
        while done < rounds and not over:
            over = _one_round(run, leds, ending, seconds)
            done += 1
    run.result(pins=list(leds.pins), rounds=done)


def _one_round(run: Run, leds: Leds, ending: Ending, seconds: float) -> bool:
    """True when it was broken off."""
    for pin in leds.pins:
        leds.show([pin])
        run.emit("blink", pin=pin)
        if ending.wait(seconds, leds):
            return True
        leds.show(())
        if ending.wait(seconds / 2, leds):
            return True
    return not leds.pins


def _positive(run: Run, key: str, usual: float) -> float:
    value: Any = run.params.get(key)
    if value is None:
        return usual
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 600:
        raise Failure("infer.bad_params", key=key)
    return float(value)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Light each LED in turn.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return guard(Run(get_parser().parse_args(argv).run), blink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
