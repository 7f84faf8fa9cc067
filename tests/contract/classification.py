"""Short words for a classification on the machine of the contract tests."""

from pathlib import Path
from typing import Any

from colours import make_model
from machine import Follower, Machine, Message, read_lines

PINS = [12, 16, 18]
CLASSIFY = "jetson_nano/classify.py"


class Nano:
    """A machine with a model, LEDs in a file, and short words for a classification.

    Its login is in UTF-8, unlike Machine's: with LANG=C each command starts an interpreter twice, which the runner's tests see.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.environment["LANG"] = "C.UTF-8"
        self.model = make_model(machine.root / "models" / "colours-001")
        self.leds_file = machine.root / "leds.jsonl"

    def params(self, camera: str | Path, **changes: Any) -> dict[str, Any]:
        usual = {"model_dir": str(self.model), "camera": str(camera), "flip": None, "engine": "onnxruntime",
                 "leds": "file", "pins": PINS, "leds_file": None, "threshold": 0.6, "frames": None, "seconds": None}
        return {**usual, **changes}

    def start(self, camera: str | Path, lease_s: float | None = None, **changes: Any) -> Follower:
        self.machine.start("c", program=CLASSIFY, lease_s=lease_s, **self.params(camera, **changes))
        return self.machine.follow("c")

    def run(self, camera: str | Path, **changes: Any) -> list[Message]:
        """All events of a classification that ends by itself."""
        messages = self.start(camera, **changes).read_all()
        log = [message["text"] for message in messages if message["type"] == "log"]
        events = [message["event"] for message in messages if message["type"] == "event"]
        assert messages[-1]["exit"]["code"] == (1 if events[-1]["type"] == "error" else 0), (events, log)
        return events

    def error(self, camera: str | Path, **changes: Any) -> tuple[str, Message]:
        """The code and params of a classification that ends with an error; LEDs stay dark."""
        last = self.run(camera, **changes)[-1]
        assert last["type"] == "error", last
        assert self.lit() == []
        return last["code"], last["params"]

    def switched(self) -> list[tuple[int, bool]]:
        return [(line["pin"], line["on"]) for line in read_lines(self.leds_file)]

    def lit(self) -> list[int]:
        """What the file of LEDs says is on at its end."""
        return [pin for pin, on in dict(self.switched()).items() if on]


def predictions(events: list[Message]) -> list[Message]:
    return [event for event in events if event["type"] == "prediction"]
