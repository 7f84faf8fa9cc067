"""A Nano with the double of jetson-inference in one of its faces, under CPython 3.6 and under the Python of the tests."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from classification import Nano
from machine import Machine, Message, of

DOUBLES = Path(__file__).resolve().parents[1] / "doubles" / "jetson"
FACES = ["2020", "2022", "2023"]
BUILD = "jetson_nano/build_engine.py"


class Board(Nano):
    """A Nano with jetson-inference; `set` changes what the double shows, at once."""

    def __init__(self, machine: Machine, face: str) -> None:
        super().__init__(machine)
        self.face = face
        self._file = machine.home / "double.json"
        self._settings: dict[str, Any] = {}
        machine.environment.update(
            PYTHONPATH=os.pathsep.join(map(str, (DOUBLES / "common", DOUBLES / f"face{face}"))), DISPLAY=":0",
            JETSON_DOUBLE=str(self._file))
        self.set()

    def set(self, **settings: Any) -> None:
        self._settings.update(settings)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._settings))
        new.replace(self._file)

    def classify(self, camera: str | Path, **changes: Any) -> list[Message]:
        """All events of a classification by TensorRT that ends by itself; the run's folder is removed."""
        events = self.run(camera, **{"engine": "tensorrt", **changes})
        shutil.rmtree(self.machine.run_path("c"))
        return events

    def build(self, model: Path | None = None) -> tuple[list[Message], str]:
        """The events of build_engine.py, and its output."""
        self.machine.start("b", program=BUILD, model_dir=str(model or self.model))
        messages = self.machine.follow_all("b")
        shutil.rmtree(self.machine.run_path("b"))
        return ([each["event"] for each in messages if each["type"] == "event"],
                "".join(each["text"] for each in messages if each["type"] == "log"))

    def engines(self, model: Path | None = None) -> list[str]:
        return sorted(path.name for path in (model or self.model).glob("*.engine"))


def codes(events: list[Message]) -> list[str]:
    return [event["code"] for event in of(events, "log")]


def boards(tmp_path: Path, python: str, face: str) -> Iterator[Board]:
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home, python)
    yield Board(machine, face)
    machine.close()


@pytest.fixture(params=FACES)
def board(tmp_path: Path, nano_python: str, request: pytest.FixtureRequest) -> Iterator[Board]:
    """In each face, under the Nano's Python."""
    yield from boards(tmp_path, nano_python, request.param)


@pytest.fixture(params=[FACES[0], FACES[-1]])
def either(tmp_path: Path, nano_python: str, request: pytest.FixtureRequest) -> Iterator[Board]:
    """In the oldest and in the newest face, which between them have both values of all that differs (jetson_face/face.py)."""
    yield from boards(tmp_path, nano_python, request.param)


@pytest.fixture
def newest(tmp_path: Path, nano_python: str) -> Iterator[Board]:
    """In the newest face, under the Nano's Python."""
    yield from boards(tmp_path, nano_python, FACES[-1])


@pytest.fixture(params=FACES[1:])
def current(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Board]:
    """In each face that JetPack 5 and 6 can have, under the Python of the tests: theirs are newer than 3.6."""
    yield from boards(tmp_path, sys.executable, request.param)
