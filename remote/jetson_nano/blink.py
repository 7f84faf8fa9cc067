"""Lights each LED in turn, so that a person finds the board, and sees its wiring and which class a pin belongs to.

    python PROGRAMS/jetson_nano/blink.py --run RUNDIR

doc/design/wire.md has its parameters and events.
"""

import argparse
import sys
import time
from typing import Any, Dict, List, Optional

from jetson_nano.autostart_files import make_room
from jetson_nano.guarded_leds import open_leds
from jetson_nano.leds import Leds
from jetson_nano.turns import take_turn
from shared.wire import Commands, Failure, Lease, Run, guard

SECONDS = 0.5
ROUNDS = 3
LISTEN_S = 0.05
MOST = 600


class Blinking:
    """One LED after the other, round by round, until all had their turns or the laptop says stop or is gone."""

    def __init__(self, run: Run, leds: Leds) -> None:
        self._run = run
        self._leds = leds
        self._classes: List[str] = run.params.get("classes") or []
        self._seconds = float(run.params.get("seconds") or SECONDS)
        self._commands = Commands(run)
        self._lease = Lease(run)
        self._stopped = False

    def go(self) -> None:
        """Then sends the result."""
        rounds, wanted = 0, int(self._run.params.get("rounds") or ROUNDS)
        while rounds < wanted and not self._stopped:
            self._one_round(first=rounds == 0)
            rounds += 1
            if not self._leds.pins:
                break
        self._leds.show(())
        pins = list(self._leds.pins)
        without_pin = self._classes[len(pins):]
        if without_pin:
            self._run.log("blink.without_pin", level="warning", classes=without_pin)
        lit = [{"pin": pin, "class": self._name(index)} for index, pin in enumerate(pins)]
        self._run.result(pins=pins, rounds=rounds, lit=lit, without_pin=without_pin, stopped=self._stopped)

    def _one_round(self, first: bool) -> None:
        for index, pin in enumerate(self._leds.pins):
            self._leds.show([pin])
            self._run.emit("blink", pin=pin)
            if first:
                self._tell(index, pin)
            self._wait(self._seconds)
            self._leds.show(())
            self._wait(self._seconds / 2)
            if self._stopped:
                return

    def _name(self, index: int) -> Optional[str]:
        return self._classes[index] if index < len(self._classes) else None

    def _tell(self, index: int, pin: int) -> None:
        name = self._name(index)
        if name is not None:
            self._run.log("blink.lit", pin=pin, number=index, name=name)
        elif self._classes:
            self._run.log("blink.spare", pin=pin)
        else:
            self._run.log("blink.unnamed", pin=pin, number=index)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopped and time.monotonic() < until:
            self._leds.beat()
            time.sleep(min(LISTEN_S, seconds))
            self._stopped = self._lease.silent() or any(each.get("type") == "stop" for each in self._commands.poll())


def check_params(params: Dict[str, Any]) -> None:
    """Raises Failure infer.bad_params {key}."""
    pins, classes = params.get("pins") or [], params.get("classes") or []
    if not isinstance(params.get("leds"), str):
        raise Failure("infer.bad_params", key="leds")
    if not isinstance(pins, list) or not all(type(pin) is int for pin in pins):
        raise Failure("infer.bad_params", key="pins")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise Failure("infer.bad_params", key="classes")
    for key in ("seconds", "rounds"):
        value = params.get(key)
        if value is not None and not (type(value) in (int, float) and 0 < value <= MOST):
            raise Failure("infer.bad_params", key=key)


def blink(run: Run) -> None:
    """The LEDs are dark whenever it has ended, however it ended by anything but KILL."""
    check_params(run.params)
    with take_turn(run) as turn:
        if turn is None:
            run.result(pins=[], rounds=0, lit=[], without_pin=[], stopped=True)
            return
        make_room(run.root)
        with open_leds(run.params, run.root) as leds:
            Blinking(run, leds).go()


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Light each LED in turn.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return guard(Run(get_parser().parse_args(argv).run), blink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
