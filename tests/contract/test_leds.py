"""leds.py on the real Jetson.GPIO library, and without it. (LEDs in a file: test_classify.py.)"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from machine import DEADLINE_S, REMOTE, Message

# Offsets on the Nano's GPIO chip of BOARD pins 12, 16 and 18 (gpio79, gpio232, gpio15 of the 40-pin header).
LINE_12, LINE_16, LINE_18 = 79, 232, 15


def probe(mode: str) -> Message:
    """Under the Python of the tests: Jetson.GPIO 2.1.13 needs 3.7; JetPack 4.6 has 2.0.17, which has the same calls."""
    assert importlib.metadata.version("Jetson.GPIO") == "2.1.13"
    path = os.pathsep.join(filter(None, [str(REMOTE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("gpio_probe.py")), mode], check=True,
                          stdout=subprocess.PIPE, timeout=DEADLINE_S, env={**os.environ, "PYTHONPATH": path})
    message: Message = json.loads(done.stdout)
    return message


def test_one_led_at_a_time_and_dark_at_the_end() -> None:
    seen = probe("work")
    dark = [[LINE_12, 0], [LINE_16, 0], [LINE_18, 0]]
    assert seen["values"] == [*dark, [LINE_12, 1], [LINE_12, 0], [LINE_18, 1], *dark]
    assert seen["failure"] is None


@pytest.mark.parametrize(("mode", "code"), [("forbidden", "leds.gpio_permission"), ("busy", "leds.gpio_failed")])
def test_what_the_library_refuses_is_an_error(mode: str, code: str) -> None:
    assert probe(mode) == {"values": [], "failure": code}


def test_a_missing_library_is_an_error_and_no_fallback(nano_python: str) -> None:
    """The Nano's Python of the tests has no Jetson.GPIO; -S keeps site-packages out where it stands in for it."""
    code = ("from jetson_nano.guarded_leds import open_leds; from shared.wire import Failure; from pathlib import Path\n"
            "try: open_leds({'leds': 'gpio', 'pins': [12]}, Path('/'))\n"
            "except Failure as failure: print(failure.code)")
    done = subprocess.run([nano_python, "-S", "-B", "-c", code], check=True, stdout=subprocess.PIPE, text=True,
                          env={"PYTHONPATH": str(REMOTE)}, timeout=DEADLINE_S)
    assert done.stdout == "leds.gpio_missing\n"
