"""The whole journey in the window, and the guide's other ways: by a person who reads, points and types."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import student
from rooms import lit_pins, opening, window
from user import User

from ai_nano.core.project.workspace import Workspace
from ai_nano.demo.classroom import Classroom
from ai_nano.demo.verdict import read_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PINS = {"cat": 12, "coffee": 16, "rocket": 18}


def wait_for_pins(user: User, classroom: Path, pins: list[int]) -> None:
    """The Nano's own record says that exactly these are lit."""
    deadline = time.monotonic() + 15
    while lit_pins(classroom) != pins:
        assert time.monotonic() < deadline, f"{lit_pins(classroom)} lit, not {pins}"
        user.wait(0.05)


def wait_for_words_of_leds(user: User, words: list[str]) -> None:
    """What is read below the virtual LEDs, from left to right; the window is a frame or two behind the Nano."""
    deadline = time.monotonic() + 5
    while (read := [text for text in user.reads() if text in ("lit", "dark")]) != words:
        assert time.monotonic() < deadline, f"the virtual LEDs are {read}, not {words}"
        user.wait(0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first test leaves a finished project."""
    return tmp_path_factory.mktemp("finished") / "demo"


@pytest.fixture
def classroom(tmp_path: Path) -> Iterator[Classroom]:
    """A room of its own, of whose embedding the window knows nothing."""
    with Classroom(tmp_path / "classroom") as made:
        yield made


def copy_of_the_split(finished: Path, folder: Path) -> Path:
    """A workspace as the older program left it: no ai_nano.json, just the folders and labels.txt."""
    for part in ("train", "val", "test"):
        shutil.copytree(finished / part, folder / part)
    shutil.copy(finished / "labels.txt", folder)
    return folder


def test_the_eight_steps_end_with_the_right_led(finished: Path, tmp_path: Path) -> None:
    finished.mkdir()
    with window(opening(tmp_path, demo=finished)), User() as user:
        student.make_project(user)
        student.record(user)
        student.split_to_deploy(user)
        student.go_on(user, "Inference")
        student.hold_up(user, "coffee")
        student.start_inference(user)
        for card in ("coffee", "cat", "rocket"):
            student.hold_up(user, card)
            wait_for_pins(user, finished / "classroom", [PINS[card]])
            wait_for_words_of_leds(user, ["lit" if name == card else "dark" for name in PINS])
            user.wait_for(re.compile(rf"{card} [0-9.]+ %, pin {PINS[card]} is lit"))
        student.hold_up(user, "nothing")
        wait_for_pins(user, finished / "classroom", [])
        student.hold_up(user, "cat")
        wait_for_pins(user, finished / "classroom", [12])
        wait_for_words_of_leds(user, ["lit", "dark", "dark"])
        # Without a camera no pin is lit, and the window does not say otherwise.
        user.click("Unplug the cameras")
        wait_for_pins(user, finished / "classroom", [])
        wait_for_words_of_leds(user, ["dark", "dark", "dark"])
        user.wait_for("The camera is lost. The Nano looks for it each second and goes on by itself.")
        user.click("Unplug the cameras")
        user.wait_for(re.compile(r"^The camera http://.* is back\.$"), 20)
        wait_for_pins(user, finished / "classroom", [12])
        wait_for_words_of_leds(user, ["lit", "dark", "dark"])
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
        wait_for_pins(user, finished / "classroom", [])
    lines = read_lines(finished / "classroom" / "nano1" / "ai_nano" / "leds.jsonl")
    assert {line["pin"] for line in lines if line["on"]} == set(PINS.values())
    workspace = Workspace.open(finished)
    assert tuple(workspace.classes) == student.CLASSES and workspace.done("infer") is not None
    assert all(workspace.count(name) >= 20 for name in student.CLASSES)


def test_a_filled_workspace_goes_straight_to_step_4(finished: Path, tmp_path: Path, classroom: Classroom) -> None:
    """One of the older program: no ai_nano.json, just the folders."""
    folder = copy_of_the_split(finished, tmp_path / "older")
    classroom.stage.show("nano", "rocket", "show", 1)
    with window(opening(tmp_path, config_file=classroom.config_file)) as shown, User() as user:
        student.make_project(user, str(folder))
        user.wait_for("4 · Upload to the GPU server")
        # A page that is shown speaks the other language at once.
        user.press("ctrl+3")
        user.wait_for("All")
        shown.main_menu.choose_language("fr")
        user.wait_for("Total")
        shown.main_menu.choose_language("en")
        user.wait_for("All")
        user.press("ctrl+4")
        student.upload_to_deploy(user)
        student.go_on(user, "Inference")
        student.start_inference(user)
        wait_for_pins(user, classroom.folder, [18])
        user.wait_for(re.compile(r"rocket [0-9.]+ %, pin 18 is lit"))
        # The window is closed while the LED is lit: inference ends, and it goes dark.
    assert lit_pins(classroom.folder) == []


def test_a_model_on_the_nano_goes_straight_to_step_8(finished: Path, tmp_path: Path, classroom: Classroom) -> None:
    model = next((finished / "models").iterdir())
    there = classroom.folder / "nano1" / "ai_nano" / "models" / model.name
    shutil.copytree(model, there)
    classroom.stage.show("nano", "cat", "show", 2)
    with window(opening(tmp_path, config_file=classroom.config_file)), User() as user:
        user.wait_for("1 · Project", 30)
        user.click("Show its models")
        user.wait_for(model.name, 20)
        user.click("Use this model")
        student.start_inference(user)
        wait_for_pins(user, classroom.folder, [12])
        user.wait_for(re.compile(r"cat [0-9.]+ %, pin 12 is lit"))
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
        wait_for_pins(user, classroom.folder, [])


def test_the_server_stops_in_the_middle(finished: Path, tmp_path: Path, classroom: Classroom) -> None:
    """It is said in words, and goes on when the server is back: an upload when it is started again, a training by itself."""
    folder = copy_of_the_split(finished, tmp_path / "work")
    for image in list((folder / "train").rglob("*.jpg")):
        for number in range(4):  # a training that is long enough to be interrupted
            shutil.copy(image, image.with_name(f"{number}-{image.name}"))
    with window(opening(tmp_path, config_file=classroom.config_file)), User() as user:
        student.make_project(user, str(folder))
        user.wait_for("4 · Upload to the GPU server")
        classroom.stop_machine("gpu_server")
        user.click("Upload")
        user.wait_for(re.compile("^DL .* refuses connections on port"), 30)
        user.wait_for(re.compile("ask your instructor to start the SSH server"))
        classroom.start_machine("gpu_server")
        student.carry_out(user, "4 · Upload to the GPU server", "Upload")
        student.go_on(user, "Train")
        user.click("Train")
        user.wait_for(re.compile("The training runs on"), 60)
        classroom.stop_machine("gpu_server")
        user.wait_for("Contact with DL is lost. Trying again; the work there goes on.", 30)
        user.wait_for("out of reach, goes on there")
        classroom.start_machine("gpu_server")
        user.wait_until_gone("out of reach, goes on there", 30)
        user.wait_for(re.compile("^Done: "), 60)
        user.wait_for(re.compile("End training model"))
    runs = list((classroom.folder / "gpu_server" / "ai_nano" / ".ai_nano" / "runs").glob("*-train-*"))
    assert len(runs) == 1, "the training that went on was followed again, and not started anew"
