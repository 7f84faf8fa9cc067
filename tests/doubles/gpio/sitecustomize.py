"""Stands in for the Nano's GPIO chip, below the real Jetson.GPIO library of either generation. Python 3.6.

With this folder on PYTHONPATH and the environment's GPIO_CHIP naming a folder, any Python program sees a chip:

- 2.1.x speaks to the character device of the kernel (linux/gpio.h, version 1 of its interface). Each level that a line
  takes is appended to GPIO_CHIP/record as "line value". As the kernel does, a line keeps its level when the program that
  held it dies, so only somebody who sets it darkens an LED.
- 2.0.x writes to /sys/class/gpio. GPIO_CHIP/sys and GPIO_CHIP/proc take the place of both trees (see `make_trees`);
  GPIO_CHIP/sys/class/gpio/gpio79/value is line 79's level.
"""

import builtins
import errno
import fcntl
import os

CHIP = "/dev/gpiochip0"
FOLDER = os.environ.get("GPIO_CHIP", "")
TREES = ("/sys/class/gpio", "/sys/devices", "/proc/device-tree")
# Offsets on the Nano's chip of BOARD pins 12, 16 and 18 (Jetson.GPIO, gpio_pin_data.py, JETSON_NANO_PIN_DEFS).
LINES = {12: 79, 16: 232, 18: 15}

_open, _access, _os_open, _listdir = builtins.open, os.access, os.open, os.listdir
_exists, _isdir = os.path.exists, os.path.isdir
_lines_of_handles = {}


def make_trees(folder):
    """What Jetson.GPIO 2.0.17 looks for on a Nano (revision B01), with the three lines already exported."""
    gpio = os.path.join(folder, "sys", "class", "gpio")
    tree = os.path.join(folder, "proc", "device-tree")
    for pwm in ("sys/devices/7000a000.pwm",):
        os.makedirs(os.path.join(folder, pwm))
    chip = os.path.join(folder, "sys", "devices", "6000d000.gpio", "gpio", "gpiochip0")
    for path in [gpio, chip] + [os.path.join(tree, "chosen", "plugin-manager", "ids", board)
                                for board in ("3448-0000-400", "3449-0000-400")]:
        os.makedirs(path)
    files = {os.path.join(gpio, "export"): "", os.path.join(gpio, "unexport"): "", os.path.join(chip, "base"): "0\n",
             os.path.join(chip, "ngpio"): "256\n",
             os.path.join(tree, "compatible"): "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210\0"}
    for line in LINES.values():
        os.makedirs(os.path.join(gpio, f"gpio{line}"))
        files[os.path.join(gpio, f"gpio{line}", "direction")] = "in"
        files[os.path.join(gpio, f"gpio{line}", "value")] = "0"
    for path, text in files.items():
        with _open(path, "w") as stream:
            stream.write(text)


def levels(folder):
    """The level of each of the three lines, by BOARD pin, as the chip has it; of either generation."""
    found = dict.fromkeys(LINES, 0)
    for pin, line in LINES.items():
        path = os.path.join(folder, "sys", "class", "gpio", f"gpio{line}", "value")
        if _exists(path):
            with _open(path) as stream:
                found[pin] = int(stream.read() or 0)
    record = os.path.join(folder, "record")
    if _exists(record):
        with _open(record) as stream:
            last = dict(map(int, each.split()) for each in stream)
        found.update((pin, last[line]) for pin, line in LINES.items() if line in last)
    return found


def _record(line, value):
    with _open(os.path.join(FOLDER, "record"), "a") as stream:
        stream.write(f"{line} {value}\n")


def _ioctl(descriptor, request, argument=0, mutate_flag=True):
    from Jetson.GPIO import gpio_cdev

    if request == gpio_cdev.GPIO_GET_CHIPINFO_IOCTL:
        argument.label = b"tegra-gpio"
    elif request == gpio_cdev.GPIO_GET_LINEHANDLE_IOCTL:
        line = argument.lineoffsets[0]
        if line in _lines_of_handles.values():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        argument.fd = _os_open(os.devnull, os.O_RDWR)
        _lines_of_handles[argument.fd] = line
        _record(line, argument.default_values[0])
    elif request == gpio_cdev.GPIOHANDLE_SET_LINE_VALUES_IOCTL:
        _record(_lines_of_handles[descriptor], argument.values[0])
    else:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    return 0


def _moved(path):
    return FOLDER + path if isinstance(path, str) and path.startswith(TREES) else path


def _put_in_place():
    os.environ["JETSON_TESTING_MODEL_NAME"] = "JETSON_NANO"
    fcntl.ioctl = _ioctl
    builtins.open = lambda path, *rest, **more: _open(_moved(path), *rest, **more)
    os.access = lambda path, mode, **more: path == CHIP or _access(_moved(path), mode, **more)
    os.open = lambda path, *rest, **more: _os_open(os.devnull if path == CHIP else path, *rest, **more)
    os.listdir = lambda path=".": ["gpiochip0"] if path == "/dev/" else _listdir(_moved(path))
    os.path.exists = lambda path: _exists(_moved(path))
    os.path.isdir = lambda path: _isdir(_moved(path))


if FOLDER:
    _put_in_place()
