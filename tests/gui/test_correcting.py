"""“That was wrong” and uncertain frames in the window, with a double of a Nano; at the end once with everything real."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
import student
from furnished import DoubleLab, furnished_window
from rooms import lit_pins, opening, window
from user import User

from ai_nano.core.ports import Picture
from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.running import Status
from ai_nano.demo.stage_scene import Scene
from ai_nano.demo.verdict import read_lines
from ai_nano.gui.main_window import MainWindow

pytestmark = pytest.mark.timeout(240)

CLASSIFY = "jetson_nano/classify.py"
CLASSES = ("cat", "coffee", "rocket", "nothing")
TITLE = "What is it really?"

Shown = tuple[MainWindow, DoubleLab, User]


def jpeg(grey: int, width: int = 320, height: int = 180) -> bytes:
    return bytes(cv2.imencode(".jpg", numpy.full((height, width, 3), grey, numpy.uint8))[1])


def frame(number: int, name: str, share: float, classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    shares = {one: share if one == name else (1 - share) / (len(classes) - 1) for one in classes}
    return {"type": "prediction", "frame": number, "t": 1.0 + number, "class": name, "class_index": classes.index(name),
            "confidence": share, "probabilities": shares, "lit": [12], "ms": {}, "file": None}


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """The Nano's program lasts until it is told to stop."""
    with furnished_window(tmp_path) as (made, lab), User() as user:
        lab.nano(None).hold = go_on = threading.Event()
        yield made, lab, user
        go_on.set()


def begin(shown: Shown, events: list[dict[str, Any]], numbers: list[int]) -> None:
    """Step 8; the Nano says this, and shows pictures of these numbers, which it has in full size."""
    made, lab, user = shown
    nano = lab.nano(None)
    (nano.root / "models" / "nano-ada-002").mkdir(parents=True, exist_ok=True)
    nano.events[CLASSIFY] = events
    nano.pictures = [Picture(jpeg(40 + number), number, 1.0, 320, 180) for number in numbers]
    made.show_page("infer")
    user.click("Start")


def workspace_of(shown: Shown) -> Workspace:
    found = shown[0].session.workspace
    assert found is not None
    return found


def corrected(workspace: Workspace) -> list[tuple[str, Any]]:
    """Class and note of each corrected image."""
    notes = workspace.takes()
    return [(name, notes[image.key]) for name in workspace.classes for image in workspace.images(name) if image.corrected]


def wait_for_corrected(shown: Shown, count: int) -> list[tuple[str, Any]]:
    deadline = time.monotonic() + 10
    while len(found := corrected(workspace_of(shown))) < count:
        assert time.monotonic() < deadline
        shown[2].wait(0.05)
    return found


def test_the_frame_that_was_shown_goes_to_its_class(shown: Shown) -> None:
    begin(shown, [frame(1, "cat", 0.97), frame(2, "coffee", 0.55)], [1, 2])
    made, _, user = shown
    user.click("That was wrong")
    user.wait_for(TITLE)
    assert user.sees("The model said: coffee 55.0 %. The picture stands still until you choose.")
    assert user.sees("coffee 55.0 %") and not user.sees("How sure it is")
    made.main_menu.choose_language("fr")
    user.wait_for("Qu'est-ce que c'est vraiment ?")
    made.main_menu.choose_language("en")
    user.wait_for(TITLE)
    user.click("rocket")
    user.wait_for("Put right: rocket 1. Train again, then the model knows it.")
    assert user.sees("How sure it is") and not user.sees(TITLE)
    (name, note), = corrected(workspace_of(shown))
    assert name == "rocket" and note["camera"] == "nano://nano1" and (note["width"], note["height"]) == (320, 180)
    assert note["corrected"] == {"seen": "coffee", "confidence": 0.55, "model": "nano-ada-002"}
    assert (workspace_of(shown).image_folder("rocket") / note["file"]).read_bytes() == jpeg(42)
    user.click("That was wrong")
    user.click("nothing")
    user.wait_for(re.compile("^Put right: rocket 1, nothing 1. "))
    takes = {note["take"] for _, note in wait_for_corrected(shown, 2)}
    assert len(takes) == 1, "what is put right in one session is one take"
    assert made.session.status("split").status is Status.STALE and made.session.status("train").status is Status.STALE
    user.click("Split again")
    user.wait_for("3 · Split into train, val and test")


@pytest.mark.parametrize("way", ["Cancel", "Escape"])
def test_never_mind(shown: Shown, way: str) -> None:
    begin(shown, [frame(1, "cat", 0.97)], [1])
    _, _, user = shown
    user.click("That was wrong")
    user.wait_for(TITLE)
    if way == "Escape":
        user.press("Escape")
    else:
        user.click("Cancel")
    user.wait_until_gone(TITLE)
    user.wait_for("How sure it is")
    assert corrected(workspace_of(shown)) == []
    user.click("That was wrong")
    user.wait_for(TITLE)


def test_the_question_outlives_the_session(shown: Shown) -> None:
    """The student thinks about it, and the Nano has been stopped meanwhile."""
    begin(shown, [frame(1, "cat", 0.97)], [1])
    _, _, user = shown
    user.click("That was wrong")
    user.wait_for(TITLE)
    user.click("Stop")
    user.wait_for(re.compile("^Done: "))
    assert user.sees(TITLE)
    user.click("coffee")
    assert wait_for_corrected(shown, 1)[0][0] == "coffee"
    user.wait_for("Push Start to see what the Nano sees.")


def test_a_model_of_another_project_explains_itself(shown: Shown) -> None:
    begin(shown, [frame(1, "mouse", 0.97, ("mouse", "cat"))], [1])
    _, _, user = shown
    user.wait_for("mouse 97.0 %")
    user.click("That was wrong")
    user.wait_for("This model has classes that your project does not have: mouse.")
    assert not user.sees(TITLE) and corrected(workspace_of(shown)) == []


def test_without_a_picture_there_is_nothing_to_put_right(shown: Shown) -> None:
    begin(shown, [frame(1, "cat", 0.97)], [])
    made, _, user = shown
    user.wait_for("cat 97.0 %")
    assert not made.page.wrong.isEnabled()  # type: ignore[attr-defined]


def test_uncertain_frames_are_kept_and_sorted(shown: Shown) -> None:
    made, lab, user = shown
    made.show_page("infer")
    assert not user.sees("Keep uncertain frames below")
    user.click("More settings")
    user.click("Keep uncertain frames below")
    begin(shown, [frame(1, "cat", 0.97), frame(2, "coffee", 0.45)], [1, 2])
    user.wait_for("Uncertain frames: 1")
    UncertainFrames(workspace_of(shown)).put(
        *_another(), {"cat": 0.5, "coffee": 0.3, "rocket": 0.1, "nothing": 0.1})
    user.click("Sort them")
    user.wait_for("Uncertain frame 1 of 2: what is it?")
    user.wait_for("The model said: coffee 45.0 %.")
    user.click("rocket")
    user.wait_for("Uncertain frame 2 of 2: what is it?")
    user.wait_for("The model said: nothing recognised (50.0 %).")
    user.click("Throw away")
    user.wait_until_gone(re.compile("^Uncertain frame"))
    user.wait_for(re.compile("^Put right: rocket 1. "))
    (name, note), = wait_for_corrected(shown, 1)
    assert (name, note["corrected"]["seen"], note["width"]) == ("rocket", "coffee", 320)
    assert UncertainFrames(workspace_of(shown)).count() == 0


def _another() -> tuple[Any, str, Any]:
    from ai_nano.core.project.corrections import Seen, Shot

    return Shot(jpeg(99), 5.0, 320, 180), "nano://nano1", Seen("nano-ada-002", None, 0.5)


def test_try_it_here_has_the_button_too(shown: Shown) -> None:
    made, lab, user = shown
    nano = lab.nano(None)
    nano.events[CLASSIFY] = [frame(1, "cat", 0.97)]
    nano.pictures = [Picture(jpeg(41), 1, 1.0, 320, 180)]
    made.show_page("export")
    user.click("Try it here")
    user.click("Start")
    user.click("That was wrong")
    user.wait_for(TITLE)
    user.click("coffee")
    user.wait_for(re.compile("^Put right: coffee 1. "))
    (name, note), = wait_for_corrected(shown, 1)
    assert name == "coffee" and note["camera"] == made.session.camera
    user.click("Split again")
    user.wait_for("3 · Split into train, val and test")


# ---- with everything real ------------------------------------------------------------------------------------------------

PINS = {"animal": 12, "thing": 16}
TAKES, IMAGES = 2, 7


def make_project(folder: Path) -> None:
    """Animals are photographs of a cat, things of a cup: what a rocket is, nobody has shown the model."""
    workspace = Workspace.create(folder, list(PINS))
    for name, card in (("animal", "cat"), ("thing", "coffee")):
        for take in range(TAKES):
            scene = Scene(3, "record", take, card)
            for number in range(IMAGES):
                cv2.imwrite(str(workspace.image_folder(name) / f"{take}-{number}.jpg"), scene.frame(number * 5))


def steady_pin(user: User, classroom: Path) -> int:
    """The one that stays lit."""
    deadline, since, before = time.monotonic() + 20, 0.0, [0, 0]
    while not (len(before) == 1 and time.monotonic() - since > 0.6):
        assert time.monotonic() < deadline, f"{before} lit"
        if (now := lit_pins(classroom)) != before:
            before, since = now, time.monotonic()
        user.wait(0.03)
    return before[0]


def words_of_leds(user: User) -> list[str]:
    return [text for text in user.reads() if text in ("lit", "dark")]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_wrong_answer_is_put_right_and_learned(tmp_path: Path) -> None:
    """Whatever the model takes a rocket for, it is told that it is the other, and after training again it says so."""
    folder = tmp_path / "project"
    make_project(folder)
    with window(opening(tmp_path, demo=folder)), User() as user:
        student.make_project(user)
        student.carry_out(user, "3 · Split into train, val and test", "Split")
        student.go_on(user, "Upload")
        student.upload_to_deploy(user)
        student.go_on(user, "Inference")
        user.fill("Threshold", "0")
        student.hold_up(user, "rocket")
        student.start_inference(user)
        wrong = steady_pin(user, folder / "classroom")
        right = next(name for name, pin in PINS.items() if pin != wrong)
        assert words_of_leds(user) == ["lit" if pin == wrong else "dark" for pin in PINS.values()]
        marked = 0
        for _ in range(6):
            if steady_pin(user, folder / "classroom") == wrong:
                user.click("That was wrong")
                user.wait_for(TITLE)
                user.click(right)
                marked += 1
                user.wait_for(re.compile(f"^Put right: {right} {marked}. "))
            student.hold_up(user, "nothing")
            student.hold_up(user, "rocket")
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
        assert lit_pins(folder / "classroom") == []
        user.click("Split again")
        student.carry_out(user, "3 · Split into train, val and test", "Split")
        student.go_on(user, "Upload")
        student.upload_to_deploy(user)
        student.go_on(user, "Inference")
        student.start_inference(user)
        assert steady_pin(user, folder / "classroom") == PINS[right]
        assert words_of_leds(user) == ["lit" if name == right else "dark" for name in PINS]
        user.wait_for(re.compile(rf"^{right} [0-9.]+ %$"))
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
    workspace = Workspace.open(folder)
    added = corrected(workspace)
    assert len(added) == marked > 0 and {name for name, _ in added} == {right}
    assert all((note["width"], note["height"], note["camera"]) == (1280, 720, "nano://nano1") for _, note in added)
    trained = {path.name for path in (folder / "train" / right).iterdir()}
    assert {note["file"] for _, note in added} <= trained
    changes = [line["pin"] for line in read_lines(folder / "classroom" / "nano1" / "ai_nano" / "leds.jsonl") if line["on"]]
    assert changes[0] == wrong and changes[-1] == PINS[right]
