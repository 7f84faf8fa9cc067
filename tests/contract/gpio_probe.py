"""Runs GpioLeds on the real Jetson.GPIO, off a Jetson: only the kernel's GPIO chip is replaced, at its ioctl calls.

`python gpio_probe.py MODE` prints what happened as JSON: {"values": [[line, value], ...], "failure": code or null}.
MODE is `work` (lights 12, then 18, then fails inside the `with`), `busy` (another program has the lines) or `forbidden`.
"""

import errno
import fcntl
import json
import os
import sys
from typing import Any

CHIP = "/dev/gpiochip0"
MODE = sys.argv[1]

lines_of_handles: dict[int, int] = {}
values: list[tuple[int, int]] = []
real_access, real_open, real_listdir = os.access, os.open, os.listdir


def ioctl(descriptor: int, request: int, argument: Any) -> int:
    """The GPIO character device as linux/gpio.h describes it (version 1 of its interface)."""
    from Jetson.GPIO import gpio_cdev

    if request == gpio_cdev.GPIO_GET_CHIPINFO_IOCTL:
        argument.label = b"tegra-gpio"
    elif request == gpio_cdev.GPIO_GET_LINEHANDLE_IOCTL:
        line = argument.lineoffsets[0]
        if MODE == "busy" or line in lines_of_handles.values():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        assert argument.flags == gpio_cdev.GPIOHANDLE_REQUEST_OUTPUT and argument.lines == 1
        argument.fd = real_open(os.devnull, os.O_RDWR)
        lines_of_handles[argument.fd] = line
        values.append((line, argument.default_values[0]))
    elif request == gpio_cdev.GPIOHANDLE_SET_LINE_VALUES_IOCTL:
        values.append((lines_of_handles[descriptor], argument.values[0]))
    else:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    return 0


def main() -> None:
    os.environ["JETSON_TESTING_MODEL_NAME"] = "JETSON_NANO"
    os.access = lambda path, mode, **rest: (  # type: ignore[assignment]
        MODE != "forbidden" if path == CHIP else real_access(path, mode, **rest))
    os.open = lambda path, flags, *rest, **more: (  # type: ignore[assignment]
        real_open(os.devnull, os.O_RDWR) if path == CHIP else real_open(path, flags, *rest, **more))
    os.listdir = lambda path=".": (  # type: ignore[assignment]
        ["gpiochip0"] if path == "/dev/" else real_listdir(path))
    fcntl.ioctl = ioctl  # type: ignore[assignment]

    from jetson_nano.leds import GpioLeds
    from shared.wire import Failure

    failure = None
    try:
        with GpioLeds([12, 16, 18, 12]) as leds:
            leds.show([12])
            leds.show([12])
            leds.show([18])
            raise KeyError("the work failed")
    except Failure as error:
        failure = error.code
    except KeyError:
        pass
    print(json.dumps({"values": values, "failure": failure}))


if __name__ == "__main__":
    main()
