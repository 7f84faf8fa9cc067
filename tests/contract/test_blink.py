"""blink.py: each LED in turn, and dark at the end, however it ends."""

import os
import signal

import nano_programs  # noqa: F401
import pytest
from classification import PINS, Nano
from machine import Machine, Message, of, wait_for

from jetson_nano import blink
from shared.wire import Failure

BLINK = "jetson_nano/blink.py"
USUAL = {"leds": "file", "pins": [12, 16, 18], "leds_file": None, "classes": ["red", "green", "blue"], "seconds": 0.1,
         "rounds": 1}


def run(machine: Machine, **changes: object) -> list[Message]:
    machine.start("b", program=BLINK, **{**USUAL, **changes})
    return machine.events("b")


def on(nano: Nano) -> list[int]:
    """The pins in the order in which they were lit, never two at once."""
    lit: list[int] = []
    order = []
    for pin, switched_on in nano.switched():
        lit = [one for one in lit if one != pin] + ([pin] if switched_on else [])
        assert len(lit) <= 1
        order += [pin] if switched_on else []
    return order


def test_each_led_in_turn_with_its_class(nano: Nano) -> None:
    events = run(nano.machine)
    logs = [(event["code"], event["params"]) for event in of(events, "log")]
    assert logs == [("blink.lit", {"pin": pin, "number": number, "name": name})
                    for number, (pin, name) in enumerate(zip([12, 16, 18], ["red", "green", "blue"], strict=True))]
    assert events[-1]["lit"][1] == {"pin": 16, "class": "green"} and events[-1]["without_pin"] == []
    off = [(pin, False) for pin in PINS]
    assert nano.switched() == [*off, *[(pin, on) for pin in PINS for on in (True, False)], *off]


def test_classes_are_named_in_the_first_round_alone(nano: Nano) -> None:
    events = run(nano.machine, rounds=2, seconds=0.02)
    assert len(of(events, "log")) == 3 and [event["pin"] for event in of(events, "blink")] == [12, 16, 18] * 2
    assert (events[-1]["pins"], events[-1]["rounds"], on(nano)) == ([12, 16, 18], 2, [12, 16, 18] * 2)


def test_classes_without_a_pin_are_named(nano: Nano) -> None:
    events = run(nano.machine, pins=[12], classes=["red", "green", "blue"])
    assert of(events, "log")[-1]["code"] == "blink.without_pin"
    assert of(events, "log")[-1]["params"] == {"classes": ["green", "blue"]} == {"classes": events[-1]["without_pin"]}


@pytest.mark.parametrize(("classes", "codes"), [([], ["blink.unnamed"] * 3), (["red"], ["blink.lit"] + ["blink.spare"] * 2)])
def test_pins_without_a_class_are_lit_too(nano: Nano, classes: list[str], codes: list[str]) -> None:
    events = run(nano.machine, classes=classes)
    assert [event["code"] for event in of(events, "log")] == codes and on(nano) == [12, 16, 18]


def test_without_pins_it_says_so(nano: Nano) -> None:
    assert run(nano.machine, pins=[])[-1]["pins"] == []


@pytest.mark.parametrize(("changes", "key"), [
    ({"pins": ["12"]}, "pins"), ({"pins": 12}, "pins"), ({"classes": "red"}, "classes"), ({"classes": [1]}, "classes"),
    ({"seconds": 0}, "seconds"), ({"seconds": True}, "seconds"), ({"rounds": "2"}, "rounds"), ({"rounds": 601}, "rounds"),
    ({"leds": None}, "leds")])
def test_what_makes_no_sense_is_refused(changes: dict[str, object], key: str) -> None:
    blink.check_params(USUAL)
    with pytest.raises(Failure) as caught:
        blink.check_params({**USUAL, **changes})
    assert (caught.value.code, caught.value.params) == ("infer.bad_params", {"key": key})


@pytest.mark.parametrize(("changes", "code"), [({"rounds": "2"}, "infer.bad_params"), ({"leds": "lamps"}, "leds.unknown")])
def test_what_is_refused_lights_nothing(nano: Nano, changes: dict[str, object], code: str) -> None:
    last = run(nano.machine, **changes)[-1]
    assert (last["type"], last["code"]) == ("error", code) and nano.lit() == []


def start_slowly(nano: Nano, lease_s: float | None = None) -> None:
    nano.machine.start("b", program=BLINK, lease_s=lease_s, **{**USUAL, "seconds": 60})
    wait_for(lambda: nano.lit() == [12], "the first LED")


def test_term_darkens(nano: Nano) -> None:
    start_slowly(nano)
    nano.machine.cancel("b")
    assert nano.lit() == [] and nano.machine.state("b") == "cancelled"


def test_a_lost_laptop_darkens(nano: Nano) -> None:
    start_slowly(nano, lease_s=0.5)
    assert nano.machine.events("b")[-1]["stopped"] is True
    assert nano.lit() == [] and on(nano) == [12]


def test_stop_ends_it_well(nano: Nano) -> None:
    start_slowly(nano)
    follower = nano.machine.follow("b")
    follower.send(type="stop")
    events = [message["event"] for message in follower.read_all() if message["type"] == "event"]
    assert events[-1]["stopped"] and events[-1]["rounds"] == 1 and on(nano) == [12] and nano.lit() == []


def test_a_signal_from_the_terminal_darkens(nano: Nano) -> None:
    start_slowly(nano)
    os.kill(nano.machine.process_id("b"), signal.SIGINT)
    wait_for(lambda: nano.machine.state("b") != "running", "its end")
    assert nano.lit() == []
