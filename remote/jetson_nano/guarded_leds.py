"""LEDs that go dark when this program dies, even by KILL: led_guard.py holds them at the other end of a pipe."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Union

from jetson_nano import host
from jetson_nano.leds import Leds, make_leds
from shared.wire import Failure, encode

GUARD = Path(__file__).with_name("led_guard.py")
# The guard imports Jetson.GPIO, which looks around in the device tree; from an SD card that takes its time.
OPEN_S = 30.0
ANSWER_S = 3.0
BEAT_S = 0.25
END_S = 3.0
BLOCK = 4096

Process = Union["subprocess.Popen[bytes]", host.FarProcess]


class GuardedLeds(Leds):
    """Each change is answered by the guard, so that an LED has changed when `show` returns."""

    def __init__(self, params: Dict[str, Any], root: Path) -> None:
        """Raises Failure leds.guard_lost and those of the LEDs themselves."""
        super().__init__(params.get("pins") or [])
        self._params = {"leds": params["leds"], "pins": list(self.pins), "leds_file": params.get("leds_file"),
                        "root": str(root)}
        self._root = root
        self._received = b""
        self._owed = 1
        self._told_at = 0.0
        self._process: Optional[Process] = start_guard(self._params)
        try:
            self._hear(OPEN_S)
        except BaseException:
            self._end()
            raise

    def show(self, pins: Iterable[int]) -> None:
        wanted = tuple(pins)
        if wanted == self.lit:
            self.beat()
            return
        self.lit = wanted  # before it is so: a signal may come in between, and `close` must not take the LED for dark
        self._tell(lit=list(wanted))
        self._owed += 1
        self._hear(ANSWER_S)

    def beat(self) -> None:
        if self._process is not None and self.lit and time.monotonic() - self._told_at >= BEAT_S:
            self._tell(still=list(self.lit))

    def close(self) -> None:
        """Every LED dark. Raises Failure of the LEDs themselves."""
        super().close()
        if self._process is None:
            return
        try:
            self._tell(close=True)
            self._owed += 1
            self._hear(ANSWER_S)
        finally:
            self._end()

    def _tell(self, **message: Any) -> None:
        """Raises Failure leds.guard_lost."""
        self._told_at = time.monotonic()
        process = self._process
        if process is None:
            raise Failure("leds.guard_lost")
        assert process.stdin is not None
        try:
            process.stdin.write(encode(message))
        except OSError:
            if not self._owed:
                self._darken()
            # else the guard has said why it ended, which `_hear` finds

    def _hear(self, seconds: float) -> None:
        """Waits for every answer that is owed. Raises Failure, leds.guard_lost among them."""
        deadline = time.monotonic() + seconds
        while self._owed:
            line = self._line(deadline)
            if line is None:
                self._darken()
            self._owed -= 1
            answer = json.loads(str(line, "utf-8")) if line else {}
            if "code" in answer:
                self._end()
                raise Failure(answer["code"], **answer["params"])

    def _line(self, deadline: float) -> Optional[bytes]:
        """None where the guard has ended or does not answer."""
        while b"\n" not in self._received:
            wait = deadline - time.monotonic()
            if self._process is None or wait <= 0:
                return None
            stream = self._process.stdout
            assert stream is not None
            if not select.select([stream], [], [], wait)[0]:
                return None
            data = os.read(stream.fileno(), BLOCK)
            if not data:
                return None
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _darken(self) -> None:
        """The guard is gone, perhaps while an LED was lit: dark from here, then the error. Raises Failure."""
        self._end()
        if host.inside():  # pins are out of reach: another guard begins with darkening them
            self._process = start_guard(self._params)
            try:
                self._line(time.monotonic() + OPEN_S)
            finally:
                self._end()
        else:
            make_leds(self._params, self._root).close()
        raise Failure("leds.guard_lost")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_guard(params: Dict[str, Any]) -> Process:
    """led_guard.py on the computer that has the pins. Raises Failure leds.guard_lost."""
    if not host.inside():
        return guard_process(params)
    try:
        return host.start_guard(params)
    except (OSError, ValueError) as error:
        raise Failure("leds.guard_lost") from error


def guard_process(params: Dict[str, Any]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-B", str(GUARD), json.dumps(params)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
                            env=dict(os.environ, PYTHONPATH=_python_path()))


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(GUARD.parent.parent)] + ([inherited] if inherited else []))


def open_leds(params: Dict[str, Any], root: Path) -> Leds:
    """The LEDs that the parameters name. Raises Failure leds.unknown, leds.guard_lost and what the LEDs themselves raise."""
    if params["leds"] in ("gpio", "file"):
        return GuardedLeds(params, root)
    return make_leds(params, root)
