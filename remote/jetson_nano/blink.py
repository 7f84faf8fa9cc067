"""Lights each LED in turn, so that a person finds the board and sees which pin belongs to which class.

    python PROGRAMS/jetson_nano/blink.py --run RUNDIR

doc/design/wire.md has its parameters and events.
"""

import argparse
import sys
import time
from typing import Any, Dict, List, Optional

from jetson_nano.autostart_files import make_room
from jetson_nano.leds import Leds, open_leds
from shared.wire import Commands, Failure, Lease, Run, guard

LISTEN_S = 0.05
LONGEST_S = 60.0


class Turn:
    """One LED after the other, until all had their turn or the laptop says stop or is gone."""

    def __init__(self, run: Run, leds: Leds) -> None:
        self._run = run
        self._leds = leds
        self._pins: List[int] = run.params["pins"]
        self._classes: List[str] = run.params.get("classes") or []
        self._seconds = float(run.params.get("seconds") or 1.0)
        self._commands = Commands(run)
        self._lease = Lease(run)
        self._stopped = False

    def go(self) -> None:
        """Then sends the result."""
        lit: List[Dict[str, Any]] = []
        without_pin = self._classes[len(self._pins):]
        for index, pin in enumerate(self._pins):
            self._leds.show([pin])
            self._tell(index, pin)
            lit.append({"pin": pin, "class": self._name(index)})
            self._wait()
            if self._stopped:
                break
        self._leds.show(())
        if without_pin and not self._stopped:
            self._run.log("blink.without_pin", level="warning", classes=without_pin)
        self._run.result(lit=lit, without_pin=without_pin, stopped=self._stopped)

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

    def _wait(self) -> None:
        until = time.monotonic() + self._seconds
        while not self._stopped and time.monotonic() < until:
            time.sleep(LISTEN_S)
            self._stopped = self._lease.expired() or any(each.get("type") == "stop" for each in self._commands.poll())


def check_params(params: Dict[str, Any]) -> None:
    """Raises Failure blink.bad_params {key}, blink.no_leds."""
    pins, classes, seconds = params.get("pins"), params.get("classes"), params.get("seconds")
    if not isinstance(params.get("leds"), str):
        raise Failure("blink.bad_params", key="leds")
    if not isinstance(pins, list) or not all(type(pin) is int for pin in pins):
        raise Failure("blink.bad_params", key="pins")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise Failure("blink.bad_params", key="classes")
    if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds <= LONGEST_S):
        raise Failure("blink.bad_params", key="seconds")
    if params["leds"] == "none" or not pins:
        raise Failure("blink.no_leds")


def blink(run: Run) -> None:
    """The LEDs are dark whenever it has ended, however it ended by anything but KILL."""
    check_params(run.params)
    make_room(run.root)
    with open_leds(run.params, run.root) as leds:
        Turn(run, leds).go()


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Light each LED in turn.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return guard(Run(get_parser().parse_args(argv).run), blink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
