"""One LED for each class: real ones on the Nano's header, or their stand-in that writes down what it was told."""

import errno
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Type

from shared.wire import Appender, Failure, encode


class Leds:
    """LEDs by BOARD number. All are dark from construction until `show`, and again after `close`."""

    def __init__(self, pins: Sequence[int]) -> None:
        self.pins = tuple(dict.fromkeys(pins))
        self.lit: Tuple[int, ...] = ()

    def show(self, pins: Iterable[int]) -> None:
        """Lights exactly these; switches only what changed, off before on: never are more lit than asked for."""
        wanted = tuple(pins)
        for pin in self.lit:
            if pin not in wanted:
                self._switch(pin, False)
        for pin in wanted:
            if pin not in self.lit:
                self._switch(pin, True)
        self.lit = wanted

    def beat(self) -> None:
        """To be called several times a second while something is lit: the work goes on."""

    def close(self) -> None:
        """Every LED dark, whatever happened before."""
        self.lit = ()

    def _switch(self, pin: int, on: bool) -> None:
        raise NotImplementedError

    def __enter__(self) -> "Leds":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Any) -> None:
        self.close()


class NoLeds(Leds):
    """For a machine without LEDs."""

    def _switch(self, pin: int, on: bool) -> None:
        pass


class FileLeds(Leds):
    """Appends {"t": unix seconds, "pin", "on"} to a file for each switch; all pins are written off at start and end."""

    def __init__(self, pins: Sequence[int], path: Path) -> None:
        """Raises Failure leds.file {path, error}."""
        super().__init__(pins)
        self._path = path
        self._lines = Appender(path)
        self._all_off()

    def close(self) -> None:
        super().close()
        self._all_off()

    def _all_off(self) -> None:
        for pin in self.pins:
            self._switch(pin, False)

    def _switch(self, pin: int, on: bool) -> None:
        try:
            self._lines.append(encode({"t": time.time(), "pin": pin, "on": on}))
        except OSError as error:
            raise Failure("leds.file", path=str(self._path), error=error.strerror or str(error)) from error


class GpioLeds(Leds):
    """The Nano's header through Jetson.GPIO, with what 2.0.17 (JetPack 4.6) and 2.1.13 have in common."""

    def __init__(self, pins: Sequence[int]) -> None:
        """Raises Failure leds.gpio_missing, leds.gpio_permission, leds.bad_pin, leds.gpio_failed."""
        super().__init__(pins)
        self._gpio = _import_gpio()
        try:
            self._gpio.setwarnings(False)
            self._gpio.setmode(self._gpio.BOARD)
            self._gpio.setup(list(self.pins), self._gpio.OUT, initial=self._gpio.LOW)
        except ValueError as error:
            raise Failure("leds.bad_pin", pins=_listed(self.pins), error=str(error)) from error
        except Exception as error:
            raise _gpio_failure(error) from error

    def close(self) -> None:
        super().close()
        for pin in self.pins:
            self._switch(pin, False)
        self._gpio.cleanup(list(self.pins))

    def _switch(self, pin: int, on: bool) -> None:
        self._gpio.output(pin, self._gpio.HIGH if on else self._gpio.LOW)


def _import_gpio() -> Any:
    try:
        import Jetson.GPIO as gpio
    except ImportError as error:
        raise Failure("leds.gpio_missing", error=str(error)) from error
    except Exception as error:
        # The library itself looks for permission and the board's model while it is imported.
        raise _gpio_failure(error) from error
    return gpio


def _gpio_failure(error: Exception) -> Failure:
    forbidden = isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM)
    if forbidden or (isinstance(error, RuntimeError) and "permission" in str(error)):
        return Failure("leds.gpio_permission")
    return Failure("leds.gpio_failed", error=f"{type(error).__name__}: {error}")


def _listed(pins: Iterable[int]) -> str:
    return ", ".join(str(pin) for pin in pins)


def make_leds(params: Dict[str, Any], root: Path) -> Leds:
    """The LEDs that the parameters name, in this process. Raises Failure leds.unknown and what the LEDs themselves raise."""
    pins: List[int] = params.get("pins") or []
    kind = params["leds"]
    if kind == "gpio":
        return GpioLeds(pins)
    if kind == "file":
        return FileLeds(pins, Path(params.get("leds_file") or root / "leds.jsonl"))
    if kind == "none":
        return NoLeds(pins)
    raise Failure("leds.unknown", leds=str(kind))
