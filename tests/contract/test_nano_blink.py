"""blink.py: each LED in turn, dark in between and at the end."""

from typing import Any

import pytest
from classification import PINS, Nano
from machine import Follower, Message, of

OFF = [(pin, False) for pin in PINS]


def start(nano: Nano, lease_s: float | None = None, **changes: Any) -> Follower:
    params = {"leds": "file", "pins": PINS, "leds_file": None, "seconds": 0.05, "rounds": 2, **changes}
    nano.machine.start("b", program="jetson_nano/blink.py", lease_s=lease_s, **params)
    return nano.machine.follow("b")


def events(follower: Follower) -> list[Message]:
    return [message["event"] for message in follower.read_all() if message["type"] == "event"]


def test_each_in_turn(nano: Nano) -> None:
    seen = events(start(nano))
    assert [event["pin"] for event in of(seen, "blink")] == PINS * 2
    assert seen[-1]["type"] == "result" and (seen[-1]["pins"], seen[-1]["rounds"]) == (PINS, 2)
    assert nano.switched() == [*OFF, *[(pin, on) for pin in PINS * 2 for on in (True, False)], *OFF]


def test_stop_ends_it_at_once(nano: Nano) -> None:
    follower = start(nano, seconds=60)
    assert follower.read_event("blink")["pin"] == PINS[0]
    assert nano.lit() == [PINS[0]]
    follower.send(type="stop")
    assert follower.read_event("result")["rounds"] == 1
    assert nano.lit() == []
    follower.read_all()


def test_a_lost_laptop_ends_it(nano: Nano) -> None:
    follower = start(nano, lease_s=1, seconds=60)
    assert follower.read_event("result")["rounds"] == 1
    assert nano.lit() == []
    follower.read_all()


@pytest.mark.parametrize(("change", "key"), [
    ({"seconds": 0}, "seconds"), ({"rounds": "3"}, "rounds"), ({"leds": None}, "leds")])
def test_bad_parameters(nano: Nano, change: Message, key: str) -> None:
    last = events(start(nano, **change))[-1]
    assert (last["code"], last["params"]) == ("infer.bad_params", {"key": key})


def test_without_pins_it_says_so(nano: Nano) -> None:
    assert events(start(nano, pins=[]))[-1]["pins"] == []
