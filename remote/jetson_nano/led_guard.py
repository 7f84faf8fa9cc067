"""Holds the LEDs for a classification, in a process of its own, and darkens them when that one dies.

    python PROGRAMS/jetson_nano/led_guard.py '{"leds": "gpio", "pins": [12, 16, 18], "leds_file": ..., "root": ...}'

Standard input is a pipe from the classification, which nobody else has the other end of: its end means that the
classification has died, of whatever (KILL, lack of memory, a crash of the GPU's driver). While an LED is lit and nothing
is heard for SILENCE_S, the classification hangs or was stopped (SIGSTOP): dark as well, until it is heard again. It runs
in a session of its own, so that what ends the classification's process group does not end it too.

Lines in: {"lit": [12]}, answered; {"still": [12]}, what is lit at present, not answered; {"close": true}, answered, the last.
Lines out: {"ok": true} or {"code", "params"} of a Failure; the first says whether the LEDs could be opened.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional

from jetson_nano.leds import Leds, make_leds
from shared.wire import Failure, encode

SILENCE_S = 2.0
BLOCK = 65536


def say(**message: Any) -> None:
    os.write(1, encode(message))


def failure_of(error: Exception) -> Failure:
    """What went wrong, as the classification can pass it on."""
    return error if isinstance(error, Failure) else Failure("leds.gpio_failed", error=f"{type(error).__name__}: {error}")


class Lines:
    """Standard input by lines; `read` waits no longer than it is told."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: List[bytes] = []

    def read(self, timeout_s: Optional[float]) -> Optional[bytes]:
        """The next line; None when none came in that time. Raises EOFError."""
        while not self._lines:
            if not select.select([0], [], [], timeout_s)[0]:
                return None
            data = os.read(0, BLOCK)
            if not data:
                raise EOFError()
            *self._lines, self._rest = (self._rest + data).split(b"\n")
        return self._lines.pop(0)


def serve(leds: Leds) -> None:
    """Until told to close or the pipe ends. Raises EOFError, and what the LEDs raise."""
    lines = Lines()
    while True:
        line = lines.read(SILENCE_S if leds.lit else None)
        if line is None:
            leds.show(())
            continue
        message = json.loads(line.decode("utf-8"))
        if message.get("close"):
            return
        leds.show(message["lit"] if "lit" in message else message["still"])
        if "lit" in message:
            say(ok=True)


def _stop(number: int, frame: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def guard(params: Dict[str, Any]) -> None:
    leds = make_leds(params, Path(params["root"]))
    with leds:
        say(ok=True)
        try:
            serve(leds)
        except EOFError:
            return
    say(ok=True)


def main(argv: List[str]) -> int:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    try:
        guard(json.loads(argv[0]))
    except BrokenPipeError:
        return 1  # the classification has died while it was answered; the LEDs are dark by now
    except Exception as error:
        failure = failure_of(error)
        try:
            say(code=failure.code, params=failure.params)
        except BrokenPipeError:
            pass
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
